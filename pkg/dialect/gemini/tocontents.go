package gemini

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/rawjson"
	"github.com/hostless/hostless/pkg/jsonscan"
)

// sealed begins the decoded form of thought signatures made here. They contain
// reasoning_details of the intermediate form, which are not secret, for clients
// that send signatures back unchanged.
const sealed = "hostless1:"

// seal encodes reasoning details as a thought signature; unseal reverses it.
func seal(details []json.RawMessage) string {
	return base64.StdEncoding.EncodeToString(append([]byte(sealed), rawjson.Array(details)...))
}

// sealedPrefix is the beginning of the base64 of every sealed signature.
const sealedPrefix = "aG9zdGxlc3Mx"

func unseal(signature string) ([]json.RawMessage, bool) {
	if !strings.HasPrefix(signature, sealedPrefix) {
		return nil, false
	}
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

// openCall is a call that has no result yet.
type openCall struct{ id, name string }

func (f *fromGemini) instruction() error {
	raw := rawjson.Set(f.req.SystemInstruction)
	if raw == nil {
		return nil
	}
	var texts []jsonscan.String
	if rawjson.IsString(raw) {
		texts = []jsonscan.String{jsonscan.String(raw)}
	} else {
		var c content
		if err := jsonscan.Decode(raw, &c); err != nil {
			return dialect.Invalid("systemInstruction", "systemInstruction must be a content")
		}
		for i := range c.Parts {
			p := &c.Parts[i]
			if p.renderCode(); p.Text == nil {
				return dialect.Invalid(fmt.Sprintf("systemInstruction.parts[%d]", i), "system instructions can only be text with this provider")
			}
			texts = append(texts, p.Text)
		}
	}
	if len(texts) > 1 || len(texts) == 1 && !texts[0].Empty() {
		f.message("system", jsonscan.Join("\n", texts...))
	}
	return nil
}

func (f *fromGemini) message(role string, content jsonscan.Value, more ...jsonscan.Field) {
	fields := append(make([]jsonscan.Field, 0, 2+len(more)), member("role", jsonscan.Quoted(role)), member("content", content))
	f.messages = append(f.messages, jsonscan.Obj(append(fields, more...)...))
}

func (f *fromGemini) contents() error {
	raw := rawjson.Set(f.req.Contents)
	if raw == nil {
		return dialect.Invalid("contents", "contents are missing")
	}
	var list []content
	var err error
	if rawjson.IsObject(raw) {
		list = make([]content, 1)
		err = jsonscan.Decode(raw, &list[0])
	} else {
		err = jsonscan.Decode(raw, &list)
	}
	if err != nil {
		return dialect.Invalid("contents", "contents must be a list of content objects: "+dialect.Why(err))
	}
	for i := range list {
		at := fmt.Sprintf("contents[%d]", i)
		var err error
		if list[i].Role == "model" || !list[i].responds() {
			f.interrupted()
		}
		switch list[i].Role {
		case "user", "function", "":
			err = f.user(list[i].Parts, at)
		case "model":
			err = f.model(list[i].Parts, i, at)
		default:
			err = dialect.Invalid(at+".role", fmt.Sprintf("role %q is unknown: use user or model", list[i].Role))
		}
		if err != nil {
			return err
		}
	}
	f.interrupted()
	if len(f.messages) == 0 {
		return dialect.Invalid("contents", "contents have no parts")
	}
	return nil
}

// responds reports whether a content contains function responses.
func (c *content) responds() bool {
	return slices.ContainsFunc(c.Parts, func(p part) bool { return p.FunctionResponse != nil })
}

// interrupted adds results for the calls that have none in the history because
// their user stopped them: chat completions require one for each call.
func (f *fromGemini) interrupted() {
	for _, call := range f.calls {
		f.message("tool", jsonscan.Lit(`"no result: the call was interrupted"`), member("tool_call_id", jsonscan.Quoted(call.id)))
		f.ignored = dialect.Ignore(f.ignored, "contents.functionCall")
	}
	f.calls = nil
}

// user writes function results first, because chat completions require them right
// after their calls.
func (f *fromGemini) user(parts []part, at string) error {
	var rest []jsonscan.Value
	var text jsonscan.String // the last part's text, if all parts are text
	plain := true
	add := func(p *part, at string) error {
		if p.renderCode(); p.skipped() {
			return nil
		}
		v, err := userPart(p, at)
		rest, text, plain = append(rest, v), p.Text, plain && p.Text != nil
		return err
	}
	for i := range parts {
		at := fmt.Sprintf("%s.parts[%d]", at, i)
		r := parts[i].FunctionResponse
		if r == nil {
			if err := add(&parts[i], at); err != nil {
				return err
			}
			continue
		}
		if content := resultOf(r); !f.result(r, content) {
			f.ignored = dialect.Ignore(f.ignored, "contents.functionResponse")
			rest, text = append(rest, typed("text", content)), content.String()
		}
		var shown []part
		if raw := rawjson.Set(r.Parts); raw != nil {
			if err := jsonscan.Decode(raw, &shown); err != nil {
				return dialect.Invalid(at+".functionResponse.parts", "parts must be a list of part objects: "+dialect.Why(err))
			}
		}
		for k := range shown {
			if err := add(&shown[k], fmt.Sprintf("%s.functionResponse.parts[%d]", at, k)); err != nil {
				return err
			}
			plain = false
		}
	}
	if len(rest) > 0 {
		f.interrupted() // before another message comes between them and their results
	}
	switch {
	case len(rest) == 0:
	case plain && len(rest) == 1:
		f.message("user", jsonscan.Str(text))
	default:
		f.message("user", jsonscan.Arr(rest))
	}
	return nil
}

// skipped reports whether a part of a user's turn has nothing to pass on.
func (p *part) skipped() bool {
	if p.Text != nil {
		return p.Text.Empty() || p.Thought
	}
	return p.InlineData == nil && p.FileData == nil && p.FunctionCall == nil
}

// typed returns a part of a chat message: its type, and the member with that name.
func typed(kind string, value jsonscan.Value) jsonscan.Value {
	return jsonscan.Obj(member("type", jsonscan.Quoted(kind)), member(kind, value))
}

// userPart returns a part of a user's turn as a part of a chat message.
func userPart(p *part, at string) (v jsonscan.Value, err error) {
	switch {
	case p.Text != nil:
		return typed("text", jsonscan.Str(p.Text)), nil
	case p.InlineData != nil:
		return inlinePart(p.InlineData, at+".inlineData")
	case p.FileData != nil:
		if strings.HasPrefix(p.FileData.FileURI, "https://") && !googles(p.FileData.FileURI) &&
			(p.FileData.MimeType == "" || strings.HasPrefix(p.FileData.MimeType, "image/")) {
			if p.FileData.MimeType != "" || dialect.FileKind(p.FileData.FileURI) != "pdf" {
				return typed("image_url", jsonscan.Obj(member("url", jsonscan.Quoted(p.FileData.FileURI)))), nil
			}
		}
		if strings.HasPrefix(p.FileData.FileURI, "https://") && !googles(p.FileData.FileURI) {
			return typed("file", jsonscan.Obj(member("file_url", jsonscan.Quoted(p.FileData.FileURI)))), nil
		}
		return v, dialect.Invalid(at+".fileData", "files stored by Google cannot be used with this provider: send them as inlineData")
	}
	return v, dialect.Invalid(at+".functionCall", "a function call belongs to a turn of the model")
}

// inlinePart returns inline data as the chat part for its type.
func inlinePart(data *blob, at string) (v jsonscan.Value, err error) {
	mime := mimeType(data.MimeType)
	kind, sub, _ := strings.Cut(mime, "/")
	switch {
	case kind == "image":
		return typed("image_url", jsonscan.Obj(member("url", dataURL(mime, data)))), nil
	case kind == "audio":
		switch sub {
		case "mpeg":
			sub = "mp3"
		case "x-wav", "wave":
			sub = "wav"
		}
		return typed("input_audio", jsonscan.Obj(member("data", jsonscan.Str(data.Data)), member("format", jsonscan.Quoted(sub)))), nil
	case kind == "text":
		text, err := base64.StdEncoding.DecodeString(data.Data.Text())
		if err != nil {
			return v, dialect.Invalid(at+".data", "the data is not base64")
		}
		return typed("text", jsonscan.Raw(jsonscan.AppendQuote(nil, text))), nil
	case mime == "application/pdf":
		name := data.DisplayName
		if name == "" {
			name = "file.pdf"
		}
		return typed("file", jsonscan.Obj(member("filename", jsonscan.Quoted(name)), member("file_data", dataURL(mime, data)))), nil
	}
	return v, dialect.Invalid(at+".mimeType", fmt.Sprintf("data of type %q cannot be used with this provider", data.MimeType))
}

func dataURL(mime string, data *blob) jsonscan.Value {
	return jsonscan.Raw(appendDataURL(make([]byte, 0, len(mime)+len(data.Data)+16), mime, data))
}

// result writes the tool message for a function response. It finds the call by id,
// or else by name in the order of the calls, and reports whether there is one.
func (f *fromGemini) result(r *functionResponse, content jsonscan.Value) bool {
	i := slices.IndexFunc(f.calls, func(o openCall) bool {
		if r.ID != "" {
			return o.id == r.ID
		}
		return o.name == r.Name
	})
	if i < 0 && r.ID != "" {
		i = slices.IndexFunc(f.calls, func(o openCall) bool { return o.name == r.Name })
	}
	if i < 0 {
		return false
	}
	id := f.calls[i].id
	f.calls = slices.Delete(f.calls, i, i+1)
	f.message("tool", content, member("tool_call_id", jsonscan.Quoted(id)))
	return true
}

// resultOf returns a function's response as the text of a tool message.
func resultOf(r *functionResponse) jsonscan.Value {
	if text := outputOf(r.Response); text != nil {
		return jsonscan.Str(text)
	}
	if response := rawjson.Set(r.Response); response != nil {
		return jsonscan.Raw(jsonscan.AppendCompactQuoted(nil, response))
	}
	return jsonscan.Lit(`"{}"`)
}

// outputOf returns the text of {"output":"…"}, which Google's clients use for text,
// or nil for any other response.
func outputOf(response json.RawMessage) (text jsonscan.String) {
	n := 0
	for name, value := range jsonscan.Members(response) {
		if n++; n > 1 || string(name) != "output" || !rawjson.IsString(value) {
			return nil
		}
		text = jsonscan.String(value)
	}
	return text
}

func (f *fromGemini) model(parts []part, turn int, at string) error {
	var texts, thoughts []jsonscan.String
	var calls []jsonscan.Value
	var details, kept []json.RawMessage
	f.calls = nil
	hasText := false
	var signature string
	for i := range parts {
		at := fmt.Sprintf("%s.parts[%d]", at, i)
		p := &parts[i]
		inside, ours := unseal(p.ThoughtSignature)
		switch p.renderCode(); {
		case p.Text != nil && p.Thought:
			thoughts = append(thoughts, p.Text)
			details = append(details, inside...)
		case p.Text != nil:
			texts = append(texts, p.Text)
			hasText = hasText || !p.Text.Empty()
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
			if !ours && p.ThoughtSignature != skipValidator {
				call.signature = p.ThoughtSignature
			}
			calls = append(calls, call.value())
		case p.FunctionResponse != nil:
			return dialect.Invalid(at+".functionResponse", "a function response belongs to a turn of the user")
		case p.InlineData != nil || p.FileData != nil:
			// Chat completions cannot send back what a model made except for text.
			f.ignored = dialect.Ignore(f.ignored, "contents.inlineData")
			texts, hasText = append(texts, jsonscan.String(`"[A picture or recording that the model made stood here.]"`)), true
		}
	}
	if len(details) == 0 {
		details = kept
	}
	if !hasText && len(calls) == 0 {
		return nil
	}
	content := jsonscan.Lit("null")
	if hasText {
		content = jsonscan.Join("", texts...)
	}
	var more []jsonscan.Field
	if slices.ContainsFunc(thoughts, func(s jsonscan.String) bool { return !s.Empty() }) {
		more = append(more, member("reasoning_content", jsonscan.Join("", thoughts...)))
	}
	if len(details) > 0 {
		more = append(more, member("reasoning_details", jsonscan.Raw(rawjson.Array(details))))
	}
	if len(calls) > 0 {
		more = append(more, member("tool_calls", jsonscan.Arr(calls)))
	}
	if signature != "" {
		more = append(more, member("extra_content", jsonscan.Raw(appendSignature(nil, signature))))
	}
	f.message("assistant", content, more...)
	return nil
}

// call reads a function call. A call without an id gets one from its position, so
// that it is the same in every later request.
func (f *fromGemini) call(c *functionCall, id, at string) (outCall, error) {
	if c.Name == "" {
		return outCall{}, dialect.Invalid(at+".functionCall.name", "a function call needs a name")
	}
	args := json.RawMessage("{}")
	if a := rawjson.Set(c.Args); a != nil {
		if args = a; !rawjson.IsObject(a) {
			args = append(append([]byte(`{"invalid_arguments":`), a...), '}')
			f.ignored = dialect.Ignore(f.ignored, "contents.functionCall.args")
		}
	}
	if c.ID != "" {
		id = c.ID
	}
	f.calls = append(f.calls, openCall{id, c.Name})
	return outCall{id: id, name: c.Name, args: args}, nil
}
