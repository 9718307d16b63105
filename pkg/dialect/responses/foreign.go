package responses

import (
	"bytes"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/jsonscan"
)

// Foreign returns the edits that remove from a Responses request what Hostless
// sealed while another provider's model responded: OpenAI refuses foreign encrypted
// content in each later turn. Reasoning is removed, and the summary of a compaction
// becomes a user message. input is the span of the input in data. ignored names
// what was removed.
func Foreign(data []byte, input jsonscan.Span) (edits []jsonscan.Edit, ignored []string) {
	return WithoutReasoning(data, input, func(sealed []byte) bool { return bytes.HasPrefix(sealed[1:], []byte(sealedPrefix)) })
}

// WithoutReasoning is Foreign for the encrypted content, a JSON string, that
// refused selects.
func WithoutReasoning(data []byte, input jsonscan.Span, refused func(sealed []byte) bool) (edits []jsonscan.Edit, ignored []string) {
	all := jsonscan.Spans(data, input)
	var summaries []jsonscan.Edit
	edits = jsonscan.Cut(all, func(i int) bool {
		item := all[i].Of(data)
		if jsonscan.Opens(item, `"type":"`) && !jsonscan.Opens(item, `"type":"reasoning"`) && !jsonscan.Opens(item, `"type":"compaction`) {
			return false // a message or a call, which may be long
		}
		fields := jsonscan.Fields(data, all[i], "type", "encrypted_content")
		sealed := fields[1].Of(data)
		if len(sealed) < len(`""`) || !refused(sealed) {
			return false
		}
		switch kind, _ := jsonscan.Text(fields[0].Of(data)); kind {
		case "reasoning":
			ignored = dialect.Ignore(ignored, "reasoning.encrypted_content")
			return true
		case "compaction", "compaction_summary":
			ignored = dialect.Ignore(ignored, kind+".encrypted_content")
			content, _ := jsonscan.Text(sealed)
			text, ok := unsealSummary(content)
			if ok {
				summaries = append(summaries, jsonscan.Edit{At: all[i], Text: textMessage("user", summaryIntro+text).JSON()})
			}
			return !ok
		}
		return false
	})
	return append(edits, summaries...), ignored
}

// ForeignMessage returns a response.create message of a WebSocket without what
// Foreign removes from a request. It returns data itself if there is nothing to
// remove.
func ForeignMessage(data []byte) []byte {
	if !bytes.Contains(data, []byte(sealedPrefix)) {
		return data
	}
	whole := jsonscan.Span{End: len(data)}
	for whole.Start < whole.End && data[whole.Start] != '{' {
		whole.Start++ // white space
	}
	fields := jsonscan.Fields(data, whole, "input", "response")
	if fields[0].End == 0 {
		fields = jsonscan.Fields(data, fields[1], "input")
	}
	edits, _ := Foreign(data, fields[0])
	return jsonscan.Apply(data, edits)
}

// WithoutEncrypted returns the edits that remove encrypted reasoning from the include of a
// request, which models without reasoning refuse.
func WithoutEncrypted(data []byte, include jsonscan.Span) (edits []jsonscan.Edit, names []string) {
	all := jsonscan.Spans(data, include)
	edits = jsonscan.Cut(all, func(i int) bool { return string(all[i].Of(data)) == `"reasoning.encrypted_content"` })
	if len(edits) > 0 {
		names = []string{"include"}
	}
	return edits, names
}
