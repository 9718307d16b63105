package gemini

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"path"
	"strings"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/rawjson"
	"github.com/hostless/hostless/pkg/fault"
)

// filesBase is where the addresses of Google's own files begin.
const filesBase = "https://generativelanguage.googleapis.com/v1beta/"

// chatPart is one part of a message's content.
type chatPart struct {
	Type     string  `json:"type"`
	Text     string  `json:"text"`
	Refusal  string  `json:"refusal"`
	ImageURL urlPart `json:"image_url"`
	VideoURL urlPart `json:"video_url"`
	Audio    struct {
		Data   string `json:"data"`
		Format string `json:"format"`
	} `json:"input_audio"`
	File struct {
		ID   string `json:"file_id"`
		Data string `json:"file_data"`
		Name string `json:"filename"`
	} `json:"file"`
	CacheControl json.RawMessage `json:"cache_control"`
}

// urlPart is `{"url":…}`, or the bare address that some clients send.
type urlPart struct {
	URL string `json:"url"`
}

func (u *urlPart) UnmarshalJSON(raw []byte) error {
	if s, ok := rawjson.Text(raw); ok {
		u.URL = s
		return nil
	}
	type plain urlPart
	return json.Unmarshal(raw, (*plain)(u))
}

// parts translates a message's content: a string, a list of parts, or null.
func (t *toGemini) parts(raw json.RawMessage, at string) ([]part, error) {
	if rawjson.Set(raw) == nil {
		return nil, nil
	}
	if s, ok := rawjson.Text(raw); ok {
		if s == "" {
			return nil, nil
		}
		return []part{textPart(s)}, nil
	}
	var list []chatPart
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, dialect.Invalid(at, at+" must be a string or a list of parts")
	}
	var out []part
	for i := range list {
		at := fmt.Sprintf("%s[%d]", at, i)
		if rawjson.Set(list[i].CacheControl) != nil {
			t.ignore("cache_control")
		}
		p, err := t.part(&list[i], at)
		if err != nil {
			return nil, err
		}
		if p != nil {
			out = append(out, *p)
		}
	}
	return out, nil
}

func (t *toGemini) part(p *chatPart, at string) (*part, error) {
	switch p.Type {
	case "text":
		return optional(p.Text), nil
	case "refusal":
		return optional(p.Refusal), nil
	case "image_url":
		return t.address(p.ImageURL.URL, at+".image_url.url")
	case "video_url":
		return t.address(p.VideoURL.URL, at+".video_url.url")
	case "input_audio":
		if p.Audio.Data == "" || p.Audio.Format == "" {
			return nil, dialect.Invalid(at+".input_audio", "input_audio needs data and format")
		}
		return &part{InlineData: &blob{MimeType: "audio/" + p.Audio.Format, Data: p.Audio.Data}}, nil
	case "file":
		return t.file(p, at)
	}
	return nil, dialect.Invalid(at+".type", fmt.Sprintf("content parts of type %q cannot be used with this provider", p.Type))
}

func optional(s string) *part {
	if s == "" {
		return nil
	}
	p := textPart(s)
	return &p
}

func (t *toGemini) file(p *chatPart, at string) (*part, error) {
	switch {
	case p.File.ID != "":
		uri := p.File.ID
		if strings.HasPrefix(uri, "files/") {
			uri = filesBase + uri
		}
		if !googles(uri) {
			return nil, dialect.Invalid(at+".file.file_id", fmt.Sprintf("file %q is not one of Google's; send file_data, or an id as files/… of Google's Files API", p.File.ID))
		}
		return &part{FileData: &fileData{FileURI: uri}}, nil
	case strings.HasPrefix(p.File.Data, "data:"):
		return inline(p.File.Data, at+".file.file_data")
	case p.File.Data != "":
		return &part{InlineData: &blob{MimeType: mimeOf(p.File.Name), Data: p.File.Data}}, nil
	}
	return nil, dialect.Invalid(at+".file", "a file needs file_data or file_id")
}

// address translates a URL: data inline, Google's own files by reference,
// everything else of https is downloaded.
func (t *toGemini) address(uri, at string) (*part, error) {
	switch {
	case uri == "":
		return nil, dialect.Invalid(at, "the address is missing")
	case strings.HasPrefix(uri, "data:"):
		return inline(uri, at)
	case googles(uri):
		return &part{FileData: &fileData{FileURI: uri}}, nil
	case !strings.HasPrefix(uri, "https://"):
		return nil, dialect.Invalid(at, "only https: and data: addresses can be used with this provider")
	case t.options.Fetch == nil:
		return nil, dialect.Invalid(at, "this provider takes no addresses of other sites; send the file as a data: URL")
	}
	mime, data, err := t.options.Fetch(t.options.Context, uri)
	if err != nil {
		if total := fault.From(err); total.Kind == fault.TooLarge {
			return nil, &fault.Error{Kind: fault.TooLarge, Message: total.Message, Next: total.Next, Param: at, Err: err}
		}
		return nil, &fault.Error{Kind: fault.Invalid, Message: "the file cannot be downloaded", Param: at, Err: err}
	}
	return &part{InlineData: &blob{MimeType: mimeType(mime), Data: base64.StdEncoding.EncodeToString(data)}}, nil
}

// googles reports whether Gemini reads an address itself.
func googles(uri string) bool {
	if strings.HasPrefix(uri, "gs://") || strings.HasPrefix(uri, "https://generativelanguage.googleapis.com/") {
		return true
	}
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != "https" {
		return false
	}
	host := strings.ToLower(u.Hostname())
	return host == "youtu.be" || host == "youtube.com" || host == "www.youtube.com"
}

// inline translates a data: URL (RFC 2397).
func inline(uri, at string) (*part, error) {
	head, data, ok := strings.Cut(strings.TrimPrefix(uri, "data:"), ",")
	if !ok {
		return nil, dialect.Invalid(at, "the data: URL has no data")
	}
	mime, encoded := strings.CutSuffix(head, ";base64")
	if !encoded {
		plain, err := url.PathUnescape(data)
		if err != nil {
			return nil, dialect.Invalid(at, "the data: URL is not well escaped")
		}
		data = base64.StdEncoding.EncodeToString([]byte(plain))
	}
	return &part{InlineData: &blob{MimeType: mimeType(mime), Data: data}}, nil
}

// mimeType drops parameters and writes the names that Gemini knows.
func mimeType(mime string) string {
	mime, _, _ = strings.Cut(mime, ";")
	switch mime = strings.ToLower(strings.TrimSpace(mime)); mime {
	case "":
		return "text/plain" // RFC 2397's default
	case "image/jpg", "image/pjpeg":
		return "image/jpeg"
	}
	return mime
}

// mimeOf tells a file's type by its name.
func mimeOf(name string) string {
	switch strings.ToLower(path.Ext(name)) {
	case ".txt", ".md", ".csv", ".log":
		return "text/plain"
	case ".html", ".htm":
		return "text/html"
	case ".png":
		return "image/png"
	case ".jpg", ".jpeg":
		return "image/jpeg"
	case ".webp":
		return "image/webp"
	case ".mp3":
		return "audio/mp3"
	case ".wav":
		return "audio/wav"
	case ".mp4":
		return "video/mp4"
	}
	return "application/pdf" // what chat completions mean by a file
}
