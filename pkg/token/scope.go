package token

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/hostless/hostless/pkg/fault"
)

// Scope limits the providers and models of a token. Each list contains exact names or
// globs whose only star is the last character; an empty list means everything. Matching
// is case-sensitive. The lists of a Scope must not be modified.
type Scope struct {
	Providers []string
	Models    []string
}

// maxPatterns and maxPattern limit how much one token makes the daemon store.
const (
	maxPatterns = 256
	maxPattern  = 256
)

// Validate rejects patterns that could never match as intended: empty ones, stars before
// the end, control characters. The error is fault.Invalid and names the list.
func (s Scope) Validate() error {
	for _, list := range []struct {
		param    string
		patterns []string
	}{{"allowed_providers", s.Providers}, {"allowed_models", s.Models}} {
		if len(list.patterns) > maxPatterns {
			return &fault.Error{Kind: fault.Invalid, Message: fmt.Sprintf("%s contains more than %d entries", list.param, maxPatterns), Param: list.param}
		}
		for _, p := range list.patterns {
			if why := badPattern(p); why != "" {
				return &fault.Error{Kind: fault.Invalid, Message: fmt.Sprintf("%s entry %q %s", list.param, cut(p), why), Param: list.param}
			}
		}
	}
	return nil
}

func badPattern(p string) string {
	switch star := strings.IndexByte(p, '*'); {
	case p == "":
		return "is empty"
	case len(p) > maxPattern:
		return fmt.Sprintf("is longer than %d bytes", maxPattern)
	case star >= 0 && star != len(p)-1:
		return "has a * before its end; only a closing * is a wildcard"
	case strings.ContainsFunc(p, func(r rune) bool { return unicode.IsControl(r) || unicode.IsSpace(r) }):
		return "contains white space or control characters"
	}
	return ""
}

func cut(s string) string {
	if len(s) > 64 {
		return s[:64] + "…"
	}
	return s
}

// Provider reports whether the scope includes a provider.
func (s Scope) Provider(name string) bool {
	return len(s.Providers) == 0 || slices.ContainsFunc(s.Providers, func(p string) bool {
		return match(p, name) || (name == google && match(p, gemini))
	})
}

// Model reports whether the scope includes a model of a provider, by its name with or
// without the provider's prefix. The provider must be included as well.
func (s Scope) Model(provider, model string) bool {
	if !s.Provider(provider) {
		return false
	}
	return len(s.Models) == 0 || slices.ContainsFunc(s.Models, func(p string) bool {
		return match(p, model) || match(p, provider+"/"+model) || (provider == google && match(p, gemini+"/"+model))
	})
}

// LimitsModels reports whether a request's model must be known before it can be
// authorized.
func (s Scope) LimitsModels() bool { return len(s.Models) > 0 }

// The provider google has a second name, which patterns for its models may use.
const (
	google = "google"
	gemini = "gemini"
)

// match reports whether a pattern matches a name.
func match(pattern, name string) bool {
	if head, glob := strings.CutSuffix(pattern, "*"); glob {
		return strings.HasPrefix(name, head)
	}
	return pattern == name
}
