package gemini

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"path"
	"strings"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/rawjson"
	"github.com/hostless/hostless/pkg/jsonscan"
)

// filesBase is the beginning of the URLs of Google's own files.
const filesBase = "https://generativelanguage.googleapis.com/v1beta/"

// chatPart is one part of a message's content.
type chatPart struct {
	Type     string          `json:"type"`
	Text     jsonscan.String `json:"text"`
	Refusal  jsonscan.String `json:"refusal"`
	ImageURL jsonscan.Value  `json:"image_url"`
	VideoURL jsonscan.Value  `json:"video_url"`
	Audio    struct {
		Data   jsonscan.String `json:"data"`
		Format string          `json:"format"`
	} `json:"input_audio"`
	File struct {
		ID   string          `json:"file_id"`
		URL  jsonscan.String `json:"file_url"`
		Data jsonscan.String `json:"file_data"`
		Name string          `json:"filename"`
	} `json:"file"`
	CacheControl json.RawMessage `json:"cache_control"`
}

// urlOf reads `{"url":…}`, or a plain URL as some clients send it.
func urlOf(v jsonscan.Value) jsonscan.String {
	if v.Kind() == '{' {
		v = v.Get("url")
	}
	return v.String()
}

// parts translates a message's content: a string, a list of parts, or null.
func (t *toGemini) parts(content jsonscan.Value, at string) ([]part, error) {
	if !content.Set() {
		return nil, nil
	}
	if text := content.String(); text != nil {
		if !text.Empty() {
			return []part{{Text: text}}, nil
		}
		return nil, nil
	}
	var list []chatPart
	if err := content.Decode(&list); err != nil {
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

// part translates one part. It returns nil for an empty one.
func (t *toGemini) part(p *chatPart, at string) (*part, error) {
	switch p.Type {
	case "text":
		return optional(p.Text), nil
	case "refusal":
		return optional(p.Refusal), nil
	case "image_url":
		return t.address(urlOf(p.ImageURL), at+".image_url.url")
	case "video_url":
		return t.address(urlOf(p.VideoURL), at+".video_url.url")
	case "input_audio":
		if p.Audio.Data.Empty() || p.Audio.Format == "" {
			return nil, dialect.Invalid(at+".input_audio", "input_audio needs data and format")
		}
		return &part{InlineData: &blob{MimeType: "audio/" + p.Audio.Format, Data: p.Audio.Data}}, nil
	case "file":
		return t.file(p, at)
	}
	return nil, dialect.Invalid(at+".type", fmt.Sprintf("content parts of type %q cannot be used with this provider", p.Type))
}

func optional(text jsonscan.String) *part {
	if text.Empty() {
		return nil
	}
	return &part{Text: text}
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
	case !p.File.URL.Empty():
		return t.address(p.File.URL, at+".file.file_url")
	case isDataURL(p.File.Data):
		return inline(p.File.Data, at+".file.file_data")
	case !p.File.Data.Empty():
		return &part{InlineData: &blob{MimeType: mimeOf(p.File.Name), Data: p.File.Data}}, nil
	}
	return nil, dialect.Invalid(at+".file", "a file needs file_data or file_id")
}

// address translates a URL: data becomes inline, Google's own files are referenced,
// and all other https URLs are downloaded.
func (t *toGemini) address(raw jsonscan.String, at string) (*part, error) {
	if isDataURL(raw) {
		return inline(raw, at)
	}
	uri := raw.Text()
	switch {
	case uri == "":
		return nil, dialect.Invalid(at, "the URL is missing")
	case googles(uri):
		return &part{FileData: &fileData{FileURI: uri}}, nil
	case !strings.HasPrefix(uri, "https://"):
		return nil, dialect.Invalid(at, "only https: and data: URLs can be used with this provider")
	case t.options.Fetch == nil:
		return nil, dialect.Invalid(at, "this provider does not support URLs of other sites: send the file as a data: URL")
	}
	mime, data, err := t.options.Fetch(t.options.Context, uri)
	if err != nil {
		return nil, dialect.Unfetched(err, at)
	}
	return &part{InlineData: &blob{MimeType: mimeType(mime), Data: encoded(data)}}, nil
}

// encoded returns data in base64, as a JSON string.
func encoded(data []byte) jsonscan.String {
	b := make([]byte, 0, base64.StdEncoding.EncodedLen(len(data))+2)
	return append(base64.StdEncoding.AppendEncode(append(b, '"'), data), '"')
}

// googles reports whether Gemini reads a URL itself.
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

func isDataURL(raw jsonscan.String) bool { return bytes.HasPrefix(raw, []byte(`"data:`)) }

// inline translates a data: URL (RFC 2397). It neither decodes nor copies base64
// data: that is the part after the comma.
func inline(raw jsonscan.String, at string) (*part, error) {
	comma := bytes.IndexByte(raw, ',')
	if comma < 0 {
		return nil, dialect.Invalid(at, "the data: URL has no data")
	}
	head := quoted(raw[len(`"data:`):comma]).Text()
	mime, isBase64 := strings.CutSuffix(head, ";base64")
	data := raw[comma:] // the comma is in the place of the opening quote
	if !isBase64 {
		plain, err := url.PathUnescape(quoted(raw[comma+1 : len(raw)-1]).Text())
		if err != nil {
			return nil, dialect.Invalid(at, "the data: URL is not escaped correctly")
		}
		data = encoded([]byte(plain))
	}
	return &part{InlineData: &blob{MimeType: mimeType(mime), Data: data}}, nil
}

// quoted makes a JSON string of a part of another one.
func quoted(inner []byte) jsonscan.String {
	return append(append(append(make([]byte, 0, len(inner)+2), '"'), inner...), '"')
}

// mimeType removes parameters and returns the name that Gemini uses.
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

// mimeOf returns a file's type from its name.
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
	return "application/pdf" // the usual type of a file in chat completions
}
