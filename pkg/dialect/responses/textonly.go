package responses

import "github.com/hostless/hostless/pkg/jsonscan"

// WithoutPictures returns the edits that put a line of text in the place of each
// picture of a Responses request, whose input is at a place in data, and the names
// of what was replaced.
func WithoutPictures(data []byte, input jsonscan.Span) (edits []jsonscan.Edit, ignored []string) {
	for _, item := range jsonscan.Spans(data, input) {
		for _, list := range jsonscan.Fields(data, item, "content", "output") {
			for _, part := range jsonscan.Spans(data, list) {
				if string(jsonscan.Fields(data, part, "type")[0].Of(data)) == `"input_image"` {
					edits = append(edits, jsonscan.Edit{At: part, Text: []byte(`{"type":"input_text","text":"[picture left out: this model reads text only]"}`)})
					ignored = []string{"messages.image_url"}
				}
			}
		}
	}
	return edits, ignored
}
