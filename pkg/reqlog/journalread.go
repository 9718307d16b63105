package reqlog

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// memory returns the rows in memory for which pass reports true, oldest first.
func (j *journal[R]) memory(pass func(*kept) bool) (rows []R) {
	j.reading.Lock()
	defer j.reading.Unlock()
	for i := range j.ring {
		k := &j.ring[(j.next+i)%len(j.ring)]
		if !pass(k) {
			continue
		}
		if r, ok := j.decode(k.line); ok {
			rows = append(rows, r)
		}
	}
	return rows
}

// unwritten returns the rows in memory that are in no segment and match.
func (j *journal[R]) unwritten(match func(R) bool) []R {
	rows := j.memory(func(k *kept) bool { return !k.written })
	return slices.DeleteFunc(rows, func(r R) bool { return !match(r) })
}

// last returns the last n rows that match, ordered by time, newest last. It does not
// read segments of days before since; match must check the time of each row. It skips
// lines that cannot be read, such as one that was cut off by a crash.
func (j *journal[R]) last(n int, since time.Time, match func(R) bool) ([]R, error) {
	rows := j.unwritten(match)
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

// find returns the row with an id, or the zero value if there is none.
func (j *journal[R]) find(id string) (row R, err error) {
	j.Sync()
	if rows := j.memory(func(k *kept) bool { own, ok := idOf(k.line); return ok && own == id }); len(rows) > 0 {
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
	for _, r := range j.unwritten(in) {
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
	j.reading.Lock()
	j.followers[next] = true
	j.reading.Unlock()
	defer func() {
		j.reading.Lock()
		delete(j.followers, next)
		j.reading.Unlock()
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
