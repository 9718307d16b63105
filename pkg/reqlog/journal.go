package reqlog

import (
	"bytes"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// record is a row of a journal.
type record interface {
	comparable
	when() time.Time // determines the day of the row's segment and the order of rows
	key() string     // unique; "" means that the line was not a row
}

// journal stores the rows of one plane: the latest ones in memory, all of them in
// segments by day. It is safe for concurrent use, and two processes may write to the same
// directory: each write appends whole lines.
//
// A request's goroutine encodes its row and copies the line into the spool, which survives
// a kill of the process. One goroutine writes to the segments, many rows at a time. The
// first row after an idle time is not spooled, because that could block on the disk: it is
// written at once.
type journal[R record] struct {
	what   string // for messages: "request log"
	log    *slog.Logger
	decode func(line []byte) (R, bool)
	encode func(b []byte, row R) []byte
	done   func(R) // called for each written row, in the writer's goroutine; may be nil

	most    int           // limit of waiting rows
	wake    chan struct{} // a row is waiting, and is in the spool
	hurry   chan struct{} // rows must be written now
	quit    chan struct{}
	ended   chan struct{}
	closing sync.Once
	dropped atomic.Int64
	trouble trouble

	segments segments  // used by the writer only
	empty    *batch[R] // the next filling; used by the writer only

	mu      sync.Mutex
	filling *batch[R] // waiting rows
	writing *batch[R] // rows being written, or nil
	spool   *spool    // nil if there is none
	closed  bool      // further rows are dropped

	reading   sync.Mutex
	ring      []kept // the oldest is at next once it is full
	next      int
	followers map[chan R]bool
}

// batch holds rows and their lines.
type batch[R record] struct {
	rows    []R
	lines   []byte
	ends    []int         // where the line of each row ends
	written chan struct{} // closed once the batch is written; nil if nobody waits
}

// wait returns a channel that is closed once the batch is written. The journal's mu must
// be held.
func (b *batch[R]) wait() <-chan struct{} {
	if b.written == nil {
		b.written = make(chan struct{})
	}
	return b.written
}

// kept is a row in memory, stored as its line. The pointers in decoded rows would cost each
// garbage collection more than writing the rows.
type kept struct {
	line    []byte
	written bool // whether it is in a segment
}

// limits are the limits of a journal; see Config.
type limits struct {
	rows, queue    int
	segment, total int64
	age            time.Duration
}

// Limits of waiting.
const (
	gatherFor   = 20 * time.Millisecond // how long spooled rows wait for others
	gatherBytes = spoolHalf / 8         // how many bytes of rows wait for others
	syncTime    = 5 * time.Second       // how long a reader waits for the disk
)

// start initializes the journal and starts its writer, which Close stops. No file is
// touched before the first row.
func (j *journal[R]) start(dir string, now func() time.Time, l limits) {
	j.most, j.wake, j.hurry = l.queue, make(chan struct{}, 1), make(chan struct{}, 1)
	j.quit, j.ended = make(chan struct{}), make(chan struct{})
	j.segments = segments{dir: dir, now: now, size: l.segment, total: l.total, age: l.age}
	j.filling, j.empty = &batch[R]{}, &batch[R]{}
	j.ring, j.followers = make([]kept, 0, l.rows), map[chan R]bool{}
	go j.write()
}

// offer adds a row. It never waits for the disk: if the writer is too far behind, the row
// is dropped and counted.
func (j *journal[R]) offer(row R) {
	now := time.Now()
	j.mu.Lock()
	b := j.filling
	if j.closed || len(b.rows) >= j.most {
		j.mu.Unlock()
		j.dropped.Add(1)
		return
	}
	start := len(b.lines)
	b.lines = append(j.encode(b.lines, row), '\n')
	b.rows, b.ends = append(b.rows, row), append(b.ends, len(b.lines))
	spooled := j.spool.keep(b.lines[start:], now)
	first, full := len(b.rows) == 1, start < gatherBytes && len(b.lines) >= gatherBytes
	j.mu.Unlock()
	switch {
	case !spooled || full:
		signal(j.hurry)
	case first:
		signal(j.wake)
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Dropped returns the number of rows that are in no segment, because the writer was too
// far behind or a write failed.
func (j *journal[R]) Dropped() int64 { return j.dropped.Load() }

// Close writes the waiting rows and closes the files. Later rows are dropped; the rows in
// memory can still be read.
func (j *journal[R]) Close() error {
	j.closing.Do(func() { close(j.quit) })
	<-j.ended
	return nil
}

// Sync returns once every row added before is in memory and, unless writing failed, in a
// segment. It gives up after syncTime.
func (j *journal[R]) Sync() {
	var written <-chan struct{}
	j.mu.Lock()
	switch {
	case len(j.filling.rows) > 0:
		written = j.filling.wait()
	case j.writing != nil:
		written = j.writing.wait()
	}
	j.mu.Unlock()
	if written == nil {
		return
	}
	signal(j.hurry)
	limit := time.NewTimer(syncTime)
	defer limit.Stop()
	select {
	case <-written:
	case <-j.ended:
	case <-limit.C:
	}
}

// write is the writer's goroutine. It ends with Close.
func (j *journal[R]) write() {
	defer close(j.ended)
	defer j.segments.close()
	gathered := time.NewTimer(0)
	<-gathered.C
	for ended := false; !ended; {
		select {
		case <-j.hurry:
		case <-j.wake:
			gathered.Reset(gatherFor)
			select {
			case <-gathered.C:
			case <-j.hurry:
			case <-j.quit:
			}
			gathered.Stop()
		case <-j.quit:
			ended = true
			j.mu.Lock()
			j.closed = true
			j.mu.Unlock()
		}
		j.flush()
	}
	j.spool.close()
}

// flush writes the waiting rows.
func (j *journal[R]) flush() {
	j.mu.Lock()
	b := j.filling
	if len(b.rows) == 0 {
		j.mu.Unlock()
		return
	}
	j.filling, j.writing = j.empty, b
	j.spool.swap()
	j.mu.Unlock()
	written, err := j.segments.appendBatch(len(b.rows), func(i int) time.Time { return b.rows[i].when() }, b.lines, b.ends)
	if j.trouble.note(j.log, j.what, len(b.rows)-written, err) {
		j.dropped.Add(int64(len(b.rows) - written))
	}
	if j.done != nil {
		for _, row := range b.rows {
			j.done(row)
		}
	}
	j.show(b, written)
	j.mu.Lock()
	j.writing = nil
	done := b.written
	j.mu.Unlock()
	if done != nil {
		close(done)
	}
	clear(b.rows)
	b.rows, b.lines, b.ends, b.written = b.rows[:0], b.lines[:0], b.ends[:0], nil
	if cap(b.lines) > 2*spoolHalf {
		*b = batch[R]{}
	}
	j.empty = b
	j.respool()
}

// respool removes the written rows from the spool and prepares it for the next ones.
func (j *journal[R]) respool() {
	if now := time.Now(); j.spool == nil && !j.closed && now.After(j.trouble.noSpoolUntil) {
		made, err := openSpool(j.segments.dir)
		if err != nil {
			if j.trouble.noSpoolUntil.IsZero() {
				j.log.Warn("cannot gather rows of the "+j.what+", each is written at once", "error", err)
			}
			j.trouble.noSpoolUntil = now.Add(repeatEvery)
			return
		}
		j.mu.Lock()
		j.spool = made
		j.mu.Unlock()
	}
	j.spool.clear()
	j.spool.touch()
}

// show puts the rows of a batch into memory and sends them to the followers. The first
// written rows are in segments.
func (j *journal[R]) show(b *batch[R], written int) {
	j.reading.Lock()
	defer j.reading.Unlock()
	start := 0
	for i, r := range b.rows {
		j.keep(b.lines[start:b.ends[i]], i < written)
		start = b.ends[i]
		for f := range j.followers {
			select {
			case f <- r:
			default: // drop a follower that does not keep up
				delete(j.followers, f)
				close(f)
			}
		}
	}
}

// keep puts a line into memory, in place of the oldest one if the ring is full. j.reading
// must be held.
func (j *journal[R]) keep(line []byte, written bool) {
	if len(j.ring) < cap(j.ring) {
		j.ring = append(j.ring, kept{bytes.Clone(line), written})
		return
	}
	k := &j.ring[j.next]
	k.line, k.written = append(k.line[:0], line...), written
	j.next = (j.next + 1) % len(j.ring)
}
