package gemini

import (
	"bytes"

	"github.com/hostless/hostless/pkg/jsonscan"
)

// Foreign gives the edits that take out of a Gemini request the thought signatures
// that Hostless sealed while another provider's model answered, which Google refuses
// as corrupted on each further turn. Google's placeholder stands in their places.
// ignored names what was taken out.
func Foreign(data []byte) (edits []jsonscan.Edit, ignored []string) {
	contents := jsonscan.Fields(data, jsonscan.Span{End: len(bytes.TrimRight(data, " \t\r\n"))}, "contents")[0]
	for _, at := range jsonscan.Spans(data, contents) {
		if jsonscan.Opens(at.Of(data), `"role":"user"`) {
			continue
		}
		for _, part := range jsonscan.Spans(data, jsonscan.Fields(data, at, "parts")[0]) {
			for _, signature := range jsonscan.Fields(data, part, "thoughtSignature", "thought_signature") {
				if bytes.HasPrefix(signature.Of(data), []byte(`"`+sealedPrefix)) {
					edits = append(edits, jsonscan.Edit{At: signature, Text: []byte(`"` + skipValidator + `"`)})
					ignored = []string{"contents.thoughtSignature"}
				}
			}
		}
	}
	return edits, ignored
}
