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

// Attributes maps header names to the attributes of a request that a provider gets in
// them. The attributes are those in AttributeNames.
type Attributes map[string]string

// AttributeNames lists the attributes: the app's NAME, the token's name, the request's
// ID.
var AttributeNames = []string{"app", "token", "request"}

// reservedHeaders are set by Hostless or by HTTP, or contain credentials.
var reservedHeaders = []string{
	"authorization", "x-api-key", "x-goog-api-key", "api-key", "cookie", "host", "connection", "upgrade", "te", "trailer", "transfer-encoding", "expect",
	"accept", "accept-encoding", "user-agent", "origin", "referer", "forwarded", "via", "traceparent", "tracestate",
}

// CheckAttributes validates attributes; the error is fault.Invalid. The value "" is
// valid: it removes an attribute.
func CheckAttributes(a Attributes) error {
	for name, header := range a {
		lower := strings.ToLower(header)
		switch {
		case !slices.Contains(AttributeNames, name):
			return &fault.Error{Kind: fault.Invalid, Param: "attributes", Message: fmt.Sprintf("an attribute must be one of %s, not %.40q", strings.Join(AttributeNames, ", "), name)}
		case header == "":
		case !httpx.IsToken(header) || len(header) > 100 || slices.Contains(reservedHeaders, lower) ||
			strings.HasPrefix(lower, "content-") || strings.HasPrefix(lower, "sec-") || strings.HasPrefix(lower, "proxy-") || strings.HasPrefix(lower, "x-hostless-") || strings.HasPrefix(lower, "x-forwarded-"):
			return &fault.Error{Kind: fault.Invalid, Param: "attributes", Message: fmt.Sprintf("%.60q cannot be the header of an attribute: use one such as x-litellm-tags", header)}
		}
	}
	return nil
}

// Attributes returns the attributes of all providers, by canonical name, without invalid
// entries.
func (s *Settings) Attributes() map[string]Attributes {
	out := map[string]Attributes{}
	for provider, a := range s.current.Load().attributes {
		if CheckAttributes(a) == nil && len(a) > 0 {
			out[provider] = maps.Clone(a)
		}
	}
	return out
}

// SetAttributes changes the attributes of a provider: it sets those given and removes
// those with the value "". nil removes all. When it returns, the change is on disk.
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
