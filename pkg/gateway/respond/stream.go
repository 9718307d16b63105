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
	chunkSize = 32 << 10 // buffer size for other responses
	eventSize = 1 << 10  // initial buffer size of an event stream; most streams need no more
	burstSize = 4 << 10  // buffer size once events arrive together
	// holdLimit is the size up to which an event is buffered until it is complete. A larger
	// event is forwarded in pieces and not parsed.
	holdLimit = 8 << 20
)

// chunks pools the buffers for copying responses.
var chunks = sync.Pool{New: func() any { b := make([]byte, chunkSize); return &b }}

// eventChunks pools the smaller buffers of event streams, of which many are open at a time.
var eventChunks = sync.Pool{New: func() any { b := make([]byte, eventSize); return &b }}

// stream forwards a provider's event stream. Each event is sent unchanged as soon as it is
// complete, so that a broken connection never leaves a partial event. On the way, stream
// reads the usage, drops the usage chunk if only Hostless asked for it, and redacts the
// key.
type stream struct {
	w         *Writer
	upstream  dialect.Name // dialect of the events
	progress  *pipeline.Progress
	caller    dialect.Name // dialect of an error event
	key       redact.Redactor
	dropUsage bool // the caller did not ask for the usage chunk
	provider  string
	watch     func(data []byte) // may be nil

	result Result
	end    ending
}

// run copies until the upstream ends. If the upstream broke off, the caller has been sent
// an error event and the error is returned. It returns ErrDisconnected if the caller
// disconnected.
func (s *stream) run(ctx context.Context, body io.Reader) error {
	pooled := eventChunks.Get().(*[]byte)
	defer eventChunks.Put(pooled)
	buf := (*pooled)[:0]
	var split sse.Splitter
	var raw *redact.Writer // set while an event above holdLimit is forwarded in pieces
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
		burst := len(buf) == cap(buf) && cap(buf) < burstSize
		if n > 0 {
			from, end := 0, 0
			var cut []byte // the bytes before an event that was dropped
			kept := false
			for {
				stop, ok := split.Next(buf)
				if !ok {
					break
				}
				if raw != nil { // the event that is being forwarded in pieces ends here
					if err := finishRaw(raw, buf[:stop]); err != nil {
						return err
					}
					raw, from = nil, stop
				} else if s.see(buf[end:stop]) {
					// Drop this event, and keep the bytes before it.
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
				if rest := buf[end:]; burst {
					buf = append(make([]byte, 0, burstSize), rest...)
				} else {
					buf = buf[:copy(buf, rest)]
				}
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

// streamWriter writes to the caller of a stream.
type streamWriter struct{ s *stream }

func (w streamWriter) Write(p []byte) (int, error) { return len(p), w.s.write(p) }

// finishRaw writes the last piece of an event that is forwarded in pieces.
func finishRaw(raw *redact.Writer, rest []byte) error {
	if _, err := raw.Write(rest); err != nil {
		return err
	}
	return raw.Close()
}

// whole reports whether the rest of a stream, without a blank line at its end, is a
// complete event.
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

// see inspects one event. drop means that it must not be forwarded.
func (s *stream) see(ev []byte) (drop bool) {
	data := sse.Data(ev)
	if data == nil {
		return false
	}
	s.result.Events++
	s.progress.Event()
	if s.watch != nil {
		s.watch(data)
	}
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

// broken sends the caller one final error event, because the stream ended early.
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

// relay forwards a response that is not an event stream, as it arrives. fixed means that
// its length has been sent.
type relay struct {
	w     *Writer
	key   redact.Redactor
	fixed bool
	keep  int // number of bytes to keep, for parsing the usage
	kept  []byte
}

// run copies until the upstream ends. It returns the read error if the upstream broke off,
// and ErrDisconnected if the caller disconnected.
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

// flushing flushes after each write.
type flushing struct{ w *Writer }

func (f flushing) Write(p []byte) (int, error) {
	n, err := f.w.Write(p)
	if err == nil {
		f.w.Flush()
	}
	return n, err
}

// IsEventStream reports whether a Content-Type is that of server-sent events.
func IsEventStream(contentType string) bool {
	return len(contentType) >= 17 && bytes.EqualFold([]byte(contentType[:17]), []byte("text/event-stream"))
}

// isJSON reports whether a Content-Type is JSON.
func isJSON(contentType string) bool {
	return len(contentType) >= 16 && bytes.EqualFold([]byte(contentType[:16]), []byte("application/json"))
}
