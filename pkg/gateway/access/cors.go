package access

import (
	"net/http"
	"slices"
	"strings"

	"github.com/hostless/hostless/pkg/config"
)

// exposed are the response headers that a page may read beside the safelisted
// ones: request ids, retry and rate-limit headers, and Hostless's own.
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

// CrossSite reports whether a page of another origin caused a request of which it
// could not read the answer: an image, a script, a form, a no-cors fetch. It has no
// Origin to be judged by, yet it would use this machine's keys, or tell by its time
// what is here. "same-site" is another port or app of localhost
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

// TopLevel reports whether a person's browser goes to the address as a page of its
// own, and does not load it into another one.
func TopLevel(r *http.Request) bool {
	return r.Method == http.MethodGet && r.Header.Get("Sec-Fetch-Mode") == "navigate" && r.Header.Get("Sec-Fetch-Dest") == "document"
}

var varyOrigin = []string{"Origin"}

// CORS marks an answer as readable for the page that asked, where its origin is
// an allowed one, and reports whether it is.
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

// allowedOrigin is the rule of who may read answers: bare localhost on any port,
// *.localhost, the origins list, and the origin of any live token. A token bound
// to no origin (`*`) adds none.
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

// Preflight answers a CORS preflight (and any other OPTIONS) for an endpoint
// with these methods. For an origin that is not allowed it says nothing of CORS.
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
