package body

import (
	"bytes"

	"github.com/hostless/hostless/pkg/jsonscan"
)

// Message is a WebSocket message of a caller's: its type and the models that it
// names, read without decoding the rest. It shares the memory of the bytes that it
// was parsed from and is immutable.
type Message struct {
	Type    string
	EventID string         // to name in an error
	Models  []MessageModel // in the order of their position
	// Ambiguous is whether readers may take the message for different ones: it has a
	// second `model` or `type`, in whatever letters, or one that is not quite JSON.
	Ambiguous bool
	// Holders are the message's own members in which it may name further models, as
	// Envelope's are.
	Holders []Member

	data []byte
}

// MessageModel is one model that a message names.
type MessageModel struct {
	Name string
	Top  bool // a member of the message itself

	at jsonscan.Span
}

// modelHolders are the members of session.update and response.create that hold
// objects with a model in them.
var modelHolders = map[string]bool{
	"session": true, "response": true, "audio": true, "input": true, "output": true,
	"transcription": true, "input_audio_transcription": true, "voice": true,
}

// maxHolders bounds how deep those nest.
const maxHolders = 6

// ParseMessage reads a message; ok is false where it is not a JSON object.
func ParseMessage(data []byte) (m Message, ok bool) {
	m.data = data
	if err := m.read(data, 0, 0); err != nil {
		return Message{data: data}, false
	}
	return m, true
}

func (m *Message) read(object []byte, offset, depth int) error {
	seen, typed := false, false
	_, err := jsonscan.Skim(object, func(key []byte, v jsonscan.Span) error {
		raw := v.Of(object)
		if depth == 0 {
			if _, ok := holder(key); ok {
				m.Holders = append(m.Holders, Member{Name: string(key), Value: raw})
			}
		}
		switch {
		case len(key) == len("model") && bytes.EqualFold(key, []byte("model")):
			text, ok := jsonscan.Text(raw)
			switch {
			case string(key) != "model", !ok && raw[0] == '"':
				m.Ambiguous = true
			case ok:
				at := jsonscan.Span{Start: offset + v.Start, End: offset + v.End}
				m.Models = append(m.Models, MessageModel{Name: text, Top: depth == 0, at: at})
				m.Ambiguous = m.Ambiguous || seen
				seen = true
			}
		case depth == 0 && len(key) == len("type") && bytes.EqualFold(key, []byte("type")):
			m.Ambiguous = m.Ambiguous || typed || string(key) != "type"
			typed = true
			text, ok := jsonscan.Text(raw)
			m.Type, m.Ambiguous = text, m.Ambiguous || !ok
		case depth == 0 && string(key) == "event_id":
			m.EventID, _ = jsonscan.Text(raw)
		case raw[0] == '{' && depth < maxHolders && modelHolders[string(key)]:
			return m.read(raw, offset+v.Start, depth+1)
		}
		return nil
	})
	return err
}

// Bytes are the message as it came. They must not be changed.
func (m *Message) Bytes() []byte { return m.data }

// Model is the message's own model, "" where it has none.
func (m *Message) Model() string {
	for _, one := range m.Models {
		if one.Top {
			return one.Name
		}
	}
	return ""
}

// WithModels gives the message's bytes with its models renamed: its own slice where
// none is.
func (m *Message) WithModels(rename func(string) string) []byte {
	var out []byte
	from := 0
	for _, one := range m.Models {
		name := rename(one.Name)
		if name == one.Name {
			continue
		}
		out = append(append(out, m.data[from:one.at.Start]...), jsonscan.Quote(name)...)
		from = one.at.End
	}
	if from == 0 {
		return m.data
	}
	return append(out, m.data[from:]...)
}
