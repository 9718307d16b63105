package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/httpx"
)

// Attributes are what a provider is told of a request, by the header that carries it: the
// keys are of AttributeNames.
type Attributes map[string]string

// AttributeNames are what can be told: the app's NAME, the token's name, the request's ID.
var AttributeNames = []string{"app", "token", "request"}

// reservedHeaders are set by Hostless or by HTTP, or carry credentials.
var reservedHeaders = []string{
	"authorization", "x-api-key", "x-goog-api-key", "api-key", "cookie", "host", "connection", "upgrade", "te", "trailer", "transfer-encoding", "expect",
	"accept", "accept-encoding", "user-agent", "origin", "referer", "forwarded", "via", "traceparent", "tracestate",
}

// CheckAttributes says what is wrong with attributes; the error is fault.Invalid. A header
// that is "" is good: it takes an attribute back.
func CheckAttributes(a Attributes) error {
	for name, header := range a {
		lower := strings.ToLower(header)
		switch {
		case !slices.Contains(AttributeNames, name):
			return &fault.Error{Kind: fault.Invalid, Param: "attributes", Message: fmt.Sprintf("an attribute is one of %s, not %.40q", strings.Join(AttributeNames, ", "), name)}
		case header == "":
		case !httpx.IsToken(header) || len(header) > 100 || slices.Contains(reservedHeaders, lower) ||
			strings.HasPrefix(lower, "content-") || strings.HasPrefix(lower, "sec-") || strings.HasPrefix(lower, "proxy-") || strings.HasPrefix(lower, "x-hostless-") || strings.HasPrefix(lower, "x-forwarded-"):
			return &fault.Error{Kind: fault.Invalid, Param: "attributes", Message: fmt.Sprintf("%.60q is not a header that an attribute can have, such as x-litellm-tags", header)}
		}
	}
	return nil
}

// Attributes are those of all providers, by canonical name. Bad entries are left out.
func (s *Settings) Attributes() map[string]Attributes {
	out := map[string]Attributes{}
	for provider, a := range s.current.Load().attributes {
		if CheckAttributes(a) == nil && len(a) > 0 {
			out[provider] = maps.Clone(a)
		}
	}
	return out
}

// SetAttributes changes those of a provider: each that is given, "" takes one back; nil
// takes all back. It is on disk when SetAttributes returns.
func (s *Settings) SetAttributes(provider string, a Attributes) error {
	if err := CheckAttributes(a); err != nil {
		return err
	}
	return s.change(func(_ *snapshot, members map[string]json.RawMessage) (bool, error) {
		all := map[string]Attributes{}
		if raw, ok := members[memberAttributes]; ok && json.Unmarshal(raw, &all) != nil {
			return false, fault.New(fault.Invalid, memberAttributes+" in config.json is not an object: correct it first")
		}
		before := maps.Clone(all[provider])
		next := maps.Clone(before)
		if next == nil || a == nil {
			next = Attributes{}
		}
		for name, header := range a {
			if next[name] = header; header == "" {
				delete(next, name)
			}
		}
		if maps.Equal(before, next) {
			return false, nil
		}
		if all == nil {
			all = map[string]Attributes{}
		}
		if all[provider] = next; len(next) == 0 {
			delete(all, provider)
		}
		members[memberAttributes] = mustJSON(all)
		return true, nil
	})
}
