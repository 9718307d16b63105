package gateway

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"mime"
	"net/textproto"
	"strings"

	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/gateway/body"
	"github.com/hostless/hostless/pkg/jsonscan"
)

const (
	// formPeek is how far into a form its model is looked for: past the largest
	// audio file that is taken by the providers' transcription endpoints, since
	// some clients send the file first.
	formPeek     = 32 << 20
	maxModelPart = 4 << 10
)

// form is a multipart body of which a beginning has been read.
type form struct {
	model  string
	ended  bool // the whole form has been read
	prefix []byte
	rest   io.Reader
	at     []jsonscan.Span // where the model's value stands in prefix
}

// readForm reads a form up to its model part. For a token that is limited to
// certain models it reads all of it, lest a second model part follow: such a
// form has MaxBody as its limit.
func (c *exchange) readForm(boundary string) (*form, error) {
	limit := int64(formPeek)
	if c.limited() {
		if limit = c.g.cfg.MaxBody; c.r.ContentLength > limit {
			return nil, body.TooLarge(limit)
		}
	}
	p := formParser{ctx: c.r.Context(), lease: &c.lease, in: c.r.Body, limit: limit, delimiter: []byte("\r\n--" + boundary)}
	f, err := p.parse(c.limited())
	if err != nil {
		return nil, err
	}
	if c.limited() && !f.ended {
		return nil, body.TooLarge(limit)
	}
	return f, nil
}

type formParser struct {
	ctx       context.Context // of the parse, which is one call
	lease     *body.Lease
	in        io.Reader
	limit     int64
	delimiter []byte
	buf       []byte
	err       error // why no more comes
}

// fill reads more; false where nothing more comes or may.
func (p *formParser) fill() bool {
	if p.err != nil || int64(len(p.buf)) >= p.limit {
		return false
	}
	if len(p.buf) == cap(p.buf) {
		size := max(64<<10, 2*cap(p.buf))
		if p.err = p.lease.Grow(p.ctx, int64(size-cap(p.buf))); p.err != nil {
			return false
		}
		grown := make([]byte, len(p.buf), size)
		copy(grown, p.buf)
		p.buf = grown
	}
	n, err := p.in.Read(p.buf[len(p.buf):cap(p.buf)])
	p.buf = p.buf[:len(p.buf)+n]
	p.err = err
	return n > 0
}

// find gives where what stands at or after from; false where it does not come.
func (p *formParser) find(what []byte, from int) (int, bool) {
	for {
		if i := bytes.Index(p.buf[min(from, len(p.buf)):], what); i >= 0 {
			return from + i, true
		}
		searched := max(from, len(p.buf)-len(what)+1)
		if !p.fill() {
			return 0, false
		}
		from = searched
	}
}

// parse walks the parts (RFC 2046, section 5.1; RFC 7578). Without all it stops
// at the first model part.
func (p *formParser) parse(all bool) (*form, error) {
	f := &form{}
	malformed := func() (*form, error) {
		if p.err != nil && !body.IsEnd(p.err) {
			return nil, body.ReadError(p.err)
		}
		if all && int64(len(p.buf)) < p.limit {
			return nil, &fault.Error{Kind: fault.Invalid, Message: "the multipart body is malformed"}
		}
		return p.done(f), nil // let the provider say what is wrong with it
	}
	for len(p.buf) < len(p.delimiter) && p.fill() {
	}
	pos := 0
	if bytes.HasPrefix(p.buf, p.delimiter[2:]) {
		pos = len(p.delimiter) - 2
	} else if i, ok := p.find(p.delimiter, 0); ok {
		pos = i + len(p.delimiter)
	} else {
		return malformed()
	}
	for {
		eol, ok := p.find([]byte("\r\n"), pos)
		if !ok {
			if bytes.HasPrefix(p.buf[min(pos, len(p.buf)):], []byte("--")) {
				f.ended = true
				return p.drain(f, all)
			}
			return malformed()
		}
		if bytes.HasPrefix(p.buf[pos:], []byte("--")) {
			f.ended = true
			return p.drain(f, all)
		}
		head, ok := p.find([]byte("\r\n\r\n"), eol)
		if !ok {
			return malformed()
		}
		value := head + 4
		isModel, clear := modelPart(p.buf[eol+2 : value])
		if all && !clear {
			return malformed()
		}
		next, ok := p.find(p.delimiter, head+2)
		if isModel && (!ok || next < value || next-value > maxModelPart) {
			return nil, &fault.Error{Kind: fault.Invalid, Message: "the model part of the form is malformed", Param: "model"}
		}
		if isModel {
			model := string(p.buf[value:next])
			if len(f.at) > 0 && model != f.model {
				return nil, &fault.Error{Kind: fault.Invalid, Message: "model is given more than once", Param: "model"}
			}
			f.model = model
			f.at = append(f.at, jsonscan.Span{Start: value, End: next})
			if !all {
				return p.done(f), nil
			}
		}
		if !ok {
			return malformed()
		}
		pos = next + len(p.delimiter)
	}
}

// modelPart reads a part's header: whether it is the model's, and whether it is
// clear which part it is.
func modelPart(head []byte) (isModel, clear bool) {
	h, err := textproto.NewReader(bufio.NewReader(bytes.NewReader(head))).ReadMIMEHeader()
	if err != nil {
		return false, false
	}
	dispositions := h["Content-Disposition"]
	if len(dispositions) != 1 {
		return false, false
	}
	_, params, err := mime.ParseMediaType(dispositions[0])
	if err != nil {
		return false, false
	}
	name, ok := params["name"]
	return strings.EqualFold(name, "model"), ok
}

// drain takes in what may follow the closing delimiter.
func (p *formParser) drain(f *form, all bool) (*form, error) {
	for all && p.fill() {
	}
	if p.err != nil && !body.IsEnd(p.err) {
		return nil, body.ReadError(p.err)
	}
	return p.done(f), nil
}

func (p *formParser) done(f *form) *form {
	f.prefix, f.rest = p.buf, p.in
	if p.err != nil {
		f.rest = nil
		f.ended = true
	}
	return f
}

// replay gives the whole form again, its model parts holding the given model,
// and by how many bytes it grew.
func (f *form) replay(model string) (body io.Reader, grew int) {
	readers := []io.Reader{}
	from := 0
	if model != "" && model != f.model {
		for _, at := range f.at {
			readers = append(readers, bytes.NewReader(f.prefix[from:at.Start]), strings.NewReader(model))
			grew += len(model) - (at.End - at.Start)
			from = at.End
		}
	}
	readers = append(readers, bytes.NewReader(f.prefix[from:]))
	if f.rest != nil {
		readers = append(readers, f.rest)
	}
	return io.MultiReader(readers...), grew
}
