// Package fault defines the kinds of error that Hostless reports to its clients.
//
// It owns the table that maps each kind to its HTTP status, its `type` on the wire
// and the exit code of the client, and an error type that carries a public message,
// the next step and a private cause. The shape of an error in a dialect is left to
// the packages of that dialect.
package fault

import (
	"errors"
	"net/http"
	"strings"
	"time"
)

// Kind classifies an error by what the caller can do about it.
type Kind int

// The kinds. Internal is the zero value: an error of unknown kind is a fault of
// Hostless.
const (
	Internal        Kind = iota
	Unauthenticated      // no bridge token, or an unknown one
	Expired              // an expired bridge token
	Origin               // the request's origin is not allowed for the token
	Scope                // the token's scope does not cover the request
	Invalid              // the request is malformed
	NotFound             // no such thing
	Method               // the endpoint exists, but not with this method
	Conflict             // the name is taken by a live owner
	TooLarge             // a body over its size limit
	RateLimited          // over a rate limit; sets RetryAfter
	Unconfigured         // no key for that provider
	Locked               // the keychain is locked
	Upstream             // the provider or app failed or cannot be reached
	UpstreamTimeout      // the provider or app did not answer in time
	Forbidden            // the control socket's peer is not the owner
	Unreachable          // the client cannot reach the daemon
	Busy                 // no room at the moment; sets RetryAfter
	Stopping             // the daemon is stopping and the response is not complete
	Spent                // a budget is used up
	Killed               // the owner has stopped all AI traffic
	Usage                // wrong command-line usage
)

var table = map[Kind]struct {
	status int
	wire   string
	exit   int
}{
	Internal:        {http.StatusInternalServerError, "internal_error", 1},
	Unauthenticated: {http.StatusUnauthorized, "authentication_error", 1},
	Expired:         {http.StatusUnauthorized, "token_expired", 1},
	Origin:          {http.StatusForbidden, "origin_mismatch", 1},
	Scope:           {http.StatusForbidden, "scope_error", 1},
	Invalid:         {http.StatusBadRequest, "invalid_request_error", 1},
	NotFound:        {http.StatusNotFound, "invalid_request_error", 1},
	Method:          {http.StatusMethodNotAllowed, "invalid_request_error", 1},
	Conflict:        {http.StatusConflict, "invalid_request_error", 1},
	TooLarge:        {http.StatusRequestEntityTooLarge, "invalid_request_error", 1},
	RateLimited:     {http.StatusTooManyRequests, "rate_limit_error", 1},
	Unconfigured:    {http.StatusBadRequest, "configuration_error", 1},
	Locked:          {http.StatusServiceUnavailable, "configuration_error", 1},
	Upstream:        {http.StatusBadGateway, "upstream_error", 1},
	UpstreamTimeout: {http.StatusGatewayTimeout, "upstream_error", 1},
	Forbidden:       {http.StatusForbidden, "permission_error", 1},
	Unreachable:     {http.StatusServiceUnavailable, "unreachable", 3},
	Busy:            {http.StatusServiceUnavailable, "overloaded_error", 1},
	Stopping:        {http.StatusServiceUnavailable, "shutdown_error", 1},
	// The SDKs of OpenAI, Anthropic and Google, the AI SDK, Claude Code and Gemini
	// CLI retry neither of these two by themselves: see TestRefusedOnce in test/sdk
	// and test/agents.
	Spent:  {http.StatusPaymentRequired, "budget_error", 1},
	Killed: {http.StatusForbidden, "killed_error", 1},

	Usage: {http.StatusBadRequest, "usage_error", 2},
}

// Status returns the HTTP status of the kind.
func (k Kind) Status() int { return table[k].status }

// Type returns the `type` member of the error on the wire.
func (k Kind) Type() string { return table[k].wire }

// Exit returns the exit code of the client.
func (k Kind) Exit() int { return table[k].exit }

// Error is an error that may be shown to anybody. Message, Next, Code and Param are
// public: they contain no secret and no internal detail. Err is private: it is only
// logged. An Error is immutable once it is returned.
type Error struct {
	Kind       Kind
	Message    string        // what failed and why, in one sentence without a full stop
	Next       string        // the command to type next, or ""
	Code       string        // the machine-readable `code`, or ""
	Param      string        // the field of the request that is at fault, or ""
	RetryAfter time.Duration // the time to wait before a retry; 0 if unknown
	NoRetry    bool          // tells SDKs not to retry: x-should-retry: false
	Err        error         // the private cause, or nil
}

// New returns an Error of a kind with a public message.
func New(kind Kind, message string) *Error { return &Error{Kind: kind, Message: message} }

// Error returns the public message and the next step, never the cause.
func (e *Error) Error() string {
	if e.Next == "" {
		return e.Message
	}
	return e.Message + " (" + e.Next + ")"
}

// Unwrap returns the private cause.
func (e *Error) Unwrap() error { return e.Err }

// From returns the Error in err's chain. An error without one becomes Internal,
// with a fixed public message and err as its cause. From(nil) is nil.
func From(err error) *Error {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Kind: Internal, Message: "internal error", Err: err}
}

// Is reports whether err is, or wraps, an Error of the given kind.
func Is(err error, kind Kind) bool {
	var e *Error
	return errors.As(err, &e) && e.Kind == kind
}

// KindOf returns the kind for the status and type of a control-API error, so that
// the client can handle the daemon's errors like its own.
func KindOf(status int, wire string) Kind {
	for kind := Internal; kind <= Usage; kind++ {
		if table[kind].status == status && strings.EqualFold(table[kind].wire, wire) {
			return kind
		}
	}
	if status >= 400 && status < 500 {
		return Invalid
	}
	return Internal
}
