package respond

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"sync"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/gateway/pipeline"
	"github.com/hostless/hostless/pkg/redact"
	"github.com/hostless/hostless/pkg/sse"
)

const (
	chunkSize = 32 << 10
	eventSize = 4 << 10 // what an event stream's buffer begins with
	// holdLimit bounds how much of one event is held until it is whole. Past it
	// the event passes in pieces, unread.
	holdLimit = 8 << 20
)

// chunks are the buffers that answers are copied through.
var chunks = sync.Pool{New: func() any { b := make([]byte, chunkSize); return &b }}

// eventChunks are the smaller ones of event streams, of which many are open at
// the same time.
var eventChunks = sync.Pool{New: func() any { b := make([]byte, eventSize); return &b }}

// stream passes a provider's event stream on. Events go out whole, as soon as
// they are, in the provider's own bytes: what ends a connection in the middle of
// an event then leaves none half sent. On the side it reads usage, keeps the
// usage chunk that only Hostless asked for, and takes out the key's text.
type stream struct {
	w         *Writer
	upstream  dialect.Name // what the events are in
	progress  *pipeline.Progress
	caller    dialect.Name // what an error event is written in
	key       redact.Redactor
	dropUsage bool // the caller did not ask for the usage chunk
	provider  string

	result Result
	end    ending
}

// run copies until the upstream ends. It returns an error where the upstream
// broke off, of which the caller then has an error event, and ErrDisconnected where the caller
// has gone.
func (s *stream) run(ctx context.Context, body io.Reader) error {
	pooled := eventChunks.Get().(*[]byte)
	defer eventChunks.Put(pooled)
	buf := (*pooled)[:0]
	var split sse.Splitter
	var raw *redact.Writer // an event past holdLimit is going out in pieces
	for {
		if len(buf) == cap(buf) {
			if len(buf) >= holdLimit {
				if raw == nil {
					raw = redact.NewWriter(streamWriter{s}, s.key, false)
				}
				if _, err := raw.Write(buf); err != nil {
					return err
				}
				split.Shift(len(buf))
				buf = buf[:0]
			} else {
				grown := make([]byte, len(buf), 2*cap(buf))
				copy(grown, buf)
				buf = grown
			}
		}
		n, err := body.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if n > 0 {
			from, end := 0, 0
			var cut []byte // what stands before an event that was taken out
			kept := false
			for {
				stop, ok := split.Next(buf)
				if !ok {
					break
				}
				if raw != nil { // the first event that ends here
					if err := finishRaw(raw, buf[:stop]); err != nil {
						return err
					}
					raw, from = nil, stop
				} else if s.see(buf[end:stop]) {
					// This event stays here: what came before it goes out now.
					if !kept {
						cut, kept = append([]byte(nil), buf[from:end]...), true
					} else {
						cut = append(cut, buf[from:end]...)
					}
					from = stop
				}
				end = stop
			}
			if end > 0 {
				out := buf[from:end]
				if kept {
					out = append(cut, out...)
				}
				if len(out) > 0 {
					if err := s.write(s.key.Bytes(out)); err != nil {
						return err
					}
				}
				buf = buf[:copy(buf, buf[end:])]
				split.Shift(end)
			}
		}
		if err == nil {
			continue
		}
		cut := raw != nil
		if cut {
			if err := finishRaw(raw, buf); err != nil {
				return err
			}
			buf = buf[:0]
		}
		if errors.Is(err, io.EOF) && s.end != ended && !cut && s.whole(buf) && s.see(buf) {
			buf = buf[:0]
		}
		switch {
		case s.end == ended, errors.Is(err, io.EOF) && (s.end == finished || len(buf) == 0 && !cut && s.upstream == ""):
			return s.finish(buf)
		case errors.Is(err, io.EOF):
			err = io.ErrUnexpectedEOF
		}
		return s.broken(ctx, err, cut)
	}
}

// streamWriter is a stream's way to the caller as an io.Writer.
type streamWriter struct{ s *stream }

func (w streamWriter) Write(p []byte) (int, error) { return len(p), w.s.write(p) }

// finishRaw writes the last piece of an event that goes out in pieces.
func finishRaw(raw *redact.Writer, rest []byte) error {
	if _, err := raw.Write(rest); err != nil {
		return err
	}
	return raw.Close()
}

// whole reports whether what stands at a stream's end without its blank line is
// an event all the same, and not one that was cut off.
func (s *stream) whole(rest []byte) bool {
	data := sse.Data(rest)
	return s.upstream == "" || string(data) == "[DONE]" || json.Valid(data)
}

func (s *stream) finish(rest []byte) error {
	if len(rest) == 0 {
		return nil
	}
	return s.write(s.key.Bytes(rest))
}

// see reads one event on the side; drop is whether it stays here.
func (s *stream) see(ev []byte) (drop bool) {
	data := sse.Data(ev)
	if data == nil {
		return false
	}
	s.result.Events++
	s.progress.Event()
	e := readEvent(s.upstream, data)
	if e.reported {
		s.result.see(e.report, true)
		if s.dropUsage && e.onlyUsage {
			return true
		}
	}
	if e.failed && s.end != ended {
		s.result.Kind = pipeline.ProviderError
	}
	s.end = max(s.end, e.end)
	return false
}

// broken tells the caller, in one event and nothing after it, that the stream
// ended before its end.
func (s *stream) broken(ctx context.Context, cause error, midEvent bool) error {
	f := (&Answer{Provider: s.provider}).brokenStream(cause)
	if canceled := CancelError(ctx); errors.Is(canceled, ErrDisconnected) {
		return canceled
	} else if canceled != nil {
		f = fault.From(canceled)
	}
	var out []byte
	if midEvent {
		out = []byte("\n\n")
	}
	if err := s.write(append(out, streamFault(s.caller, f)...)); err != nil {
		return err
	}
	return f
}

func (s *stream) write(p []byte) error {
	if _, err := s.w.Write(p); err != nil {
		return ErrDisconnected
	}
	s.w.Flush()
	return nil
}

// relay passes an answer of any other kind on, each piece as it comes. fixed is
// whether its length was sent already.
type relay struct {
	w     *Writer
	key   redact.Redactor
	fixed bool
	keep  int // how many first bytes to keep for reading on the side
	kept  []byte
}

// run copies until the upstream ends. An upstream that breaks off is an error;
// ErrDisconnected says that the caller has gone.
func (r *relay) run(body io.Reader) error {
	pooled := chunks.Get().(*[]byte)
	defer chunks.Put(pooled)
	buf := (*pooled)[:cap(*pooled)]
	out := redact.NewWriter(flushing{r.w}, r.key, r.fixed)
	for {
		n, err := body.Read(buf)
		if n > 0 {
			if room := r.keep - len(r.kept); room > 0 {
				r.kept = append(r.kept, buf[:min(room, n)]...)
			}
			if _, werr := out.Write(buf[:n]); werr != nil {
				return ErrDisconnected
			}
		}
		if err == nil {
			continue
		}
		if out.Close() != nil {
			return ErrDisconnected
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		return err
	}
}

// flushing pushes each write out to the caller at once.
type flushing struct{ w *Writer }

func (f flushing) Write(p []byte) (int, error) {
	n, err := f.w.Write(p)
	if err == nil {
		f.w.Flush()
	}
	return n, err
}

// IsEventStream reports whether a content type is that of server-sent events.
func IsEventStream(contentType string) bool {
	return len(contentType) >= 17 && bytes.EqualFold([]byte(contentType[:17]), []byte("text/event-stream"))
}

// isJSON reports whether a content type is JSON.
func isJSON(contentType string) bool {
	return len(contentType) >= 16 && bytes.EqualFold([]byte(contentType[:16]), []byte("application/json"))
}
