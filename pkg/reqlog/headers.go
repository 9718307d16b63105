package reqlog

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// Headers are the request headers of a row, sorted by name; in JSON an object. nil means
// none.
type Headers []Header

// Header is one header: its name in lower case, and its values joined by commas.
type Header struct{ Name, Value string }

// headerNames are the request headers that a row contains, in canonical form and in lower
// case, sorted. They describe the request and hold no secrets.
var headerNames = [...]struct{ canonical, name string }{
	{"Accept", "accept"}, {"Anthropic-Beta", "anthropic-beta"}, {"Anthropic-Version", "anthropic-version"}, {"Content-Type", "content-type"},
	{"Openai-Beta", "openai-beta"}, {"User-Agent", "user-agent"}, {"X-Hostless-Provider", "x-hostless-provider"},
	{"X-Stainless-Retry-Count", "x-stainless-retry-count"},
}

// headersOf returns the headers of a request. It returns before, those of another request,
// if they are the same.
func headersOf(h http.Header, before Headers) Headers {
	if len(h) == 0 {
		return nil
	}
	var found [len(headerNames)]Header
	n, same := 0, true
	for _, one := range headerNames {
		v := h[one.canonical]
		if len(v) == 0 {
			continue
		}
		value := v[0]
		if len(v) > 1 {
			value = strings.Join(v, ", ")
		}
		if n < len(before) && before[n].Name == one.name {
			value = reuse(before[n].Value, value)
			same = same && value == before[n].Value
		} else {
			value, same = text(value), false
		}
		found[n] = Header{one.name, value}
		n++
	}
	if same && n == len(before) {
		return before
	}
	return slices.Clone(found[:n])
}

// Get returns the value of a header by its name in lower case, or "".
func (h Headers) Get(name string) string {
	for i := range h {
		if h[i].Name == name {
			return h[i].Value
		}
	}
	return ""
}

func (h Headers) append(b []byte) []byte {
	b = append(b, '{')
	for i := range h {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendText(b, h[i].Name), ':')
		b = appendText(b, h[i].Value)
	}
	return append(b, '}')
}

// MarshalJSON implements json.Marshaler.
func (h Headers) MarshalJSON() ([]byte, error) { return h.append(nil), nil }

// UnmarshalJSON implements json.Unmarshaler.
func (h *Headers) UnmarshalJSON(data []byte) error {
	var all map[string]string
	if err := json.Unmarshal(data, &all); err != nil {
		return err
	}
	*h = nil
	for _, name := range slices.Sorted(maps.Keys(all)) {
		*h = append(*h, Header{name, all[name]})
	}
	return nil
}
