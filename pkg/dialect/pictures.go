package dialect

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/hostless/hostless/pkg/jsonscan"
)

// Pictured is the part of a message or delta of the intermediate form that holds
// the images that the model made. It is meant to be embedded.
type Pictured struct {
	Images []Picture `json:"images"`
}

// Picture is one image: {"type":"image_url","image_url":{"url":…}}.
type Picture struct {
	ImageURL jsonscan.Value `json:"image_url"`
}

// URL returns the image's URL, usually a data: URL.
func (p *Picture) URL() jsonscan.String {
	if p.ImageURL.Kind() == '{' {
		return p.ImageURL.Get("url").String()
	}
	return p.ImageURL.String()
}

// InWords describes an image in text, for a dialect that cannot represent it.
func (p *Picture) InWords() string {
	address := p.URL()
	if media, data, ok := DataURL(address); ok {
		return fmt.Sprintf("[The model made a picture (%s, %d KB), which this API cannot carry. Ask for it by chat completions, Responses or generateContent.]", media, (len(data)*3/4+1023)/1024)
	}
	return "[The model made a picture: " + address.Text() + "]"
}

// MakesPictures reports whether a model with that name responds with images.
func MakesPictures(model string) bool {
	base := strings.ToLower(model[strings.LastIndexByte(model, '/')+1:])
	return strings.Contains(base, "image") || strings.Contains(base, "nano-banana")
}

// DataURL splits a base64 data: URL. The media type is in lower case and without
// parameters, with image/jpg corrected to image/jpeg. The data is a JSON string, as
// the URL is.
func DataURL(url jsonscan.String) (media string, data jsonscan.String, ok bool) {
	comma := bytes.IndexByte(url, ',')
	if comma < 0 || len(url) <= comma+2 || !url.HasPrefix("data:") {
		return "", nil, false
	}
	head := strings.ToLower(strings.TrimPrefix(append(url[:comma:comma], '"').Text(), "data:"))
	if !strings.HasSuffix(head, ";base64") {
		return "", nil, false
	}
	media, _, _ = strings.Cut(head, ";")
	if media == "image/jpg" {
		media = "image/jpeg"
	}
	return strings.TrimSpace(media), append(jsonscan.String{'"'}, url[comma+1:]...), true
}
