package gemini

import (
	"bytes"

	"github.com/hostless/hostless/pkg/jsonscan"
)

// Foreign returns the edits that replace the thought signatures that Hostless
// sealed while another provider's model responded by Google's placeholder. Google
// would refuse them as corrupted in each later turn. ignored names what was
// replaced.
func Foreign(data []byte) (edits []jsonscan.Edit, ignored []string) {
	return WithoutSignatures(data, func(signature []byte) bool { return bytes.HasPrefix(signature, []byte(`"`+sealedPrefix)) })
}

// WithoutSignatures is Foreign for the thought signatures that refused selects.
func WithoutSignatures(data []byte, refused func(signature []byte) bool) (edits []jsonscan.Edit, ignored []string) {
	contents := jsonscan.Fields(data, jsonscan.Span{End: len(bytes.TrimRight(data, " \t\r\n"))}, "contents")[0]
	for _, at := range jsonscan.Spans(data, contents) {
		if jsonscan.Opens(at.Of(data), `"role":"user"`) {
			continue
		}
		for _, part := range jsonscan.Spans(data, jsonscan.Fields(data, at, "parts")[0]) {
			for _, signature := range jsonscan.Fields(data, part, "thoughtSignature", "thought_signature") {
				if len(signature.Of(data)) > 0 && refused(signature.Of(data)) {
					edits = append(edits, jsonscan.Edit{At: signature, Text: []byte(`"` + skipValidator + `"`)})
					ignored = []string{"contents.thoughtSignature"}
				}
			}
		}
	}
	return edits, ignored
}
