package openai

import "github.com/hostless/hostless/pkg/dialect/rawjson"

// AsStream gives a chat completion that came whole, though a stream was asked
// for, as the stream of one chunk that it stands for; ok is false where it is none.
func AsStream(completion []byte) (events []byte, ok bool) {
	members, ok := rawjson.Members(completion)
	if !ok {
		return nil, false
	}
	found := false
	for i, m := range members {
		if m.Name != "choices" {
			continue
		}
		choices, ok := rawjson.Elements(m.Value)
		if !ok || len(choices) == 0 {
			return nil, false
		}
		for k, raw := range choices {
			choice, ok := rawjson.Members(raw)
			if !ok {
				return nil, false
			}
			for j := range choice {
				if choice[j].Name == "message" {
					choice[j].Name, found = "delta", true
				}
			}
			choices[k] = choice.JSON()
		}
		members[i].Value = rawjson.Array(choices)
	}
	if !found {
		return nil, false
	}
	events = append([]byte("data: "), rawjson.Compact(members.JSON())...)
	return append(events, "\n\ndata: [DONE]\n\n"...), true
}
