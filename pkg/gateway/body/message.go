package body

import (
	"bytes"

	"github.com/hostless/hostless/pkg/jsonscan"
)

// Message is a WebSocket message from the caller: its type and the models that it names,
// read without decoding the rest. It is immutable and shares the memory of the bytes that
// it was parsed from.
type Message struct {
	Type    string
	EventID string         // to be named in an error
	Models  []MessageModel // in order of position
	// Ambiguous is true if parsers may read the message differently: it has a second
	// `model` or `type` in any letter case, or one that is not strict JSON.
	Ambiguous bool
	// Holders are the top-level members that may name further models, as in Envelope.
	Holders []Member

	data []byte
}

// MessageModel is a model that a message names.
type MessageModel struct {
	Name string
	Top  bool // it is a member of the message itself

	at jsonscan.Span
}

// modelHolders has the members of session.update and response.create whose values are
// objects that contain a model.
var modelHolders = map[string]bool{
	"session": true, "response": true, "audio": true, "input": true, "output": true,
	"transcription": true, "input_audio_transcription": true, "voice": true,
}

// maxHolders limits how deep these objects nest.
const maxHolders = 6

// ParseMessage parses a message. ok is false if it is not a JSON object.
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

// Bytes returns the message as received. It must not be modified.
func (m *Message) Bytes() []byte { return m.data }

// Model returns the top-level model of the message, or "".
func (m *Message) Model() string {
	for _, one := range m.Models {
		if one.Top {
			return one.Name
		}
	}
	return ""
}

// WithModels returns the message with its models renamed by rename. If none changes, it
// returns the message's own slice.
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
