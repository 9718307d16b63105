package budget

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hostless/hostless/pkg/config"
	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/gateway/pipeline"
)

// Switch stops all AI traffic, and lets it go on. It is a pipeline.Admitter: asked
// first, it refuses every call while the traffic is stopped. It is safe for concurrent use.
type Switch struct {
	path string // of the file that is there while it is stopped
	now  func() time.Time

	stopped  atomic.Bool
	changing sync.Mutex // held while the file is written
}

// NewSwitch reads how the switch stands. path is the file that is there while the traffic
// is stopped; now is time.Now when nil.
func NewSwitch(path string, now func() time.Time) *Switch {
	if now == nil {
		now = time.Now
	}
	s := &Switch{path: path, now: now}
	_, err := os.Lstat(path)
	s.stopped.Store(!errors.Is(err, fs.ErrNotExist)) // what cannot be read is taken for stopped
	return s
}

// kindFor is the kind of a refusal for callers of a dialect. Codex repeats 402 and 403, and
// of a 429 it does not show the message; 400 it shows at once, and no other client of the
// Responses API repeats that (TestRefusedOnce in test/agents and test/sdk).
func kindFor(kind fault.Kind, d dialect.Name) fault.Kind {
	if d == dialect.Responses {
		return fault.Invalid
	}
	return kind
}

// Killed is the error of every call of a dialect while the traffic is stopped; "" for those
// that were in flight when it was.
func Killed(d dialect.Name) *fault.Error {
	return &fault.Error{
		Kind: kindFor(fault.Killed, d), Code: pipeline.CodeKilled, NoRetry: true,
		Message: "all AI traffic has been stopped on this machine; the command lets it go on", Next: "hostless unkill",
	}
}

// Stopped reports whether the traffic is stopped.
func (s *Switch) Stopped() bool { return s.stopped.Load() }

// Set stops the traffic or lets it go on, for this process alone.
func (s *Switch) Set(stopped bool) { s.stopped.Store(stopped) }

// Kill stops the traffic, over restarts too. Calls that come are refused from the moment
// on at which it begins; those in flight are the caller's to end. Where the file cannot
// be written the traffic is stopped all the same, until the daemon ends: the error says so.
func (s *Switch) Kill() error {
	s.changing.Lock()
	defer s.changing.Unlock()
	s.stopped.Store(true)
	if err := config.WritePrivate(s.path, []byte(s.now().UTC().Format(time.RFC3339)+"\n")); err != nil {
		return &fault.Error{Kind: fault.Internal, Message: "all AI traffic is stopped, but only until the daemon ends: " + err.Error(), Next: "hostless kill", Err: err}
	}
	return nil
}

// Unkill lets the traffic go on.
func (s *Switch) Unkill() error {
	s.changing.Lock()
	defer s.changing.Unlock()
	if err := os.Remove(s.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return &fault.Error{Kind: fault.Internal, Message: "all AI traffic stays stopped: " + s.path + " cannot be removed", Err: err}
	}
	s.stopped.Store(false)
	return nil
}

// Admit implements pipeline.Admitter.
func (s *Switch) Admit(_ context.Context, call *pipeline.Call, _ []pipeline.Candidate) (func(pipeline.Outcome), error) {
	if s.stopped.Load() {
		return nil, Killed(call.Dialect)
	}
	return nil, nil
}
