package reqlog

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// record is a row of a journal.
type record interface {
	comparable
	when() time.Time // decides about the segment's day and the order of rows
	key() string     // unique; "" means that the line was not a row
}

// journal stores the rows of one plane: the latest ones in memory, all of them in
// segments by day. One goroutine writes. It is safe for concurrent use, and two
// processes may write to the same directory: each write appends whole lines.
type journal[R record] struct {
	what    string // for messages: "request log"
	log     *slog.Logger
	decode  func(line []byte) (R, bool)
	finish  func(R) // work on a row that is left to the writer's goroutine; may be nil
	queue   chan entry[R]
	quit    chan struct{}
	ended   chan struct{}
	closing sync.Once
	dropped atomic.Int64

	segments segments // used by the writer only

	mu        sync.Mutex
	ring      []kept[R] // the oldest is at next once it is full
	next      int
	followers map[chan R]bool
}

// entry is a row to write, or a barrier: a channel to close once everything before
// it is written.
type entry[R record] struct {
	row     R
	barrier chan struct{}
}

type kept[R record] struct {
	row     R
	written bool // whether it is in a segment
}

// limits are the limits of a journal; see Config.
type limits struct {
	rows, queue    int
	segment, total int64
	age            time.Duration
}

// start initializes the journal and starts its writer, which Close stops. No file
// is touched before the first row.
func (j *journal[R]) start(dir string, now func() time.Time, l limits) {
	j.queue, j.quit, j.ended = make(chan entry[R], l.queue), make(chan struct{}), make(chan struct{})
	j.segments = segments{dir: dir, now: now, size: l.segment, total: l.total, age: l.age}
	j.ring, j.followers = make([]kept[R], 0, l.rows), map[chan R]bool{}
	go j.write()
}

// offer adds a row. It never blocks: if the writer is too far behind, the row is
// dropped and counted.
func (j *journal[R]) offer(row R) {
	select {
	case j.queue <- entry[R]{row: row}:
	default:
		j.dropped.Add(1)
	}
}

// Dropped returns the number of rows that are in no segment, because the writer was
// too far behind or a write failed.
func (j *journal[R]) Dropped() int64 { return j.dropped.Load() }

// Close writes the waiting rows and closes the files. Later rows are dropped; the
// rows in memory can still be read.
func (j *journal[R]) Close() error {
	j.closing.Do(func() { close(j.quit) })
	<-j.ended
	return nil
}

// Sync returns once every row added before is in memory and, unless writing failed,
// in a segment.
func (j *journal[R]) Sync() {
	barrier := make(chan struct{})
	select {
	case j.queue <- entry[R]{barrier: barrier}:
	case <-j.ended:
		return
	}
	select {
	case <-barrier:
	case <-j.ended:
	}
}

// write is the writer's goroutine. It ends with Close.
func (j *journal[R]) write() {
	defer close(j.ended)
	defer j.segments.close()
	for {
		select {
		case e := <-j.queue:
			j.batch(e)
		case <-j.quit:
			for {
				select {
				case e := <-j.queue:
					j.batch(e)
				default:
					return
				}
			}
		}
	}
}

// batch writes an entry and those waiting after it, up to a barrier or batchRows.
func (j *journal[R]) batch(e entry[R]) {
	var rows []R
	for {
		if e.barrier != nil {
			j.add(rows)
			close(e.barrier)
			return
		}
		if j.finish != nil {
			j.finish(e.row)
		}
		if rows = append(rows, e.row); len(rows) == batchRows {
			break
		}
		select {
		case e = <-j.queue:
			continue
		default:
		}
		break
	}
	j.add(rows)
}

// add puts rows into their segments and into memory, and sends them to the
// followers.
func (j *journal[R]) add(rows []R) {
	if len(rows) == 0 {
		return
	}
	written, err := appendRows(&j.segments, rows)
	if err != nil {
		j.dropped.Add(int64(len(rows) - written))
		j.log.Error("cannot write rows of the "+j.what+", they are only in memory", "rows", len(rows)-written, "error", err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	for i, r := range rows {
		k := kept[R]{r, i < written}
		if len(j.ring) < cap(j.ring) {
			j.ring = append(j.ring, k)
		} else {
			j.ring[j.next] = k
			j.next = (j.next + 1) % len(j.ring)
		}
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

// memory returns the rows in memory that pass, oldest first.
func (j *journal[R]) memory(pass func(kept[R]) bool) (rows []R) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, k := range slices.Concat(j.ring[j.next:], j.ring[:j.next]) {
		if pass(k) {
			rows = append(rows, k.row)
		}
	}
	return rows
}

// last returns the last n rows since a time that match, by time, newest last. It
// skips lines that cannot be read, such as one that was cut off by a crash.
func (j *journal[R]) last(n int, since time.Time, match func(R) bool) ([]R, error) {
	rows := j.memory(func(k kept[R]) bool { return !k.written && match(k.row) })
	all, err := list(j.segments.dir)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", j.what, err)
	}
	left := n
	for _, name := range slices.Backward(all) {
		if left <= 0 || !since.IsZero() && name.day < day(since) {
			break
		}
		data, err := j.read(name)
		if err != nil {
			return nil, err
		}
		for len(data) > 0 && left > 0 {
			at := bytes.LastIndexByte(data[:len(data)-1], '\n') + 1
			if r, ok := j.decode(data[at:]); ok && match(r) {
				rows = append(rows, r)
				left--
			}
			data = data[:at]
		}
	}
	slices.SortStableFunc(rows, func(a, b R) int { return a.when().Compare(b.when()) })
	return rows[max(0, len(rows)-n):], nil
}

func (j *journal[R]) read(name segment) ([]byte, error) {
	data, err := os.ReadFile(filepath.Join(j.segments.dir, name.file()))
	if errors.Is(err, fs.ErrNotExist) { // pruned in the meantime
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", j.what, err)
	}
	return data, nil
}

// find returns the row with an id.
func (j *journal[R]) find(id string) (row R, err error) {
	j.Sync()
	if rows := j.memory(func(k kept[R]) bool { return k.row.key() == id }); len(rows) > 0 {
		return rows[len(rows)-1], nil
	}
	all, err := list(j.segments.dir)
	if err != nil {
		return row, fmt.Errorf("read %s: %w", j.what, err)
	}
	for _, name := range slices.Backward(all) {
		r, ok, err := j.findIn(name, id)
		if ok || err != nil {
			return r, err
		}
	}
	return row, nil
}

// findIn looks for the row with an id in one segment.
func (j *journal[R]) findIn(name segment, id string) (row R, ok bool, err error) {
	data, err := j.read(name)
	if err != nil {
		return row, false, err
	}
	mark, err := json.Marshal(id)
	if err != nil {
		return row, false, err
	}
	for line := range bytes.Lines(data) {
		if bytes.Contains(line, mark) {
			if r, ok := j.decode(line); ok && r.key() == id {
				return r, true, nil
			}
		}
	}
	return row, false, nil
}

// each calls yield with every row in [from, to), in no particular order. A zero
// time is no limit.
func (j *journal[R]) each(from, to time.Time, yield func(R)) error {
	j.Sync()
	in := func(r R) bool {
		return !r.when().Before(from) && (to.IsZero() || r.when().Before(to))
	}
	for _, r := range j.memory(func(k kept[R]) bool { return !k.written && in(k.row) }) {
		yield(r)
	}
	all, err := list(j.segments.dir)
	if err != nil {
		return fmt.Errorf("read %s: %w", j.what, err)
	}
	for _, name := range all {
		if !from.IsZero() && name.day < day(from) || !to.IsZero() && name.day > day(to) {
			continue
		}
		data, err := j.read(name)
		if err != nil {
			return err
		}
		for line := range bytes.Lines(data) {
			if r, ok := j.decode(line); ok && in(r) {
				yield(r)
			}
		}
	}
	return nil
}

// pollEvery is how often the log looks for rows of other processes.
const pollEvery = 500 * time.Millisecond

// follow calls yield with the last n rows that match and then with each new one,
// until ctx ends, yield fails, or the reader is too slow. poll, unless nil, yields
// the rows that other processes have written since its last call.
func (j *journal[R]) follow(ctx context.Context, n int, since time.Time, match func(R) bool, poll func(func(R)), yield func(R) error) error {
	next := make(chan R, 256)
	j.Sync()
	j.mu.Lock()
	j.followers[next] = true
	j.mu.Unlock()
	defer func() {
		j.mu.Lock()
		delete(j.followers, next)
		j.mu.Unlock()
	}()
	last, err := j.last(n, since, match)
	if err != nil {
		return err
	}
	shown := map[string]bool{} // rows that arrived while the last ones were read
	for _, r := range last {
		shown[r.key()] = true
		if err := yield(r); err != nil {
			return err
		}
	}
	var tick <-chan time.Time
	if poll != nil {
		ticker := time.NewTicker(pollEvery)
		defer ticker.Stop()
		tick = ticker.C
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick:
			var failed error
			poll(func(r R) {
				if failed == nil && !shown[r.key()] && match(r) {
					failed = yield(r)
				}
			})
			if failed != nil {
				return failed
			}
		case r, open := <-next:
			if !open {
				return errors.New(j.what + ": the reader is too slow")
			}
			if shown[r.key()] || !match(r) {
				continue
			}
			if err := yield(r); err != nil {
				return err
			}
		}
	}
}
