package pipeline

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/hostless/hostless/pkg/fault"
)

// ErrorKind classifies an error by whose fault it is. The set of values is closed; the
// request log and the metrics show them. "" means success.
type ErrorKind string

// The error kinds.
const (
	CallerInvalid         ErrorKind = "caller_invalid"         // malformed or too large body, or unknown path
	CallerUnauthenticated ErrorKind = "caller_unauthenticated" // no bridge token, or an unknown, expired or revoked one
	CallerOrigin          ErrorKind = "caller_origin"          // the token is bound to another origin
	CallerDisconnected    ErrorKind = "caller_disconnected"    // the caller closed its connection before the end

	PolicyScope          ErrorKind = "policy_scope"
	PolicyRateLimited    ErrorKind = "policy_rate_limited"
	PolicyBudgetExceeded ErrorKind = "policy_budget_exceeded"
	PolicyKilled         ErrorKind = "policy_killed"

	ProviderUnreachable  ErrorKind = "provider_unreachable"  // no connection, or it closed before a response
	ProviderTimeout      ErrorKind = "provider_timeout"      // no response in time
	ProviderRejected     ErrorKind = "provider_rejected"     // 4xx for the request itself
	ProviderUnauthorized ErrorKind = "provider_unauthorized" // 401, 402 or 403 for the provider key
	ProviderRateLimited  ErrorKind = "provider_rate_limited" // 429
	ProviderError        ErrorKind = "provider_error"        // 5xx, or an error in the body of a 2xx response
	ProviderIncomplete   ErrorKind = "provider_incomplete"   // the response ended before it was complete
	ProviderUnreadable   ErrorKind = "provider_unreadable"   // the response cannot be translated

	HostlessUnconfigured ErrorKind = "hostless_unconfigured" // no provider key, or a base URL that is refused
	HostlessLocked       ErrorKind = "hostless_locked"       // the keychain is locked
	HostlessBusy         ErrorKind = "hostless_busy"         // no memory for the request body
	HostlessStopping     ErrorKind = "hostless_stopping"     // the daemon is shutting down
	HostlessInternal     ErrorKind = "hostless_internal"
)

// Aborted reports whether the caller or Hostless, and not the provider, ended the call. The
// provider charges for such a response although it did not report its usage.
func (k ErrorKind) Aborted() bool {
	return k != "" && !strings.HasPrefix(string(k), "provider_")
}

// Codes of the faults that Admitters return.
const (
	CodeBudgetExceeded = "budget_exceeded"
	CodeKilled         = "killed"
	CodeRateLimited    = "rate_limit_exceeded"
)

// Causes of Upstream faults that are more specific than the fault's Kind. They are compared
// with errors.Is and are not shown to the caller.
var (
	ErrIncomplete = errors.New("the response ended before it was complete")
	ErrUnreadable = errors.New("the response cannot be translated")
)

// KindOf classifies an error of Hostless's own. It returns "" for nil.
func KindOf(err error) ErrorKind {
	if err == nil {
		return ""
	}
	var f *fault.Error
	if !errors.As(err, &f) {
		if errors.Is(err, context.Canceled) {
			return CallerDisconnected
		}
		return HostlessInternal
	}
	switch f.Code {
	case CodeBudgetExceeded:
		return PolicyBudgetExceeded
	case CodeKilled:
		return PolicyKilled
	}
	switch {
	case errors.Is(f.Err, ErrIncomplete):
		return ProviderIncomplete
	case errors.Is(f.Err, ErrUnreadable):
		return ProviderUnreadable
	}
	switch f.Kind {
	case fault.Invalid, fault.NotFound, fault.Method, fault.Conflict, fault.TooLarge, fault.Usage:
		return CallerInvalid
	case fault.Unauthenticated, fault.Expired:
		return CallerUnauthenticated
	case fault.Origin:
		return CallerOrigin
	case fault.Scope, fault.Forbidden:
		return PolicyScope
	case fault.Spent:
		return PolicyBudgetExceeded
	case fault.Killed:
		return PolicyKilled
	case fault.RateLimited:
		return PolicyRateLimited
	case fault.Unconfigured:
		return HostlessUnconfigured
	case fault.Locked:
		return HostlessLocked
	case fault.Busy:
		return HostlessBusy
	case fault.Stopping:
		return HostlessStopping
	case fault.Upstream:
		return ProviderUnreachable
	case fault.UpstreamTimeout:
		return ProviderTimeout
	}
	return HostlessInternal
}

// KindOfStatus classifies a provider's response by its status. It returns "" below 400.
func KindOfStatus(status int) ErrorKind {
	switch {
	case status < 400:
		return ""
	case status == http.StatusUnauthorized, status == http.StatusPaymentRequired, status == http.StatusForbidden:
		return ProviderUnauthorized
	case status == http.StatusTooManyRequests:
		return ProviderRateLimited
	case status < 500:
		return ProviderRejected
	}
	return ProviderError
}
