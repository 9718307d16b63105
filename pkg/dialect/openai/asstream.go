package openai

import "github.com/hostless/hostless/pkg/jsonscan"

// AsStream converts a complete chat completion, sent although a stream was
// requested, to the equivalent stream of one chunk. ok is false if it is not a
// completion.
func AsStream(completion []byte) (events []byte, ok bool) {
	if _, err := jsonscan.Object(completion, func([]byte, jsonscan.Span) error { return nil }); err != nil {
		return nil, false
	}
	chunk := jsonscan.Obj()
	found := false
	for name, value := range jsonscan.Raw(completion).Members() {
		if name == "choices" {
			var choices []jsonscan.Value
			for _, choice := range value.Elements() {
				delta := jsonscan.Obj()
				for name, value := range choice.Members() {
					if name == "message" {
						name, found = "delta", true
					}
					delta.Put(name, value)
				}
				choices = append(choices, delta)
			}
			value = jsonscan.Arr(choices)
		}
		chunk.Put(name, value)
	}
	if !found {
		return nil, false
	}
	events = jsonscan.AppendCompact([]byte("data: "), chunk.JSON())
	return append(events, "\n\ndata: [DONE]\n\n"...), true
}
