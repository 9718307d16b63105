package pipeline

import (
	"time"

	"github.com/hostless/hostless/pkg/gateway/usage"
)

// Outcome is how a candidate, or the call as a whole, went. It is a value; the
// slices in it are shared and not to be changed.
type Outcome struct {
	// Candidate is what was tried; in the outcome of a call the last one. Its
	// Provider is nil where nothing was tried.
	Candidate Candidate
	// Status is the HTTP status: of an attempt what the provider answered, of a call
	// what its caller got. 0 where there was none: nothing answered, or the caller
	// disconnected first.
	Status int
	// Kind is "" where the call succeeded. A stream that failed after its beginning
	// has the Status 200 and a Kind.
	Kind ErrorKind
	Err  error // for the log alone: its text may name addresses; nil on success

	Stream bool // an event stream was sent
	// Usage is what the provider reported, so far as the answer came. Reported tells
	// a report of nothing from none at all.
	Usage    usage.Report
	Reported bool
	// Estimated is whether Usage is Hostless's own estimate: of a stream that the
	// caller or Hostless ended before the provider reported anything. Reported is false then.
	Estimated bool
	Ignored   []string // fields of the request that the translation dropped

	Start     time.Time // of the attempt; of a call its arrival
	FirstByte time.Time // when the first byte of the body came from the provider; zero where none did
	End       time.Time
	Sent      int64 // bytes of the body that went to the caller
	// Response is the beginning of that body, for who asked for it in the settings; nil
	// else, and of an attempt.
	Response []byte

	// RetryAfter is the provider's own word on when to come back; 0 where it has none.
	RetryAfter time.Duration
	// Committed is whether something of this candidate went to the caller.
	Committed bool
	// Attempts lists all tries of a call in order; nil in the outcome of one attempt.
	Attempts []Attempt
}

// Failed reports whether it ended with an error.
func (o *Outcome) Failed() bool { return o.Kind != "" }

// Attempt is what remains of one try in the outcome of its call.
type Attempt struct {
	Provider string // canonical
	KeyLabel string
	Model    string // by the provider's name for it
	Status   int    // 0 where nothing answered
	Kind     ErrorKind
	Duration time.Duration

	Start     time.Time
	FirstByte time.Time // when the first byte of the body came; zero where none did
}
