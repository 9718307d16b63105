package anthropic

import (
	"bytes"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/jsonscan"
)

// unsigned is the signature of thinking that has none of its provider's: clients
// drop thinking without one.
const unsigned = sealedPrefix + "unsigned"

// Foreign returns the edits that take out of a Messages request, whose messages are
// at a place in data, what Hostless put into the conversation while another
// provider's model answered: redacted thinking that was sealed here and, with
// strict, thinking that nobody signed, and searches of the web that Anthropic did
// not make, all of which it refuses on each further turn. A message of nothing else
// is cut whole. ignored names what was taken out.
func Foreign(data []byte, messages jsonscan.Span, strict bool) (edits []jsonscan.Edit, ignored []string) {
	return cutBlocks(data, messages, func(block jsonscan.Span) string { return foreignBlock(data, block, strict) })
}

// cutBlocks returns the edits that cut the blocks out of the assistant's messages
// that chosen names; a message of nothing else is cut whole. ignored are the names.
func cutBlocks(data []byte, messages jsonscan.Span, chosen func(block jsonscan.Span) string) (edits []jsonscan.Edit, ignored []string) {
	all := jsonscan.Spans(data, messages)
	empty := make([]bool, len(all))
	searched := bytes.Contains(data, []byte(madeHere)) || bytes.Contains(data, []byte(searchID))
	for i, at := range all {
		if jsonscan.Opens(at.Of(data), `"role":"user"`) {
			continue
		}
		blocks := jsonscan.Spans(data, jsonscan.Fields(data, at, "content")[0])
		foreign, n := make([]bool, len(blocks)), 0
		for j, block := range blocks {
			name := chosen(block)
			if name == "" && searched {
				if name = foreignSearch(data, block); name == "" {
					if cited := foreignCitations(data, block); cited != nil {
						edits, ignored = append(edits, cited...), dialect.Ignore(ignored, "citations")
					}
				}
			}
			if name != "" {
				foreign[j] = true
				n++
				ignored = dialect.Ignore(ignored, name)
			}
		}
		switch {
		case n == 0:
		case n == len(blocks):
			empty[i] = true
		default:
			edits = append(edits, jsonscan.Cut(blocks, func(j int) bool { return foreign[j] })...)
		}
	}
	return append(edits, jsonscan.Cut(all, func(i int) bool { return empty[i] })...), ignored
}

// foreignBlock names what a block is of that does not go to the provider; "" of any
// other block.
func foreignBlock(data []byte, at jsonscan.Span, strict bool) string {
	if jsonscan.Opens(at.Of(data), `"type":"t`) && !jsonscan.Opens(at.Of(data), `"type":"thinking"`) {
		return "" // text or tool_use, which may be long
	}
	fields := jsonscan.Fields(data, at, "type", "signature", "data")
	signature, sealed := fields[1].Of(data), fields[2].Of(data)
	switch string(fields[0].Of(data)) {
	case `"redacted_thinking"`:
		if len(sealed) <= len(`""`) || bytes.HasPrefix(sealed[1:], []byte(sealedPrefix)) {
			return "redacted_thinking"
		}
	case `"thinking"`:
		if strict && (len(signature) <= len(`""`) || bytes.HasPrefix(signature[1:], []byte(sealedPrefix))) {
			return "thinking"
		}
	}
	return ""
}

// foreignSearch names what a block is that tells of a search made by another provider.
func foreignSearch(data []byte, at jsonscan.Span) string {
	fields := jsonscan.Fields(data, at, "type", "id", "tool_use_id")
	for _, id := range fields[1:] {
		if kind, _ := jsonscan.Text(fields[0].Of(data)); bytes.HasPrefix(id.Of(data), []byte(`"`+searchID)) {
			return kind
		}
	}
	return ""
}
