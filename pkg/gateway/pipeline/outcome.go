package pipeline

import (
	"time"

	"github.com/hostless/hostless/pkg/gateway/usage"
)

// Outcome is the result of one attempt, or of a whole call. It is a value; its slices are
// shared and must not be modified.
type Outcome struct {
	// Candidate is the candidate of the attempt, or the last one of the call. Its Provider
	// is nil if nothing was tried.
	Candidate Candidate
	// Planned is the first candidate's model, in the provider's naming. It is "" for a call
	// that was not planned and for an attempt.
	Planned string
	// Status is the HTTP status that the provider returned (attempt) or that the caller
	// received (call). It is 0 if there was no response, or the caller disconnected first.
	Status int
	// Kind is "" on success. A stream that failed after it had started has Status 200 and a
	// Kind.
	Kind ErrorKind
	Err  error // for the log only, since its text may contain addresses; nil on success

	Stream bool // an event stream was sent to the caller
	// Usage is what the provider had reported by the end of the response. Reported
	// distinguishes a report of zero tokens from no report.
	Usage    usage.Report
	Reported bool
	// Estimated means that Usage is Hostless's own estimate, because the caller or Hostless
	// ended a stream before the provider reported anything. Reported is false then.
	Estimated bool
	Ignored   []string // fields of the request that the translation dropped

	Start     time.Time // start of the attempt; arrival of the call
	FirstByte time.Time // first byte of the provider's body; zero if there was none
	End       time.Time
	Sent      int64 // body bytes sent to the caller
	// Response is the beginning of the body sent to the caller. It is kept only for calls,
	// and only if the settings ask for it; nil otherwise.
	Response []byte

	// RetryAfter is the delay that the provider asked for; 0 if it did not.
	RetryAfter time.Duration
	// Committed means that the caller has received a part of this candidate's response.
	Committed bool
	// Attempts lists all attempts of a call in order; nil in the outcome of an attempt.
	Attempts []Attempt
}

// Failed reports whether the outcome has an error kind.
func (o *Outcome) Failed() bool { return o.Kind != "" }

// Attempt is the summary of one attempt in the outcome of its call.
type Attempt struct {
	Provider string // canonical name
	KeyLabel string
	Model    string // the provider's name for the model
	Status   int    // 0 if there was no response
	Kind     ErrorKind
	Duration time.Duration

	Start     time.Time
	FirstByte time.Time // first byte of the body; zero if there was none
}
