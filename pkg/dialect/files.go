package dialect

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/url"
	"path"
	"strings"
	"unicode/utf8"

	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/jsonscan"
)

// Fetch downloads a file from an https URL that a client names, within the limits
// of one request. It must refuse addresses that the client must not reach.
type Fetch func(ctx context.Context, url string) (mime string, data []byte, err error)

// Unfetched returns the error, as the client sees it, for a file that was not
// downloaded. at is the parameter that names the file.
func Unfetched(err error, at string) error {
	if total := fault.From(err); total.Kind == fault.TooLarge {
		return &fault.Error{Kind: fault.TooLarge, Message: total.Message, Next: total.Next, Param: at, Err: err}
	}
	return &fault.Error{Kind: fault.Invalid, Message: "the file cannot be downloaded", Param: at, Err: err}
}

// FileKind guesses the kind of a file from its name or the path of its URL: "pdf",
// "image", "text", or "" if it cannot tell.
func FileKind(name string) string {
	if u, err := url.Parse(name); err == nil && u.Path != "" {
		name = u.Path
	}
	switch strings.ToLower(path.Ext(name)) {
	case ".pdf":
		return "pdf"
	case ".png", ".jpg", ".jpeg", ".gif", ".webp":
		return "image"
	case ".txt", ".md", ".csv", ".json", ".xml", ".html", ".htm", ".log", ".yaml", ".yml":
		return "text"
	}
	return ""
}

// InlineFiles returns the translator first, to chat completions, with one addition:
// it downloads the files that the messages name by file_url, which no provider of
// chat completions accepts, and inlines them: a PDF as file_data, an image as
// image_url, text as text. It only does so for URLs that wanted selects; nil
// selects all.
func InlineFiles(ctx context.Context, first Translator, fetch Fetch, wanted func(url string) bool) Translator {
	return func(in Request) (*Call, error) {
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
		f := inliner{ctx, fetch, wanted, false}
		messages, err := f.messages(chat.Get("messages"))
		if err != nil || !f.changed {
			if in.Unwritten = unwritten; err == nil && call.Body == nil {
				call.SetChat(in, chat)
			}
			return call, err
		}
		out := jsonscan.Obj()
		for name, value := range chat.Members() {
			if name == "messages" {
				value = messages
			}
			out.Put(name, value)
		}
		in.Unwritten, call.Body, call.Chat = unwritten, nil, jsonscan.Value{}
		call.SetChat(in, out)
		return call, nil
	}
}

type inliner struct {
	ctx     context.Context
	fetch   Fetch
	wanted  func(url string) bool
	changed bool
}

func (f *inliner) messages(list jsonscan.Value) (jsonscan.Value, error) {
	var out []jsonscan.Value
	for i, message := range list.Elements() {
		content := message.Get("content")
		if content.Kind() == '[' {
			parts, changed, err := f.parts(content, fmt.Sprintf("messages[%d].content", i))
			if err != nil {
				return list, err
			}
			if changed {
				f.changed = true
				message = with(message, "content", parts)
			}
		}
		out = append(out, message)
	}
	return jsonscan.Arr(out), nil
}

func (f *inliner) parts(list jsonscan.Value, at string) (_ jsonscan.Value, changed bool, err error) {
	var out []jsonscan.Value
	for i, part := range list.Elements() {
		if part.Get("type").Is(`"file"`) {
			file := part.Get("file")
			if address := file.Get("file_url").String(); !address.Empty() && (f.wanted == nil || f.wanted(address.Text())) {
				if part, err = f.part(file, address.Text(), fmt.Sprintf("%s[%d].file.file_url", at, i)); err != nil {
					return list, false, err
				}
				changed = true
			}
		}
		out = append(out, part)
	}
	return jsonscan.Arr(out), changed, nil
}

// part downloads a file and returns it as a part of a message.
func (f *inliner) part(file jsonscan.Value, address, at string) (jsonscan.Value, error) {
	if !strings.HasPrefix(address, "https://") {
		return file, Invalid(at, "only files of https: addresses can be used with this provider")
	}
	mime, data, err := f.fetch(f.ctx, address)
	if err != nil {
		return file, Unfetched(err, at)
	}
	name := file.Get("filename").String().Text()
	if name == "" {
		name = FileName(address)
	}
	encoded := func() jsonscan.Value {
		return jsonscan.Raw([]byte(`"data:` + mime + `;base64,` + base64.StdEncoding.EncodeToString(data) + `"`))
	}
	typed := func(kind string, value jsonscan.Value) jsonscan.Value {
		return jsonscan.Obj(jsonscan.Field{Name: "type", Value: jsonscan.Quoted(kind)}, jsonscan.Field{Name: kind, Value: value})
	}
	switch kind, _, _ := strings.Cut(mime, "/"); {
	case kind == "image":
		return typed("image_url", jsonscan.Obj(jsonscan.Field{Name: "url", Value: encoded()})), nil
	case kind == "text" || mime == "application/json" || mime == "application/xml" || FileKind(address) == "text" && utf8.Valid(data):
		return typed("text", jsonscan.Quoted(name+"\n\n"+string(data))), nil
	}
	return typed("file", jsonscan.Obj(jsonscan.Field{Name: "filename", Value: jsonscan.Quoted(name)}, jsonscan.Field{Name: "file_data", Value: encoded()})), nil
}

// FileName returns the name that a URL gives a file.
func FileName(address string) string {
	if u, err := url.Parse(address); err == nil {
		if name := path.Base(u.Path); name != "." && name != "/" {
			return name
		}
	}
	return "file"
}

// with returns a copy of an object with another value for one member.
func with(object jsonscan.Value, name string, value jsonscan.Value) jsonscan.Value {
	out := jsonscan.Obj()
	for have, old := range object.Members() {
		if have == name {
			old = value
		}
		out.Put(have, old)
	}
	return out
}
