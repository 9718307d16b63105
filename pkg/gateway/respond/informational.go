package respond

import (
	"net/http"

	"github.com/hostless/hostless/pkg/redact"
)

// Informational passes a provider's 1xx answers on. While another attempt may follow
// they are held: those of a candidate that is not accepted are not the caller's. It
// belongs to one attempt.
type Informational struct {
	Writer   *Writer
	Redactor redact.Redactor
	Hold     bool // until Release

	held []heldAnswer
}

type heldAnswer struct {
	status int
	header http.Header
}

// Got takes one of them.
func (i *Informational) Got(status int, header http.Header) {
	if i.Hold {
		i.held = append(i.held, heldAnswer{status, header.Clone()})
		return
	}
	i.send(status, header)
}

// Release sends those that were held.
func (i *Informational) Release() {
	for _, h := range i.held {
		i.send(h.status, h.header)
	}
	i.held = nil
}

func (i *Informational) send(status int, header http.Header) {
	h := i.Writer.Header()
	before := h.Clone()
	CopyHeader(h, header, i.Redactor)
	i.Writer.WriteHeader(status)
	clear(h)
	for name, values := range before {
		h[name] = values
	}
}
