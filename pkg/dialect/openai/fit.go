package openai

import (
	"strconv"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/jsonscan"
)

// Model is what the provider's list or the model facts say about a model. The zero
// value is a model about which nothing is known.
type Model struct {
	Output    int  // maximum tokens of a response; 0 if not known
	TextOnly  bool // it accepts only text
	ThinksNot bool // it does not accept reasoning_effort
}

// leftOut replaces an image or file that a model cannot read.
var leftOut = map[string]string{
	"image_url":   "[picture left out: this model reads text only]",
	"input_audio": "[sound left out: this model reads text only]",
	"video_url":   "[video left out: this model reads text only]",
	"file":        "[file left out: this model reads text only]",
}

// Fit returns first, a translator to chat completions, with its requests adapted to
// the model: at most as many output tokens as the model supports, a line of text
// for each image that it cannot read, and no effort if it does not think.
func Fit(first dialect.Translator, m Model) dialect.Translator {
	if m == (Model{}) {
		return first
	}
	return func(in dialect.Request) (*dialect.Call, error) {
		unwritten := in.Unwritten
		in.Unwritten = true
		call, err := first(in)
		if err != nil {
			return nil, err
		}
		chat := call.Chat
		if call.Body != nil {
			chat = jsonscan.Raw(call.Body)
		}
		f := fitting{model: m, ignored: call.Ignored}
		chat = f.request(chat)
		in.Unwritten, call.Body, call.Chat, call.Ignored = unwritten, nil, jsonscan.Value{}, f.ignored
		call.SetChat(in, chat)
		return call, nil
	}
}

// FitFrom returns second, a translator from chat completions, with its requests
// adapted as Fit does.
func FitFrom(second dialect.Translator, m Model) dialect.Translator {
	if m == (Model{}) {
		return second
	}
	return func(in dialect.Request) (*dialect.Call, error) {
		f := fitting{model: m}
		in.Chat, in.Body = f.request(in.Value()), nil
		call, err := second(in)
		if err == nil {
			call.Ignored = append(f.ignored, call.Ignored...)
		}
		return call, err
	}
}

// WithoutPictures returns a chat request with a line of text in place of each image
// and file, and the names of what was replaced.
func WithoutPictures(body []byte) (out []byte, ignored []string) {
	f := fitting{model: Model{TextOnly: true}, files: true}
	return f.request(jsonscan.Raw(body)).JSON(), f.ignored
}

type fitting struct {
	model   Model
	files   bool // replace files too; some providers extract their text for models that cannot read them
	ignored []string
}

func (f *fitting) request(chat jsonscan.Value) jsonscan.Value {
	if chat.Kind() != '{' {
		return chat
	}
	out := jsonscan.Obj()
	for name, value := range chat.Members() {
		switch name {
		case "max_tokens", MaxCompletionTokens:
			if n, err := strconv.ParseInt(string(value.JSON()), 10, 64); err == nil && f.model.Output > 0 && n > int64(f.model.Output) {
				value = jsonscan.Raw(strconv.AppendInt(nil, int64(f.model.Output), 10))
			}
		case "reasoning_effort":
			if f.model.ThinksNot {
				if !value.Is(`"none"`) && value.Set() {
					f.ignored = dialect.Ignore(f.ignored, name)
				}
				continue
			}
		case "messages":
			if f.model.TextOnly {
				value = f.messages(value)
			}
		}
		out.Put(name, value)
	}
	return out
}

func (f *fitting) messages(list jsonscan.Value) jsonscan.Value {
	if list.Kind() != '[' {
		return list
	}
	var messages []jsonscan.Value
	changed := false
	for _, m := range list.Elements() {
		if m.Kind() == '{' {
			if content, ok := f.content(m.Get("content")); ok {
				m, changed = replaced(m, "content", content), true
			}
		}
		messages = append(messages, m)
	}
	if !changed {
		return list
	}
	return jsonscan.Arr(messages)
}

// content replaces the parts that the model cannot read. If only text remains, it
// becomes a string, which every provider accepts.
func (f *fitting) content(list jsonscan.Value) (out jsonscan.Value, changed bool) {
	if list.Kind() != '[' {
		return list, false
	}
	var parts []jsonscan.Value
	var texts []jsonscan.String
	for _, part := range list.Elements() {
		kind := part.Get("type").String().Text()
		if line := leftOut[kind]; line != "" && (kind != "file" || f.files) {
			f.ignored = dialect.Ignore(f.ignored, "messages."+kind)
			part, changed = jsonscan.Obj(jsonscan.Field{Name: "type", Value: jsonscan.Lit(`"text"`)}, jsonscan.Field{Name: "text", Value: jsonscan.Quoted(line)}), true
		}
		if s := part.Get("text").String(); s != nil && part.Get(CacheControl).Absent() {
			texts = append(texts, s)
		}
		parts = append(parts, part)
	}
	if changed && len(texts) == len(parts) {
		return jsonscan.Join("\n", texts...), true
	}
	return jsonscan.Arr(parts), changed
}
