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

// Switch stops and resumes all AI traffic. It is a pipeline.Admitter that is called
// first and refuses every call while the traffic is stopped. It is safe for
// concurrent use.
type Switch struct {
	path string // of the file that exists while the traffic is stopped
	now  func() time.Time

	stopped  atomic.Bool
	changing sync.Mutex // held while the file is written
}

// NewSwitch reads the state of the switch. path is the file that exists while the
// traffic is stopped. now defaults to time.Now.
func NewSwitch(path string, now func() time.Time) *Switch {
	if now == nil {
		now = time.Now
	}
	s := &Switch{path: path, now: now}
	_, err := os.Lstat(path)
	s.stopped.Store(!errors.Is(err, fs.ErrNotExist)) // a file that cannot be read counts as stopped
	return s
}

// kindFor returns the kind of a refusal for clients of a dialect. Codex retries 402
// and 403, and does not show the message of a 429. It shows that of a 400 at once,
// and no other client of the Responses API retries 400 (TestRefusedOnce in
// test/agents and test/sdk).
func kindFor(kind fault.Kind, d dialect.Name) fault.Kind {
	if d == dialect.Responses {
		return fault.Invalid
	}
	return kind
}

// Killed returns the error for every call of a dialect while the traffic is
// stopped; "" is for the calls in flight at that moment.
func Killed(d dialect.Name) *fault.Error {
	return &fault.Error{
		Kind: kindFor(fault.Killed, d), Code: pipeline.CodeKilled, NoRetry: true,
		Message: "all AI traffic on this machine is stopped; resume it with the command", Next: "hostless unkill",
	}
}

// Stopped reports whether the traffic is stopped.
func (s *Switch) Stopped() bool { return s.stopped.Load() }

// Set stops or resumes the traffic of this process only.
func (s *Switch) Set(stopped bool) { s.stopped.Store(stopped) }

// Kill stops the traffic, also across restarts. It refuses new calls from its first
// moment on; ending those in flight is left to the caller. If the file cannot be
// written, the traffic is still stopped, but only until the daemon ends, and the
// error says so.
func (s *Switch) Kill() error {
	s.changing.Lock()
	defer s.changing.Unlock()
	s.stopped.Store(true)
	if err := config.WritePrivate(s.path, []byte(s.now().UTC().Format(time.RFC3339)+"\n")); err != nil {
		return &fault.Error{Kind: fault.Internal, Message: "all AI traffic is stopped, but only until the daemon ends: " + err.Error(), Next: "hostless kill", Err: err}
	}
	return nil
}

// Unkill resumes the traffic.
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
