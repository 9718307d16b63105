package respond

import (
	"net/http"

	"github.com/hostless/hostless/pkg/redact"
)

// Informational forwards a provider's 1xx responses. While another attempt may follow, they
// are held back, because those of a candidate that is not accepted must not reach the
// caller. It belongs to one attempt.
type Informational struct {
	Writer   *Writer
	Redactor redact.Redactor
	Hold     bool // hold responses until Release

	held []heldAnswer
}

type heldAnswer struct {
	status int
	header http.Header
}

// Got handles one 1xx response.
func (i *Informational) Got(status int, header http.Header) {
	if i.Hold {
		i.held = append(i.held, heldAnswer{status, header.Clone()})
		return
	}
	i.send(status, header)
}

// Release sends the responses that were held.
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
