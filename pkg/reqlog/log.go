// Package reqlog is the request log: one row for each AI request, kept in memory
// and in append-only segments by day.
//
// It is an Observer of the gateway's pipeline. It owns the form of a row, the
// segments' files and the queries on them. The cost of a request comes from package
// prices; who may read which rows is decided by the control server.
package reqlog

import (
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hostless/hostless/pkg/gateway/pipeline"
	"github.com/hostless/hostless/pkg/prices"
)

// Defaults of Config.
const (
	ringRows    = 2000
	queueRows   = 4096
	segmentSize = 8 << 20
	totalSize   = 256 << 20
	maxAge      = 92 * 24 * time.Hour // a quarter
)

// Config is what New needs. Sizes that are 0 get their default.
type Config struct {
	Dir    string                // directory of the segments, created with the first row; required
	Prices func() *prices.Book   // called for each row; required
	Redact func(s string) string // removes secrets from text that clients chose; nil keeps it as it is
	Now    func() time.Time      // default time.Now
	Logger *slog.Logger          // default discards
	// Count, unless nil, is called once with each row, in the goroutine of its
	// request and before the row is written. It must be quick and must not keep the
	// row or parts of it.
	Count func(*Row)
	// Observe are called for each row, in the writer's goroutine, after the row was
	// written. They must not block for long. They do not see rows that are
	// dropped.
	Observe []func(Event)

	// Others reports whether another process may still write to Dir, such as a
	// daemon that this one has replaced. Followers then get its rows too. nil means
	// no.
	Others func() bool

	// Bodies returns BodiesOff, BodiesOn or BodiesErrors. It is called for each
	// row; nil means off. The bodies are stored in segments of BodiesDir for
	// BodiesAge.
	Bodies    func() string
	BodiesDir string
	BodiesAge func() time.Duration

	Rows        int           // rows kept in memory; default 2,000
	Queue       int           // rows waiting to be written; default 4,096
	SegmentSize int64         // bytes after which a day's next segment begins; default 8 MiB
	TotalSize   int64         // bytes of all segments; default 256 MiB
	MaxAge      time.Duration // of a segment; default 92 days
}

// Log is the request log of the AI plane. It is safe for concurrent use. Two
// processes may write to the same directory: each write appends whole lines.
type Log struct {
	journal[*Row]
	cfg    Config
	bodies bodies
	own    atomic.Pointer[string] // prefix of the IDs of this process
	before atomic.Pointer[Row]    // the latest row, for its texts
}

// New returns a log and starts its writer, which Close stops. No file is touched
// before the first row.
func New(cfg Config) (*Log, error) {
	if cfg.Dir == "" || cfg.Prices == nil {
		return nil, errors.New("request log: Dir and Prices are required")
	}
	if cfg.Redact == nil {
		cfg.Redact = func(s string) string { return s }
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	orDefault(&cfg.Rows, ringRows)
	orDefault(&cfg.Queue, queueRows)
	orDefault(&cfg.SegmentSize, segmentSize)
	orDefault(&cfg.TotalSize, totalSize)
	orDefault(&cfg.MaxAge, maxAge)
	l := &Log{cfg: cfg}
	l.before.Store(&Row{})
	l.what, l.log, l.decode, l.encode, l.done = logName, cfg.Logger, decode, appendRow, l.rowDone
	if cfg.Bodies != nil && cfg.BodiesDir != "" && cfg.BodiesAge != nil {
		l.bodies.open(&l.cfg)
	} else {
		l.cfg.Bodies = nil
	}
	l.start(cfg.Dir, cfg.Now, limits{cfg.Rows, cfg.Queue, cfg.SegmentSize, cfg.TotalSize, cfg.MaxAge})
	return l, nil
}

// logName is the log's name in messages.
const logName = "request log"

// Warning describes what is wrong with the log, such as a full disk; "" means that
// nothing is.
func (l *Log) Warning() string { return l.trouble.warning(logName) }

// Recover writes the rows to the segments that killed processes have left in the
// spools of a log. It must be called before the segments are read; New does not call
// it. Rows that cannot be written stay for the next call.
func Recover(dir string) error {
	return recoverSpools(&segments{dir: dir, now: time.Now, size: segmentSize, total: totalSize, age: maxAge})
}

func orDefault[T int | int64 | time.Duration](v *T, def T) {
	if *v <= 0 {
		*v = def
	}
}

// Attempt implements pipeline.Observer. It does nothing: a row gets its attempts
// when the call is done.
func (l *Log) Attempt(*pipeline.Call, pipeline.Outcome) {}

// Done implements pipeline.Observer. It never blocks: if the writer is too far
// behind, the row is dropped and counted.
func (l *Log) Done(call *pipeline.Call, o pipeline.Outcome) {
	row := newRow(call, &o, l.before.Load())
	if l.own.Load() == nil {
		prefix := row.ID[:strings.LastIndexByte(row.ID, '-')+1]
		l.own.Store(&prefix)
	}
	charge(row, &o, l.cfg.Prices())
	if l.cfg.Count != nil {
		l.cfg.Count(&row.Row)
	}
	row.event = Event{Start: call.Start, FirstByte: o.FirstByte, End: o.End, Attempts: o.Attempts}
	row.pending = &row.event
	if v := call.Header["Traceparent"]; len(v) == 1 {
		row.pending.traceparent = v[0]
	}
	l.redact(&row.Row)
	l.before.Store(&row.Row)
	bodies := l.cfg.wanted(o.Kind != "")
	if bodies {
		row.bodies = l.bodies.take(call, &o)
	}
	l.offer(&row.Row)
	if bodies {
		signal(l.hurry) // they are in no spool
	}
}

// Event is a row together with details of the request that the log does not store.
// It is only valid during the observer's call; the row may be kept.
type Event struct {
	Row                   *Row
	Start, FirstByte, End time.Time          // exact; FirstByte is zero if there was none
	Attempts              []pipeline.Attempt // in order

	traceparent string // as the client sent it
}

// Trace returns the request's trace context.
func (e *Event) Trace() pipeline.Trace { return pipeline.TraceOf(e.Row.ID, e.traceparent) }

// redact removes secrets from text that clients chose.
func (l *Log) redact(r *Row) {
	r.Client = l.cfg.Redact(r.Client)
	r.TokenName, r.Path = l.cfg.Redact(r.TokenName), l.cfg.Redact(r.Path)
	model := l.cfg.Redact(r.Model)
	resolved := model
	if r.ResolvedModel != r.Model {
		resolved = l.cfg.Redact(r.ResolvedModel)
	}
	for i := range r.Attempts {
		if a := &r.Attempts[i]; a.Model == r.ResolvedModel {
			a.Model = resolved
		} else {
			a.Model = l.cfg.Redact(a.Model)
		}
	}
	r.Model, r.ResolvedModel = model, resolved
	own := false // other rows may share the headers
	for i := range r.Headers {
		value := l.cfg.Redact(r.Headers[i].Value)
		if value == r.Headers[i].Value {
			continue
		}
		if !own {
			r.Headers, own = slices.Clone(r.Headers), true
		}
		r.Headers[i].Value = value
	}
}

// rowDone does the work on a written row that is left to the writer's goroutine.
func (l *Log) rowDone(r *Row) {
	if r.bodies != nil {
		l.bodies.write(r.bodies, &l.cfg)
		r.bodies = nil
	}
	e := *r.pending
	*r.pending = Event{}
	e.Row, r.pending = r, nil
	for _, observe := range l.cfg.Observe {
		observe(e)
	}
}
