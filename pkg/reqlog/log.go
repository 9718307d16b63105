// Package reqlog is the request log: one row for each AI request, kept in memory and
// in append-only segments by day.
//
// It is an Observer of the gateway's pipeline. It owns the form of a row, the
// segments' files and what may be asked of them. What a request costs is package
// prices' word, who may read which rows the control server's.
package reqlog

import (
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hostless/hostless/pkg/gateway/pipeline"
	"github.com/hostless/hostless/pkg/prices"
)

// The defaults of Config.
const (
	ringRows    = 2000
	queueRows   = 4096
	segmentSize = 8 << 20
	totalSize   = 256 << 20
	maxAge      = 92 * 24 * time.Hour // a quarter
	batchRows   = 256                 // that one write takes
)

// Config is what New needs. Sizes that are 0 have their default.
type Config struct {
	Dir    string                // of the segments; required. It is made with the first row
	Prices func() *prices.Book   // called for each row; required
	Redact func(s string) string // takes secrets out of what callers chose; nil is none
	Now    func() time.Time      // time.Now when nil
	Logger *slog.Logger          // discards when nil
	// Count, where it is not nil, is called with each row, once, in the goroutine of its
	// request and before the row is written: it must be short and keep nothing of it.
	Count func(*Row)

	Rows        int           // in memory: 2,000
	Queue       int           // rows that wait to be written: 4,096
	SegmentSize int64         // bytes after which a day's next segment begins: 8 MiB
	TotalSize   int64         // bytes of all segments: 256 MiB
	MaxAge      time.Duration // of a segment: 92 days
}

// Log is the request log. It is safe for concurrent use. Two processes may write to
// one directory: each write appends whole lines.
type Log struct {
	cfg     Config
	queue   chan entry
	quit    chan struct{}
	ended   chan struct{}
	closing sync.Once
	dropped atomic.Int64

	segments segments // the writer's alone

	mu        sync.Mutex
	ring      []kept // oldest at next once it is full
	next      int
	followers map[chan *Row]bool
}

// entry is a row to write, or a barrier: a channel to close when all before it is
// written.
type entry struct {
	row     *Row
	barrier chan struct{}
}

type kept struct {
	row     *Row
	written bool // it is in a segment
}

// New makes a log and starts its writer, which Close ends. No file is touched before
// the first row.
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
	l := &Log{
		cfg: cfg, queue: make(chan entry, cfg.Queue), quit: make(chan struct{}), ended: make(chan struct{}),
		segments: segments{dir: cfg.Dir, now: cfg.Now, size: cfg.SegmentSize, total: cfg.TotalSize, age: cfg.MaxAge},
		ring:     make([]kept, 0, cfg.Rows), followers: map[chan *Row]bool{},
	}
	go l.write()
	return l, nil
}

func orDefault[T int | int64 | time.Duration](v *T, def T) {
	if *v <= 0 {
		*v = def
	}
}

// Attempt implements pipeline.Observer: a row has its attempts when the call is done.
func (l *Log) Attempt(*pipeline.Call, pipeline.Outcome) {}

// Done implements pipeline.Observer. It never blocks: where the writer is too far
// behind, the row is dropped and counted.
func (l *Log) Done(call *pipeline.Call, o pipeline.Outcome) {
	row := newRow(call, &o)
	charge(row, &o, l.cfg.Prices())
	if l.cfg.Count != nil {
		l.cfg.Count(row)
	}
	select {
	case l.queue <- entry{row: row}:
	default:
		l.dropped.Add(1)
	}
}

// Dropped counts the rows that are in no segment: the writer was too far behind, or
// the disk took nothing.
func (l *Log) Dropped() int64 { return l.dropped.Load() }

// Close writes what waits and closes the files. Rows that come later are dropped;
// what is in memory can still be read.
func (l *Log) Close() error {
	l.closing.Do(func() { close(l.quit) })
	<-l.ended
	return nil
}

// sync returns when every row that was done before is in memory and, as far as the
// disk takes it, in a segment.
func (l *Log) sync() {
	barrier := make(chan struct{})
	select {
	case l.queue <- entry{barrier: barrier}:
	case <-l.ended:
		return
	}
	select {
	case <-barrier:
	case <-l.ended:
	}
}

// write is the writer's goroutine. It ends with Close.
func (l *Log) write() {
	defer close(l.ended)
	defer l.segments.close()
	for {
		select {
		case e := <-l.queue:
			l.batch(e)
		case <-l.quit:
			for {
				select {
				case e := <-l.queue:
					l.batch(e)
				default:
					return
				}
			}
		}
	}
}

// batch writes an entry and what waits behind it, up to a barrier.
func (l *Log) batch(e entry) {
	var rows []*Row
	for {
		if e.barrier != nil {
			l.add(rows)
			close(e.barrier)
			return
		}
		l.finish(e.row)
		if rows = append(rows, e.row); len(rows) == batchRows {
			break
		}
		select {
		case e = <-l.queue:
			continue
		default:
		}
		break
	}
	l.add(rows)
}

// finish does to a row what the request's goroutine need not.
func (l *Log) finish(r *Row) {
	r.Client = l.cfg.Redact(clientName(r.Client))
	r.TokenName, r.Path = l.cfg.Redact(r.TokenName), l.cfg.Redact(r.Path)
	model := l.cfg.Redact(r.Model)
	if r.ResolvedModel == r.Model {
		r.ResolvedModel = model
	} else {
		r.ResolvedModel = l.cfg.Redact(r.ResolvedModel)
	}
	r.Model = model
	for i := range r.Attempts {
		r.Attempts[i].Model = l.cfg.Redact(r.Attempts[i].Model)
	}
}

// add puts rows into their segments and into memory, and hands them to who follows.
func (l *Log) add(rows []*Row) {
	if len(rows) == 0 {
		return
	}
	written, err := l.segments.append(rows)
	if err != nil {
		l.dropped.Add(int64(len(rows) - written))
		l.cfg.Logger.Error("rows of the request log cannot be written, they are in memory alone", "rows", len(rows)-written, "error", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, r := range rows {
		k := kept{r, i < written}
		if len(l.ring) < cap(l.ring) {
			l.ring = append(l.ring, k)
		} else {
			l.ring[l.next] = k
			l.next = (l.next + 1) % len(l.ring)
		}
		for f := range l.followers {
			select {
			case f <- r:
			default: // who does not keep up is let go
				delete(l.followers, f)
				close(f)
			}
		}
	}
}

// memory gives the rows in memory that pass, oldest first.
func (l *Log) memory(pass func(kept) bool) (rows []*Row) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, k := range slices.Concat(l.ring[l.next:], l.ring[:l.next]) {
		if pass(k) {
			rows = append(rows, k.row)
		}
	}
	return rows
}
