package openai

import (
	"strings"

	"github.com/hostless/hostless/pkg/jsonscan"
)

// encryptedFormat is OpenRouter's name for the format of reasoning that the
// Responses API encrypted.
const encryptedFormat = "openai-responses-v1"

// Encrypted is a reasoning item of the Responses API in the intermediate form, an
// element of reasoning_details:
// {"type":"reasoning.encrypted","data","format","provider","before"}. Only its
// provider can read it.
type Encrypted struct {
	Provider string // the provider's name in the catalogue
	Data     string // the item's encrypted_content
	Before   string // id of the tool call that the item came right before, or ""
}

// Detail returns the element.
func (e Encrypted) Detail() jsonscan.Value {
	o := jsonscan.Obj(
		jsonscan.Field{Name: "type", Value: jsonscan.Lit(`"reasoning.encrypted"`)}, jsonscan.Field{Name: "data", Value: jsonscan.Quoted(e.Data)},
		jsonscan.Field{Name: "format", Value: jsonscan.Quoted(encryptedFormat)}, jsonscan.Field{Name: "provider", Value: jsonscan.Quoted(e.Provider)})
	if e.Before != "" {
		o.PutText("before", e.Before)
	}
	return o
}

// EncryptedOf reads an element of reasoning_details. ok is false if it is of
// another kind.
func EncryptedOf(detail jsonscan.Value) (e Encrypted, ok bool) {
	if detail.Kind() != '{' || !strings.HasPrefix(detail.Get("format").String().Text(), "openai-responses") {
		return e, false
	}
	e.Provider, e.Before = detail.Get("provider").String().Text(), detail.Get("before").String().Text()
	e.Data = detail.Get("data").String().Text()
	return e, e.Data != ""
}
