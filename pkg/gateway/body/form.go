package body

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"mime"
	"net/http"
	"net/textproto"
	"strings"

	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/jsonscan"
)

const (
	// formPeek is how far a form is searched for its model. It exceeds the largest audio
	// file that transcription endpoints accept, since some clients send the file first.
	formPeek     = 32 << 20
	maxModelPart = 4 << 10
)

// Form is a multipart/form-data body of which the start has been read.
type Form struct {
	Model string // value of the `model` part; "" if none was found
	Ended bool   // the whole form has been read

	prefix []byte
	rest   io.Reader       // the unread part of the form; nil if all is read
	tail   []byte          // what Hold has read
	models []jsonscan.Span // positions of the values of the model parts in prefix
}

// ReadForm reads a multipart/form-data body up to its model part. With whole it reads all
// of the form, at most limit bytes, and refuses a second model. This is for a token that is
// limited to certain models, which must not be able to send another one after the first.
// The memory is held under the lease. The errors are fault.Invalid, TooLarge and Busy.
func ReadForm(r *http.Request, boundary string, limit int64, whole bool, lease *Lease) (*Form, error) {
	if !whole {
		limit = formPeek
	} else if r.ContentLength > limit {
		return nil, TooLarge(limit)
	}
	p := formParser{ctx: r.Context(), lease: lease, in: r.Body, limit: limit, delimiter: []byte("\r\n--" + boundary)}
	if whole && r.ContentLength > 0 {
		p.size = int(r.ContentLength) + 1 // plus one for the read that returns io.EOF
	}
	f, err := p.parse(whole)
	if err != nil {
		return nil, err
	}
	if whole && !f.Ended {
		return nil, TooLarge(limit)
	}
	return f, nil
}

type formParser struct {
	ctx       context.Context // of the parse call
	lease     *Lease
	in        io.Reader
	limit     int64
	size      int // size of the whole form, if it is known and all of it is to be read
	delimiter []byte
	buf       []byte
	err       error // why reading stopped
}

// fill reads more into the buffer. It returns false at the end, after an error, and at the
// limit.
func (p *formParser) fill() bool {
	if p.err != nil || int64(len(p.buf)) >= p.limit {
		return false
	}
	if len(p.buf) == cap(p.buf) {
		size := max(64<<10, 2*cap(p.buf), p.size)
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

// find returns the index of the first what at or after from, reading more as needed. It
// returns false if what does not occur.
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

// parse iterates over the parts (RFC 2046 section 5.1; RFC 7578). Unless all is set it
// stops at the first model part.
func (p *formParser) parse(all bool) (*Form, error) {
	f := &Form{}
	malformed := func() (*Form, error) {
		if p.err != nil && !IsEnd(p.err) {
			return nil, ReadError(p.err)
		}
		if all && int64(len(p.buf)) < p.limit {
			return nil, &fault.Error{Kind: fault.Invalid, Message: "the multipart body is malformed"}
		}
		return p.done(f), nil // the provider reports the error
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
				f.Ended = true
				return p.drain(f, all)
			}
			return malformed()
		}
		if bytes.HasPrefix(p.buf[pos:], []byte("--")) {
			f.Ended = true
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
			if len(f.models) > 0 && model != f.Model {
				return nil, &fault.Error{Kind: fault.Invalid, Message: "model is given more than once", Param: "model"}
			}
			f.Model = model
			f.models = append(f.models, jsonscan.Span{Start: value, End: next})
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

// modelPart parses the header of a part. It returns whether the part is the model, and
// whether every parser would agree.
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

// drain reads the rest of the body, after the closing delimiter.
func (p *formParser) drain(f *Form, all bool) (*Form, error) {
	for all && p.fill() {
	}
	if p.err != nil && !IsEnd(p.err) {
		return nil, ReadError(p.err)
	}
	return p.done(f), nil
}

func (p *formParser) done(f *Form) *Form {
	f.prefix, f.rest = p.buf, p.in
	if p.err != nil {
		f.rest = nil
		f.Ended = true
	}
	return f
}

// Hold reads the rest of a form of size bytes under the lease, so that Replay can be called
// more than once. It does nothing if the size is unknown or exceeds the search limit, or if
// there is no memory for it. The error is a read error.
func (f *Form) Hold(ctx context.Context, size int64, lease *Lease) error {
	left := size - int64(len(f.prefix))
	if f.rest == nil || left < 0 || size > formPeek || lease.Grow(ctx, left) != nil {
		return nil
	}
	tail := make([]byte, left)
	if _, err := io.ReadFull(f.rest, tail); err != nil {
		return ReadError(err)
	}
	f.tail, f.rest = tail, nil
	return nil
}

// Repeatable reports whether Replay may be called more than once.
func (f *Form) Repeatable() bool { return f.rest == nil }

// Replay returns a reader of the whole form, with the given model in its model parts, and
// the number of bytes by which the form grew. Unless the form is Repeatable, Replay may be
// called only once, because the unread part comes from the request itself.
func (f *Form) Replay(model string) (body io.Reader, grew int) {
	readers := []io.Reader{}
	from := 0
	if model != "" && model != f.Model {
		for _, at := range f.models {
			readers = append(readers, bytes.NewReader(f.prefix[from:at.Start]), strings.NewReader(model))
			grew += len(model) - (at.End - at.Start)
			from = at.End
		}
	}
	readers = append(readers, bytes.NewReader(f.prefix[from:]), bytes.NewReader(f.tail))
	if f.rest != nil {
		readers = append(readers, f.rest)
	}
	return io.MultiReader(readers...), grew
}
