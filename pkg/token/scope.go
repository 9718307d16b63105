package token

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/hostless/hostless/pkg/fault"
)

// Scope is how far a token reaches. Each list holds exact names or globs whose
// only star is the last character; an empty list means everything. Matching is
// by exact case. A Scope is a value: nobody changes its lists.
type Scope struct {
	Providers []string
	Models    []string
}

// maxPatterns and maxPattern bound what one token makes the daemon keep.
const (
	maxPatterns = 256
	maxPattern  = 256
)

// Validate refuses patterns that could never match what was meant: empty ones,
// a star before the end, control characters. The error is fault.Invalid and
// names the list.
func (s Scope) Validate() error {
	for _, list := range []struct {
		param    string
		patterns []string
	}{{"allowed_providers", s.Providers}, {"allowed_models", s.Models}} {
		if len(list.patterns) > maxPatterns {
			return &fault.Error{Kind: fault.Invalid, Message: fmt.Sprintf("%s holds more than %d entries", list.param, maxPatterns), Param: list.param}
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
		return "holds white space or control characters"
	}
	return ""
}

func cut(s string) string {
	if len(s) > 64 {
		return s[:64] + "…"
	}
	return s
}

// Provider reports whether the scope reaches a provider.
func (s Scope) Provider(name string) bool {
	return len(s.Providers) == 0 || slices.ContainsFunc(s.Providers, func(p string) bool {
		return match(p, name) || (name == google && match(p, gemini))
	})
}

// Model reports whether the scope reaches a model of a provider, by its bare
// name or with the provider's prefix. The provider itself is asked for as well.
func (s Scope) Model(provider, model string) bool {
	if !s.Provider(provider) {
		return false
	}
	return len(s.Models) == 0 || slices.ContainsFunc(s.Models, func(p string) bool {
		return match(p, model) || match(p, provider+"/"+model) || (provider == google && match(p, gemini+"/"+model))
	})
}

// LimitsModels reports whether a model must be known before a request is let on.
func (s Scope) LimitsModels() bool { return len(s.Models) > 0 }

// google's second name, by which its models may be asked for as well.
const (
	google = "google"
	gemini = "gemini"
)

// match holds a name against one pattern.
func match(pattern, name string) bool {
	if head, glob := strings.CutSuffix(pattern, "*"); glob {
		return strings.HasPrefix(name, head)
	}
	return pattern == name
}
