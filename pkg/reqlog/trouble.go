package reqlog

import (
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// repeatEvery is how often failed writes are logged, and how often the writer tries to
// create a spool after a failure.
const repeatEvery = time.Minute

// trouble records failed writes of a journal. It is safe for concurrent use.
type trouble struct {
	noSpoolUntil time.Time // when to try to create a spool again; used by the writer only

	mu     sync.Mutex
	err    error     // of the latest write
	lost   int64     // number of rows in no segment, since the daemon started
	first  time.Time // when writing began to fail
	last   time.Time // when writing failed last
	cause  error     // the last error
	logged time.Time
}

// note records the result of a write, after which lost rows are in no segment. It reports
// whether rows were lost.
func (t *trouble) note(log *slog.Logger, what string, lost int, err error) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err == nil {
		if t.err != nil {
			log.Info("writing rows of the "+what+" works again", "lost", t.lost)
		}
		t.err = nil
		return false
	}
	now := time.Now()
	if t.err == nil {
		t.first = now
	}
	t.lost += int64(lost)
	t.last, t.cause = now, err
	if t.err == nil || now.Sub(t.logged) >= repeatEvery {
		log.Error("cannot write rows of the "+what+", they are only in memory", "rows", t.lost, "error", err)
		t.logged = now
	}
	t.err = err
	return lost > 0
}

// warning describes for people which rows were lost, or returns "".
func (t *trouble) warning(what string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.err != nil:
		return fmt.Sprintf("the %s cannot be written: %v; since %s rows are only in memory (%d so far), and spend and budgets lose them when the daemon stops", what, t.err, t.first.Format(time.DateTime), t.lost)
	case t.lost > 0:
		return fmt.Sprintf("the %s has lost %d rows, the last at %s: %v; spend and budgets do not count them after the daemon stops", what, t.lost, t.last.Format(time.DateTime), t.cause)
	}
	return ""
}
