package respond

import (
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/sse"
)

// framing is the format of a stream of translated events for the caller.
type framing struct {
	contentType string
	lines       bool          // one JSON text per line (Ollama)
	array       bool          // elements of one JSON array (Gemini without alt=sse)
	bare        bool          // no comments, since Google's clients only accept data lines
	ping        string        // sent to keep an idle stream alive; "" for none
	every       time.Duration // interval of pings
}

func framingFor(d dialect.Name, r *http.Request) framing {
	switch d {
	case dialect.Ollama:
		return framing{contentType: "application/x-ndjson", lines: true}
	case dialect.Gemini:
		if !strings.Contains(r.URL.RawQuery, "alt=sse") {
			return framing{contentType: "application/json; charset=UTF-8", array: true}
		}
		return framing{contentType: "text/event-stream", bare: true}
	case dialect.Anthropic:
		return framing{contentType: "text/event-stream; charset=utf-8", ping: "event: ping\ndata: {\"type\": \"ping\"}\n\n", every: 10 * time.Second}
	default:
		return framing{contentType: "text/event-stream; charset=utf-8", ping: ": ping\n\n", every: 15 * time.Second}
	}
}

// eventWriter writes translated events. Its mutex serialises them with pings.
type eventWriter struct {
	framing framing
	w       *Writer

	mu    sync.Mutex
	buf   []byte
	began bool // the first element of the array has been written
	wrote time.Time
	err   error
	quit  chan struct{}
	ended sync.WaitGroup
}

func newEventWriter(w *Writer, f framing) *eventWriter {
	s := &eventWriter{framing: f, w: w, quit: make(chan struct{})}
	if f.ping != "" {
		s.ended.Add(1)
		go s.keepAlive()
	}
	return s
}

// keepAlive sends a ping whenever nothing else has been sent for a while. Reasoning models
// take long before their first event, so it starts at once.
func (s *eventWriter) keepAlive() {
	defer s.ended.Done()
	tick := time.NewTicker(s.framing.every)
	defer tick.Stop()
	for {
		select {
		case <-s.quit:
			return
		case <-tick.C:
			s.mu.Lock()
			if s.err == nil && time.Since(s.wrote) >= s.framing.every/2 {
				s.buf = append(s.buf, s.framing.ping...)
				s.write()
			}
			s.mu.Unlock()
		}
	}
}

// emit buffers an event; send writes what was buffered.
func (s *eventWriter) emit(ev sse.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.framing.lines:
		if ev.Data != nil {
			s.buf = append(append(s.buf, ev.Data...), '\n')
		}
	case s.framing.array:
		if ev.Data == nil {
			return
		}
		if s.began {
			s.buf = append(s.buf, ",\r\n"...)
		} else {
			s.buf = append(s.buf, '[')
		}
		s.began = true
		s.buf = append(s.buf, ev.Data...)
	case s.framing.bare && ev.Data == nil:
	default:
		s.began = true
		s.buf = sse.Append(s.buf, ev)
	}
}

func (s *eventWriter) send() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.write()
	return s.err
}

func (s *eventWriter) write() {
	if len(s.buf) == 0 || s.err != nil {
		return
	}
	if _, s.err = s.w.Write(s.buf); s.err == nil {
		s.w.Flush()
	}
	s.buf, s.wrote = s.buf[:0], time.Now()
}

// close writes the end of the stream.
func (s *eventWriter) close() error {
	s.mu.Lock()
	if s.framing.array {
		if !s.began {
			s.buf = append(s.buf, '[')
		}
		s.buf = append(s.buf, ']')
	}
	s.mu.Unlock()
	return s.send()
}

// stop ends the pings. It must be called before the handler returns.
func (s *eventWriter) stop() {
	close(s.quit)
	s.ended.Wait()
}
