package approval

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/hostless/hostless/pkg/config"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/token"
)

// Bounds of a request's fields.
const (
	maxBody     = 64 << 10
	maxState    = 512
	maxCallback = 2048
	maxNames    = 32
	maxName     = 96
	maxRate     = 1_000_000_000
)

// Request is a validated request of an app: Origin has the form of
// config.NormalizeOrigin, Callback is a URL of that origin, and names are printable
// ASCII.
type Request struct {
	Origin    string
	Callback  string // the URL that the browser is redirected to, or ""
	State     string // opaque to us, returned unchanged
	Scope     token.Scope
	RateLimit int    // requests per hour; 0 is no limit
	Process   string // the calling program as the kernel names it, or ""
	// Run is the host name of the `hostless run` that the client is a descendant of, or
	// "". Such a client never uses an approval given to another.
	Run string
}

// sameAsk reports whether an approval of one request also applies to the other. State is
// ignored: it is new with each attempt.
func (r Request) sameAsk(o Request) bool {
	return r.Origin == o.Origin && r.Callback == o.Callback && r.Run == o.Run && r.RateLimit == o.RateLimit &&
		slices.Equal(r.Scope.Providers, o.Scope.Providers) && slices.Equal(r.Scope.Models, o.Scope.Models)
}

func invalid(param, format string, args ...any) error {
	return &fault.Error{Kind: fault.Invalid, Message: fmt.Sprintf(format, args...), Param: param}
}

// parseBody reads the JSON body of POST /auth/register.
func parseBody(data []byte) (Request, error) {
	var body struct {
		Origin    string   `json:"origin"`
		Callback  string   `json:"callback"`
		State     string   `json:"state"`
		Providers []string `json:"allowed_providers"`
		Models    []string `json:"allowed_models"`
		RateLimit *int     `json:"rate_limit"`
	}
	if err := json.Unmarshal(data, &body); err != nil {
		var wrong *json.UnmarshalTypeError
		if errors.As(err, &wrong) && wrong.Field != "" {
			return Request{}, invalid(wrong.Field, "%s has the wrong type", wrong.Field)
		}
		return Request{}, fault.New(fault.Invalid, "the request body is not a JSON object")
	}
	r := Request{Origin: body.Origin, Callback: body.Callback, State: body.State, Scope: token.Scope{Providers: body.Providers, Models: body.Models}}
	if body.RateLimit != nil {
		r.RateLimit = *body.RateLimit
	}
	return r, r.check()
}

// parseQuery reads the query of GET /connect. Lists are comma-separated, as in the URL
// that opens a native handler.
func parseQuery(raw string) (Request, error) {
	if len(raw) > maxBody {
		return Request{}, fault.New(fault.Invalid, "the query is too long")
	}
	q, err := url.ParseQuery(raw)
	if err != nil {
		return Request{}, fault.New(fault.Invalid, "the query is malformed")
	}
	for _, name := range []string{"origin", "callback", "state", "allowed_providers", "allowed_models", "rate_limit"} {
		if len(q[name]) > 1 {
			return Request{}, invalid(name, "%s is given more than once", name)
		}
	}
	r := Request{
		Origin: q.Get("origin"), Callback: q.Get("callback"), State: q.Get("state"),
		Scope: token.Scope{Providers: splitList(q.Get("allowed_providers")), Models: splitList(q.Get("allowed_models"))},
	}
	if text := q.Get("rate_limit"); text != "" {
		if r.RateLimit, err = strconv.Atoi(text); err != nil {
			return Request{}, invalid("rate_limit", "rate_limit must be a number of requests per hour")
		}
	}
	if r.Callback == "" {
		return Request{}, invalid("callback", "callback is missing")
	}
	return r, r.check()
}

func splitList(text string) (names []string) {
	for name := range strings.SplitSeq(text, ",") {
		if name = strings.TrimSpace(name); name != "" {
			names = append(names, name)
		}
	}
	return names
}

// check normalizes the request and refuses fields that no app needs.
func (r *Request) check() (err error) {
	if r.Origin == "" {
		return invalid("origin", "origin is missing")
	}
	if r.Origin, err = checkOrigin(r.Origin); err != nil {
		return err
	}
	if r.Callback != "" {
		if r.Callback, err = checkCallback(r.Callback, r.Origin); err != nil {
			return err
		}
	}
	if len(r.State) > maxState || !utf8.ValidString(r.State) || strings.ContainsFunc(r.State, unicode.IsControl) {
		return invalid("state", "state must be a text of at most %d bytes without control characters", maxState)
	}
	if r.RateLimit < 0 || r.RateLimit > maxRate {
		return invalid("rate_limit", "rate_limit must be a number of requests per hour, 0 for no limit")
	}
	if r.Scope.Providers, err = checkNames("allowed_providers", r.Scope.Providers); err != nil {
		return err
	}
	if r.Scope.Models, err = checkNames("allowed_models", r.Scope.Models); err != nil {
		return err
	}
	return r.Scope.Validate()
}

// checkNames sorts a list and removes duplicates, so that two requests with the same
// names in another order are the same.
func checkNames(param string, names []string) ([]string, error) {
	if len(names) > maxNames {
		return nil, invalid(param, "%s holds more than %d names", param, maxNames)
	}
	for _, name := range names {
		if name == "" || len(name) > maxName || !printableASCII(name) {
			return nil, invalid(param, "a name in %s is empty, longer than %d bytes or not printable ASCII", param, maxName)
		}
	}
	names = slices.Clone(names)
	slices.Sort(names)
	return slices.Compact(names), nil
}

func printableASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}

// scriptSchemes are the schemes whose URLs run or show content of the URL itself. No app
// has an origin with such a scheme.
var scriptSchemes = []string{"javascript", "vbscript", "data", "blob", "file", "filesystem", "about", "view-source"}

func checkOrigin(text string) (string, error) {
	if len(text) > 512 {
		return "", invalid("origin", "origin is too long")
	}
	origin, err := config.NormalizeOrigin(text)
	if err != nil {
		return "", err
	}
	if scheme, _, _ := strings.Cut(origin, ":"); slices.Contains(scriptSchemes, scheme) {
		return "", invalid("origin", "the scheme of origin is not allowed")
	}
	return origin, nil
}

// checkCallback returns a callback without its fragment. It must be a plain URL of the
// same origin that browsers and url.Parse interpret alike.
func checkCallback(text, origin string) (string, error) {
	if len(text) > maxCallback || !printableASCII(text) || strings.ContainsAny(text, "\\<>\"`") {
		return "", invalid("callback", "callback must be a URL of at most %d printable characters", maxCallback)
	}
	u, err := url.Parse(text)
	if err != nil || u.Opaque != "" || u.Host == "" {
		return "", invalid("callback", "callback is not a valid URL")
	}
	if u.User != nil {
		return "", invalid("callback", "callback must not contain a user or password")
	}
	if u.Scheme != "http" && u.Scheme != "https" && !strings.HasSuffix(u.Scheme, "-extension") {
		return "", invalid("callback", "callback is not an http or https URL")
	}
	own, err := checkOrigin(u.Scheme + "://" + u.Host)
	if err != nil || own != origin {
		return "", invalid("callback", "callback is not a URL of the origin that asks")
	}
	u.Fragment, u.RawFragment = "", ""
	return u.String(), nil
}
