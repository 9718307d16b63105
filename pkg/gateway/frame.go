package gateway

import (
	"bytes"
	"encoding/json"
	"slices"

	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/jsonscan"
)

// frame is what is read of a caller's WebSocket message without decoding the
// rest: its type and the models it names.
type frame struct {
	data   []byte
	kind   string
	id     string // event_id, to name in an error
	models []frameModel
	odd    bool // a member that a lenient reader would take for a model
}

// frameModel is one model and where it stands.
type frameModel struct {
	name string
	at   jsonscan.Span
	top  bool // a member of the message itself
}

// modelHolders are the members that hold objects with a model in them, of
// session.update and response.create.
var modelHolders = map[string]bool{
	"session": true, "response": true, "audio": true, "input": true, "output": true,
	"transcription": true, "input_audio_transcription": true, "voice": true,
}

// readFrame reads a message; ok is false where it is no JSON object.
func readFrame(data []byte) (f frame, ok bool) {
	f.data = data
	if err := f.read(data, 0, 0); err != nil {
		return frame{data: data}, false
	}
	return f, true
}

const maxHolders = 6

func (f *frame) read(object []byte, offset, depth int) error {
	seen := false
	_, err := jsonscan.Object(object, func(key []byte, v jsonscan.Span) error {
		raw := v.Of(object)
		switch name := string(key); {
		case name == "type" && depth == 0:
			f.kind, _ = jsonscan.Text(raw)
		case name == "event_id" && depth == 0:
			f.id, _ = jsonscan.Text(raw)
		case name == "model":
			if text, ok := jsonscan.Text(raw); ok {
				f.models = append(f.models, frameModel{text, jsonscan.Span{Start: offset + v.Start, End: offset + v.End}, depth == 0})
				f.odd = f.odd || seen
				seen = true
			}
		case len(key) == len("model") && bytes.EqualFold(key, []byte("model")):
			f.odd = true
		case modelHolders[name] && len(raw) > 1 && raw[0] == '{' && depth < maxHolders:
			return f.read(raw, offset+v.Start, depth+1)
		}
		return nil
	})
	return err
}

// model is the message's own, "" where it has none.
func (f *frame) model() string {
	for _, m := range f.models {
		if m.top {
			return m.name
		}
	}
	return ""
}

// edit gives the message with its models renamed.
func (f *frame) edit(rename func(string) string) []byte {
	var out []byte
	from := 0
	slices.SortFunc(f.models, func(a, b frameModel) int { return a.at.Start - b.at.Start })
	for _, m := range f.models {
		name := rename(m.name)
		if name == m.name {
			continue
		}
		out = append(append(out, f.data[from:m.at.Start]...), jsonscan.Quote(name)...)
		from = m.at.End
	}
	if from == 0 {
		return f.data
	}
	return append(out, f.data[from:]...)
}

// errorFrame is the event that tells a WebSocket's caller of an error.
func errorFrame(err error, eventID string) []byte {
	fl := fault.From(err)
	body := openAIError(fl)
	body["event_id"] = nil
	if eventID != "" {
		body["event_id"] = eventID
	}
	data, merr := json.Marshal(map[string]any{"type": "error", "status": fl.Kind.Status(), "error": body})
	if merr != nil {
		return []byte(`{"type":"error","status":500,"error":{"type":"internal_error","message":"internal error"}}`)
	}
	return data
}
