package dialect

import (
	"bytes"
	"strings"

	"github.com/hostless/hostless/pkg/jsonscan"
)

// maxErrorText is the maximum length of a plain text that is used as an error
// message.
const maxErrorText = 2000

// ErrorText finds the message in an error body that has none of the dialects'
// envelopes: {"error":"text"}, {"message":"text"}, {"detail":"text"} or
// {"detail":[{"msg":"text"}]}, as smaller servers send them, or a short text that
// is not HTML. It returns "" if it finds nothing.
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
