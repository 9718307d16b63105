package responses

import "github.com/hostless/hostless/pkg/jsonscan"

// WithoutPictures returns the edits that replace each image of a Responses request
// by a line of text, and the names of what was replaced. input is the span of the
// input in data.
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
