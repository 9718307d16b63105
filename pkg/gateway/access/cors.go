package access

import (
	"net/http"
	"slices"
	"strings"

	"github.com/hostless/hostless/pkg/config"
)

// exposed is the value of Access-Control-Expose-Headers: request ids, retry and rate-limit
// headers, and those of Hostless.
var exposed = []string{strings.Join([]string{
	"x-request-id", "request-id", "cf-ray", "openai-organization", "openai-processing-ms", "openai-version", "openai-model",
	"anthropic-organization-id", "retry-after", "retry-after-ms", "x-should-retry",
	"x-ratelimit-limit-requests", "x-ratelimit-limit-tokens", "x-ratelimit-remaining-requests", "x-ratelimit-remaining-tokens",
	"x-ratelimit-reset-requests", "x-ratelimit-reset-tokens", "x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset",
	"anthropic-ratelimit-requests-limit", "anthropic-ratelimit-requests-remaining", "anthropic-ratelimit-requests-reset",
	"anthropic-ratelimit-tokens-limit", "anthropic-ratelimit-tokens-remaining", "anthropic-ratelimit-tokens-reset",
	"anthropic-ratelimit-input-tokens-limit", "anthropic-ratelimit-input-tokens-remaining", "anthropic-ratelimit-input-tokens-reset",
	"anthropic-ratelimit-output-tokens-limit", "anthropic-ratelimit-output-tokens-remaining", "anthropic-ratelimit-output-tokens-reset",
	"location", "x-goog-upload-url", "x-goog-upload-status",
	"x-hostless-error", "x-hostless-provider", "x-hostless-model", "x-hostless-ignored",
}, ", ")}

// CrossSite reports whether a page of another origin caused a request whose response it
// cannot read: an image, a script, a form, a no-cors fetch. Such a request has no Origin to
// check, but it would use the provider keys, and its timing would reveal what is running
// here. "same-site" is another port or app of localhost
// (https://w3c.github.io/webappsec-fetch-metadata/).
func CrossSite(r *http.Request) bool {
	if len(r.Header["Origin"]) > 0 {
		return false
	}
	for _, site := range r.Header["Sec-Fetch-Site"] {
		if site != "none" && site != "same-origin" {
			return true
		}
	}
	return false
}

// TopLevel reports whether the browser navigates to the address at the top level, and does
// not load it into another page.
func TopLevel(r *http.Request) bool {
	return r.Method == http.MethodGet && r.Header.Get("Sec-Fetch-Mode") == "navigate" && r.Header.Get("Sec-Fetch-Dest") == "document"
}

var varyOrigin = []string{"Origin"}

// CORS allows the requesting page to read the response if its origin is allowed, and
// reports whether it is.
func (a *Access) CORS(h http.Header, r *http.Request) bool {
	origins := r.Header["Origin"]
	if len(origins) == 0 {
		return false
	}
	h["Vary"] = varyOrigin
	if len(origins) != 1 || !a.allowedOrigin(origins[0]) {
		return false
	}
	h["Access-Control-Allow-Origin"] = origins
	h["Access-Control-Expose-Headers"] = exposed
	return true
}

// allowedOrigin reports whether pages of an origin may read responses: bare localhost on
// any port, *.localhost, the origins list, and the origin of any live token. A token with
// the origin `*` allows none.
func (a *Access) allowedOrigin(origin string) bool {
	if bareLocalhost(origin) || strings.HasSuffix(originHost(origin), ".localhost") {
		return true
	}
	list := a.Origins()
	if slices.Contains(list, origin) {
		return true
	}
	if norm, err := config.NormalizeOrigin(origin); err == nil && slices.Contains(list, norm) {
		return true
	}
	return a.Tokens.OwnsOrigin(origin)
}

// Preflight answers a CORS preflight, or any other OPTIONS request, for an endpoint with
// the given methods. If the origin is not allowed, the response has no CORS headers.
func (a *Access) Preflight(w http.ResponseWriter, r *http.Request, methods string) {
	h := w.Header()
	h["Allow"] = []string{methods + ", OPTIONS"}
	if len(h["Access-Control-Allow-Origin"]) > 0 {
		h["Vary"] = []string{"Origin, Access-Control-Request-Method, Access-Control-Request-Headers, Access-Control-Request-Private-Network"}
		h["Access-Control-Allow-Methods"] = []string{methods + ", OPTIONS"}
		if asked := r.Header["Access-Control-Request-Headers"]; len(asked) > 0 {
			h["Access-Control-Allow-Headers"] = asked
		}
		for _, network := range []string{"Private", "Local"} {
			if r.Header.Get("Access-Control-Request-"+network+"-Network") == "true" {
				h["Access-Control-Allow-"+network+"-Network"] = []string{"true"}
			}
		}
		h["Access-Control-Max-Age"] = []string{"600"}
		delete(h, "Access-Control-Expose-Headers")
	}
	w.WriteHeader(http.StatusNoContent)
}
