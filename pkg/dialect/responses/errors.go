package responses

import (
	"net/http"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/openai"
	"github.com/hostless/hostless/pkg/jsonscan"
)

// errorBody returns a provider's error in OpenAI's envelope, whatever its form. An
// error for a conversation that is too long gets OpenAI's code, because Codex then
// compacts the conversation.
func errorBody(status int, body []byte) []byte {
	if jsonscan.KindOf(body) == '{' && jsonscan.Valid(body) {
		raw := jsonscan.Raw(body).Get("error")
		if message := raw.Get("message").String(); raw.Kind() == '{' && message != nil {
			code := raw.Get("code").String().Text()
			if code == dialect.ContextLengthExceeded || !dialect.IsContextOverflow(code+" "+raw.Get("type").String().Text(), message.Text()) {
				return body
			}
			return openai.Error{Message: message.Text(), Type: "invalid_request_error", Param: raw.Get("param"), Code: jsonscan.Quoted(dialect.ContextLengthExceeded)}.Body()
		}
	}
	e := openai.Error{Message: dialect.ErrorText(body), Type: "server_error"}
	if status < 500 {
		e.Type = "invalid_request_error"
	}
	if e.Message == "" {
		e.Message = "the provider answered " + http.StatusText(status) + " without a reason"
	}
	if dialect.IsContextOverflow("", e.Message) {
		e.Code = jsonscan.Quoted(dialect.ContextLengthExceeded)
	}
	return e.Body()
}

// overflowed returns the code for an error in a stream: OpenAI's if the
// conversation is too long, and the error's own otherwise.
func overflowed(code, message string) string {
	if dialect.IsContextOverflow(code, message) {
		return dialect.ContextLengthExceeded
	}
	return code
}
