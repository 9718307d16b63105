package anthropic

import (
	"bytes"

	"github.com/hostless/hostless/pkg/jsonscan"
)

// unsigned is the signature of thinking that has none of its provider's: clients
// drop thinking without one.
const unsigned = sealedPrefix + "unsigned"

// Foreign gives the edits that take out of a Messages request, whose messages are at
// a place in data, what Hostless put into the conversation while another provider's
// model answered: redacted thinking that was sealed here and, with strict, thinking
// that nobody signed, both of which Anthropic refuses on each further turn. A message
// of nothing else is cut whole. ignored names what was taken out.
func Foreign(data []byte, messages jsonscan.Span, strict bool) (edits []jsonscan.Edit, ignored []string) {
	all := jsonscan.Spans(data, messages)
	empty := make([]bool, len(all))
	for i, at := range all {
		if jsonscan.Opens(at.Of(data), `"role":"user"`) {
			continue
		}
		blocks := jsonscan.Spans(data, jsonscan.Fields(data, at, "content")[0])
		foreign, n := make([]bool, len(blocks)), 0
		for j, block := range blocks {
			if name := foreignBlock(data, block, strict); name != "" {
				foreign[j] = true
				n++
				if ignored == nil || ignored[0] != name && len(ignored) == 1 {
					ignored = append(ignored, name)
				}
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
