package openai

import (
	"strconv"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/jsonscan"
)

// Model is what is known of a model, by its provider's list or the model facts. The
// zero value is one of which nothing is known.
type Model struct {
	Output    int  // most tokens of an answer, 0 if it is not known
	TextOnly  bool // it reads nothing but text
	ThinksNot bool // it takes no reasoning_effort
}

// leftOut stands for a picture or a file that a model cannot read.
var leftOut = map[string]string{
	"image_url":   "[picture left out: this model reads text only]",
	"input_audio": "[sound left out: this model reads text only]",
	"video_url":   "[video left out: this model reads text only]",
	"file":        "[file left out: this model reads text only]",
}

// Fit returns the translation to chat completions that first is, with its requests
// as the model takes them: no more output tokens than it gives, a line of text for
// each picture that it cannot read, and no effort where it does not think.
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

// FitFrom returns the translation from chat completions that second is, with its
// requests as Fit makes them.
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

// WithoutPictures returns a request for chat completions with a line of text for
// each picture and file, and what was replaced.
func WithoutPictures(body []byte) (out []byte, ignored []string) {
	f := fitting{model: Model{TextOnly: true}, files: true}
	return f.request(jsonscan.Raw(body)).JSON(), f.ignored
}

type fitting struct {
	model   Model
	files   bool // are left out too; some providers read them out where the model cannot
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

// content replaces the parts that the model cannot read; where text alone is left, it
// becomes a string, which every provider takes.
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
