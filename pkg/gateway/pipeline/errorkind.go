package pipeline

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/hostless/hostless/pkg/fault"
)

// ErrorKind names what went wrong by whose fault it is: a closed vocabulary, as the
// request log shows it. "" is success.
type ErrorKind string

// The kinds.
const (
	CallerInvalid         ErrorKind = "caller_invalid"         // malformed, too large, no such path
	CallerUnauthenticated ErrorKind = "caller_unauthenticated" // no token, an unknown, expired or revoked one
	CallerOrigin          ErrorKind = "caller_origin"          // from an origin that the token is not bound to
	CallerDisconnected    ErrorKind = "caller_disconnected"    // closed its connection before the end

	PolicyScope          ErrorKind = "policy_scope"
	PolicyRateLimited    ErrorKind = "policy_rate_limited"
	PolicyBudgetExceeded ErrorKind = "policy_budget_exceeded"
	PolicyKilled         ErrorKind = "policy_killed"

	ProviderUnreachable  ErrorKind = "provider_unreachable"  // no connection, or one that closed before an answer
	ProviderTimeout      ErrorKind = "provider_timeout"      // no answer in time
	ProviderRejected     ErrorKind = "provider_rejected"     // 4xx on what was asked
	ProviderUnauthorized ErrorKind = "provider_unauthorized" // 401, 402 or 403: the key does not do
	ProviderRateLimited  ErrorKind = "provider_rate_limited" // 429
	ProviderError        ErrorKind = "provider_error"        // 5xx, or an error inside a good answer
	ProviderIncomplete   ErrorKind = "provider_incomplete"   // the answer ended before it was complete
	ProviderUnreadable   ErrorKind = "provider_unreadable"   // an answer that cannot be translated

	HostlessUnconfigured ErrorKind = "hostless_unconfigured" // no key, or a base URL that is refused
	HostlessLocked       ErrorKind = "hostless_locked"       // the keychain is locked
	HostlessBusy         ErrorKind = "hostless_busy"         // no memory left for the body
	HostlessStopping     ErrorKind = "hostless_stopping"     // the daemon stops
	HostlessInternal     ErrorKind = "hostless_internal"
)

// Aborted reports whether an answer that had started was ended by the caller or by
// Hostless: the provider charges for it, though it reported nothing.
func (k ErrorKind) Aborted() bool {
	return k != "" && !strings.HasPrefix(string(k), "provider_")
}

// Codes of the faults by which Admitters refuse.
const (
	CodeBudgetExceeded = "budget_exceeded"
	CodeKilled         = "killed"
	CodeRateLimited    = "rate_limit_exceeded"
)

// Causes of faults of the provider that say more than their Kind; never shown.
var (
	ErrIncomplete = errors.New("the response ended before it was complete")
	ErrUnreadable = errors.New("the response cannot be translated")
)

// KindOf sorts an error of Hostless's own; "" for nil.
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

// KindOfStatus sorts a provider's answer; "" below 400.
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
