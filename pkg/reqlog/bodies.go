package reqlog

import (
	"encoding/json"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/hostless/hostless/pkg/gateway/pipeline"
)

// The settings for which bodies are kept, and the limits for them.
const (
	BodiesOff    = "off"
	BodiesOn     = "on"
	BodiesErrors = "errors" // of requests that failed

	maxRequestBody  = 1 << 20
	MaxResponseBody = 256 << 10 // bytes of a response that are kept at most
	bodySegment     = 16 << 20
	bodyTotal       = 256 << 20
	maxPending      = 64 << 20 // bytes of bodies waiting to be written
)

// Bodies are the request and response bodies of a row, stored apart from it.
type Bodies struct {
	ID       string    `json:"id"`
	Time     time.Time `json:"time"`
	Request  *Body     `json:"request"`  // null if there was none, or it was streamed through
	Response *Body     `json:"response"` // as the client got it; null if there was none, and on WebSockets
}

func (b *Bodies) when() time.Time { return b.Time }
func (b *Bodies) key() string     { return b.ID }

// Body is one body, redacted.
type Body struct {
	Text      string `json:"text"` // "" if Binary
	Size      int64  `json:"size"` // of the whole body, in bytes
	Truncated bool   `json:"truncated"`
	Binary    bool   `json:"binary"`
}

// bodies stores bodies. Only the writer's goroutine appends.
type bodies struct {
	journal[*Bodies]              // only its segments are used: it has no queue and no writer
	waiting          atomic.Int64 // bytes on their way to the writer
}

func (b *bodies) open(cfg *Config) {
	b.what, b.log, b.decode = "bodies of the request log", cfg.Logger, decodeBodies
	b.segments = segments{dir: cfg.BodiesDir, now: cfg.Now, size: bodySegment, total: bodyTotal, age: cfg.BodiesAge()}
	b.segments.name = segment{day(cfg.Now()), 1}
	if err := b.segments.prune(); err != nil {
		cfg.Logger.Warn("cannot remove old bodies of the request log", "error", err)
	}
}

// wanted reports whether the bodies of a call should be kept.
func (cfg *Config) wanted(failed bool) bool {
	if cfg.Bodies == nil || cfg.BodiesDir == "" {
		return false
	}
	mode := cfg.Bodies()
	return mode == BodiesOn || mode == BodiesErrors && failed
}

// take copies the bodies of a call for the writer. It returns nil if too many bytes
// are waiting.
func (b *bodies) take(call *pipeline.Call, o *pipeline.Outcome) *Bodies {
	if b.waiting.Load() > maxPending {
		b.dropped.Add(1)
		return nil
	}
	kept := &Bodies{
		ID: call.ID, Time: call.Start.UTC(),
		Request: newBody(call.Body, maxRequestBody, int64(len(call.Body))), Response: newBody(o.Response, MaxResponseBody, o.Sent),
	}
	if kept.Request == nil && kept.Response == nil {
		return nil
	}
	b.waiting.Add(kept.size())
	return kept
}

func (b *Bodies) size() (n int64) {
	for _, body := range []*Body{b.Request, b.Response} {
		if body != nil {
			n += int64(len(body.Text))
		}
	}
	return n
}

// newBody copies at most most bytes of data, the beginning of a body of size bytes.
// It returns nil if data is empty.
func newBody(data []byte, most int, size int64) *Body {
	if len(data) == 0 {
		return nil
	}
	b := &Body{Size: max(size, int64(len(data)))}
	data = data[:min(len(data), most)]
	if b.Truncated = int64(len(data)) < b.Size; b.Truncated {
		for range utf8.UTFMax - 1 { // the cut may be within a character
			if r, n := utf8.DecodeLastRune(data); r == utf8.RuneError && n == 1 {
				data = data[:len(data)-1]
			}
		}
	}
	if b.Binary = !utf8.Valid(data); !b.Binary {
		b.Text = string(data)
	}
	return b
}

// write redacts bodies and appends them to their segment.
func (b *bodies) write(kept *Bodies, cfg *Config) {
	size := kept.size()
	for _, body := range []*Body{kept.Request, kept.Response} {
		if body != nil {
			body.Text = cfg.Redact(body.Text)
		}
	}
	b.segments.age = cfg.BodiesAge()
	line, err := json.Marshal(kept)
	if err == nil {
		_, err = b.segments.append(day(kept.Time), append(line, '\n'))
	}
	if err != nil {
		b.dropped.Add(1)
		cfg.Logger.Error("cannot write bodies of the request log", "error", err)
	}
	b.waiting.Add(-size)
}

// BodiesOf returns the bodies of a row, or nil if none were kept.
func (l *Log) BodiesOf(r *Row) (*Bodies, error) {
	all, err := list(l.cfg.BodiesDir)
	if err != nil || l.cfg.BodiesDir == "" {
		return nil, err
	}
	for _, name := range all {
		if name.day != day(r.Time) {
			continue
		}
		if b, ok, err := l.bodies.findIn(name, r.ID); ok || err != nil {
			return b, err
		}
	}
	return nil, nil
}

func decodeBodies(line []byte) (*Bodies, bool) {
	var b Bodies
	ok := json.Unmarshal(line, &b) == nil && b.ID != ""
	return &b, ok
}
