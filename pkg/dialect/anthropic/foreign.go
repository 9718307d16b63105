package anthropic

import (
	"bytes"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/jsonscan"
)

// unsigned is the signature of thinking that its provider did not sign, because
// clients drop thinking without a signature.
const unsigned = sealedPrefix + "unsigned"

// Foreign returns the edits that remove from a Messages request what Hostless added
// to the conversation while another provider's model responded. These are redacted
// thinking that was sealed here, searches of the web that Anthropic did not make
// and, with strict, thinking without a signature: Anthropic refuses each of them in
// later turns. messages is the span of the messages in data. A message that
// contains nothing else is removed as a whole. ignored names what was removed.
func Foreign(data []byte, messages jsonscan.Span, strict bool) (edits []jsonscan.Edit, ignored []string) {
	return cutBlocks(data, messages, func(block jsonscan.Span) string { return foreignBlock(data, block, strict) })
}

// cutBlocks returns the edits that remove the blocks of assistant messages for
// which chosen returns a name. A message that contains nothing else is removed as a
// whole. ignored has the names.
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

// foreignBlock returns the name of a block that must not be sent to the provider,
// and "" for any other block.
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

// foreignSearch returns the type of a block that describes a search of another
// provider, and "" for any other block.
func foreignSearch(data []byte, at jsonscan.Span) string {
	fields := jsonscan.Fields(data, at, "type", "id", "tool_use_id")
	for _, id := range fields[1:] {
		if kind, _ := jsonscan.Text(fields[0].Of(data)); bytes.HasPrefix(id.Of(data), []byte(`"`+searchID)) {
			return kind
		}
	}
	return ""
}
