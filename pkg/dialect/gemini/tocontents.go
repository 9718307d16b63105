package gemini

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/rawjson"
)

// sealed marks thought signatures made here: the middle's reasoning_details, not
// secret, carried through a client that keeps signatures as they are.
const sealed = "hostless1:"

// seal makes a thought signature of reasoning details; unseal opens it again.
func seal(details []json.RawMessage) string {
	return base64.StdEncoding.EncodeToString(append([]byte(sealed), rawjson.Array(details)...))
}

func unseal(signature string) ([]json.RawMessage, bool) {
	data, err := base64.StdEncoding.DecodeString(signature)
	if err != nil {
		return nil, false
	}
	body, ok := strings.CutPrefix(string(data), sealed)
	if !ok || !json.Valid([]byte(body)) {
		return nil, false
	}
	return rawjson.Elements(json.RawMessage(body))
}

// opened is a call without its result yet.
type opened struct{ id, name string }

func (f *fromGemini) instruction() error {
	raw := rawjson.Set(f.req.SystemInstruction)
	if raw == nil {
		return nil
	}
	said, ok := rawjson.Text(raw)
	if !ok {
		var c content
		if err := json.Unmarshal(raw, &c); err != nil {
			return dialect.Invalid("systemInstruction", "systemInstruction must be a content")
		}
		var all []string
		for i, p := range c.Parts {
			s, ok := p.said()
			if !ok {
				return dialect.Invalid(fmt.Sprintf("systemInstruction.parts[%d]", i), "system instructions can only be text with this provider")
			}
			all = append(all, s)
		}
		said = strings.Join(all, "\n")
	}
	if said != "" {
		f.message("system", rawjson.Quote(said))
	}
	return nil
}

func (f *fromGemini) message(role string, content json.RawMessage, more ...rawjson.Member) {
	f.messages = append(f.messages, rawjson.Object(append(rawjson.Object{rawjson.T("role", role), rawjson.M("content", content)}, more...)).JSON())
}

// said is a part's text; ok is false for a part that is something else.
func (p *part) said() (s string, ok bool) {
	p.render()
	if p.Text == nil {
		return "", false
	}
	return rawjson.Text(*p.Text)
}

func (f *fromGemini) contents() error {
	raw := rawjson.Set(f.req.Contents)
	if raw == nil {
		return dialect.Invalid("contents", "contents are missing")
	}
	var list []content
	if rawjson.IsObject(raw) {
		raw = rawjson.Array([]json.RawMessage{raw})
	}
	if err := json.Unmarshal(raw, &list); err != nil {
		return dialect.Invalid("contents", "contents must be a list of contents: "+dialect.Why(err))
	}
	for i := range list {
		at := fmt.Sprintf("contents[%d]", i)
		var err error
		switch list[i].Role {
		case "user", "function", "":
			err = f.user(list[i].Parts, at)
		case "model":
			err = f.model(list[i].Parts, i, at)
		default:
			err = dialect.Invalid(at+".role", fmt.Sprintf("role %q is not known; use user or model", list[i].Role))
		}
		if err != nil {
			return err
		}
	}
	if len(f.messages) == 0 {
		return dialect.Invalid("contents", "contents hold nothing")
	}
	return nil
}

// user writes results of functions first: chat completions want them right
// behind their calls.
func (f *fromGemini) user(parts []part, at string) error {
	var rest []json.RawMessage
	plain := true
	for i := range parts {
		at := fmt.Sprintf("%s.parts[%d]", at, i)
		p := &parts[i]
		if p.FunctionResponse == nil {
			raw, isText, err := f.userPart(p, at)
			if err != nil {
				return err
			}
			if raw != nil {
				rest, plain = append(rest, raw), plain && isText
			}
			continue
		}
		if err := f.result(p.FunctionResponse, at); err != nil {
			return err
		}
		for k := range p.FunctionResponse.Parts {
			raw, _, err := f.userPart(&p.FunctionResponse.Parts[k], fmt.Sprintf("%s.functionResponse.parts[%d]", at, k))
			if err != nil {
				return err
			}
			if raw != nil {
				rest, plain = append(rest, raw), false
			}
		}
	}
	switch {
	case len(rest) == 0:
	case plain && len(rest) == 1:
		var one chatPart
		if err := json.Unmarshal(rest[0], &one); err != nil {
			return err
		}
		f.message("user", rawjson.Quote(one.Text))
	default:
		f.message("user", rawjson.Array(rest))
	}
	return nil
}

// userPart gives one part of a chat message, nil for an empty one.
func (f *fromGemini) userPart(p *part, at string) (raw json.RawMessage, isText bool, err error) {
	if s, ok := p.said(); ok {
		if s == "" || p.Thought {
			return nil, true, nil
		}
		return rawjson.Object{rawjson.T("type", "text"), rawjson.T("text", s)}.JSON(), true, nil
	}
	switch {
	case p.InlineData != nil:
		raw, err = inlinePart(p.InlineData, at+".inlineData")
		return raw, false, err
	case p.FileData != nil:
		if strings.HasPrefix(p.FileData.FileURI, "https://") && !googles(p.FileData.FileURI) &&
			(p.FileData.MimeType == "" || strings.HasPrefix(p.FileData.MimeType, "image/")) {
			return imagePart(p.FileData.FileURI), false, nil
		}
		return nil, false, dialect.Invalid(at+".fileData", "files kept by Google and files that are no images cannot be used with this provider; send them as inlineData")
	case p.FunctionCall != nil:
		return nil, false, dialect.Invalid(at+".functionCall", "a function call belongs to a turn of the model")
	}
	return nil, false, nil
}

func imagePart(url string) json.RawMessage {
	return rawjson.Object{rawjson.T("type", "image_url"), rawjson.M("image_url", rawjson.Object{rawjson.T("url", url)}.JSON())}.JSON()
}

func inlinePart(b *blob, at string) (json.RawMessage, error) {
	mime := mimeType(b.MimeType)
	uri := "data:" + mime + ";base64," + b.Data
	kind, sub, _ := strings.Cut(mime, "/")
	switch {
	case kind == "image":
		return imagePart(uri), nil
	case kind == "audio":
		switch sub {
		case "mpeg":
			sub = "mp3"
		case "x-wav", "wave":
			sub = "wav"
		}
		return rawjson.Object{rawjson.T("type", "input_audio"), rawjson.M("input_audio", rawjson.Object{rawjson.T("data", b.Data), rawjson.T("format", sub)}.JSON())}.JSON(), nil
	case kind == "text":
		data, err := base64.StdEncoding.DecodeString(b.Data)
		if err != nil {
			return nil, dialect.Invalid(at+".data", "the data is not base64")
		}
		return rawjson.Object{rawjson.T("type", "text"), rawjson.T("text", string(data))}.JSON(), nil
	case mime == "application/pdf":
		name := b.DisplayName
		if name == "" {
			name = "file.pdf"
		}
		return rawjson.Object{rawjson.T("type", "file"), rawjson.M("file", rawjson.Object{rawjson.T("filename", name), rawjson.T("file_data", uri)}.JSON())}.JSON(), nil
	}
	return nil, dialect.Invalid(at+".mimeType", fmt.Sprintf("data of type %q cannot be used with this provider", b.MimeType))
}

// result writes a tool message, for the call that it answers: by id, else by
// name in the order of the calls.
func (f *fromGemini) result(r *functionResponse, at string) error {
	i := slices.IndexFunc(f.open, func(o opened) bool {
		if r.ID != "" {
			return o.id == r.ID
		}
		return o.name == r.Name
	})
	if i < 0 && r.ID != "" {
		i = slices.IndexFunc(f.open, func(o opened) bool { return o.name == r.Name })
	}
	if i < 0 {
		return dialect.Invalid(at+".functionResponse", fmt.Sprintf("the response of %q answers no function call before it", r.Name))
	}
	id := f.open[i].id
	f.open = slices.Delete(f.open, i, i+1)
	said := string(rawjson.Compact(r.Response))
	if rawjson.Set(r.Response) == nil {
		said = "{}"
	}
	// {"output":"…"} is how Google's clients wrap a text.
	if list, ok := rawjson.Members(r.Response); ok && len(list) == 1 && list[0].Name == "output" {
		if s, ok := rawjson.Text(list[0].Value); ok {
			said = s
		}
	}
	f.message("tool", rawjson.Quote(said), rawjson.T("tool_call_id", id))
	return nil
}

func (f *fromGemini) model(parts []part, turn int, at string) error {
	var said, thought strings.Builder
	var calls, details, kept []json.RawMessage
	f.open = nil
	spoke := false
	var signature string
	for i := range parts {
		at := fmt.Sprintf("%s.parts[%d]", at, i)
		p := &parts[i]
		inside, ours := unseal(p.ThoughtSignature)
		switch s, ok := p.said(); {
		case ok && p.Thought:
			thought.WriteString(s)
			details = append(details, inside...)
		case ok:
			said.WriteString(s)
			spoke = spoke || s != ""
			kept = append(kept, inside...)
			if !ours && p.ThoughtSignature != "" {
				signature = p.ThoughtSignature
			}
		case p.FunctionCall != nil:
			call, err := f.call(p.FunctionCall, fmt.Sprintf("call_%d_%d", turn, i), at)
			if err != nil {
				return err
			}
			kept = append(kept, inside...)
			if !ours && p.ThoughtSignature != "" && p.ThoughtSignature != skipValidator {
				call = append(call, rawjson.M("extra_content", appendSignature(nil, p.ThoughtSignature)))
			}
			calls = append(calls, call.JSON())
		case p.FunctionResponse != nil:
			return dialect.Invalid(at+".functionResponse", "a function response belongs to a turn of the user")
		case p.InlineData != nil || p.FileData != nil:
			return dialect.Invalid(at, "what a model made other than text cannot be sent back to this provider")
		}
	}
	if len(details) == 0 {
		details = kept
	}
	if !spoke && len(calls) == 0 {
		return nil
	}
	content := json.RawMessage("null")
	if spoke {
		content = rawjson.Quote(said.String())
	}
	var more rawjson.Object
	if thought.Len() > 0 {
		more = append(more, rawjson.T("reasoning_content", thought.String()))
	}
	if len(details) > 0 {
		more = append(more, rawjson.M("reasoning_details", rawjson.Array(details)))
	}
	if len(calls) > 0 {
		more = append(more, rawjson.M("tool_calls", rawjson.Array(calls)))
	}
	if signature != "" {
		more = append(more, rawjson.M("extra_content", appendSignature(nil, signature)))
	}
	f.message("assistant", content, more...)
	return nil
}

// call gives a tool call's members. Calls without an id get one by their place,
// which is the same each time the conversation comes again.
func (f *fromGemini) call(c *functionCall, id, at string) (rawjson.Object, error) {
	if c.Name == "" {
		return nil, dialect.Invalid(at+".functionCall.name", "a function call needs a name")
	}
	args := json.RawMessage("{}")
	if a := rawjson.Set(c.Args); a != nil {
		if !rawjson.IsObject(a) {
			return nil, dialect.Invalid(at+".functionCall.args", "a function call's args must be an object")
		}
		args = rawjson.Compact(a)
	}
	if c.ID != "" {
		id = c.ID
	}
	f.open = append(f.open, opened{id, c.Name})
	return rawjson.Object{
		rawjson.T("id", id), rawjson.T("type", "function"),
		rawjson.M("function", rawjson.Object{rawjson.T("name", c.Name), rawjson.T("arguments", string(args))}.JSON()),
	}, nil
}
