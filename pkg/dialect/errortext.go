package dialect

import (
	"bytes"
	"strings"

	"github.com/hostless/hostless/pkg/jsonscan"
)

// maxErrorText bounds a plain text that is taken for the words of an error.
const maxErrorText = 2000

// ErrorText finds what an error body says that is in none of the dialects'
// envelopes: {"error":"text"}, {"message":"text"}, {"detail":"text"},
// {"detail":[{"msg":"text"}]} of lesser servers, or a short text that is not a
// page of HTML. It returns "" where it finds nothing.
func ErrorText(body []byte) string {
	if jsonscan.KindOf(body) != '{' || !jsonscan.Valid(body) {
		text := bytes.TrimSpace(body)
		if len(text) == 0 || text[0] == '<' || len(text) > maxErrorText {
			return ""
		}
		return strings.ToValidUTF8(string(text), "\ufffd")
	}
	var e struct {
		Error, Message, Detail, Msg jsonscan.Value
	}
	for name, value := range jsonscan.Raw(body).Members() {
		switch name {
		case "error":
			e.Error = value
		case "message":
			e.Message = value
		case "detail", "details":
			e.Detail = value
		case "msg", "error_description":
			e.Msg = value
		}
	}
	for _, v := range []jsonscan.Value{e.Message, e.Error, e.Detail, e.Msg} {
		if text := errorText(v); text != "" {
			return text
		}
	}
	return ""
}

func errorText(v jsonscan.Value) string {
	switch v.Kind() {
	case '"':
		return v.String().Text()
	case '{':
		return ErrorText(v.JSON())
	case '[':
		var lines []string
		for _, one := range v.Elements() {
			if text := errorText(one); text != "" {
				lines = append(lines, text)
			}
		}
		return strings.Join(lines, "; ")
	}
	return ""
}
