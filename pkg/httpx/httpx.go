// Package httpx implements a few rules of HTTP's syntax and header fields that a proxy
// needs and net/http does not export.
package httpx

import (
	"net/http"
	"net/textproto"
	"strings"
)

// tokenByte is the set of characters of a token (RFC 9110 section 5.6.2).
var tokenByte = func() (table [256]bool) {
	for c := range 0x7f {
		table[c] = c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
	}
	for _, c := range "!#$%&'*+-.^_`|~" {
		table[c] = true
	}
	return table
}()

// IsToken reports whether s is a token (RFC 9110 section 5.6.2), as methods and field names
// must be. The empty string is not a token.
func IsToken[S string | []byte](s S) bool {
	for i := range len(s) {
		if !tokenByte[s[i]] {
			return false
		}
	}
	return len(s) > 0
}

// IsFieldValue reports whether s has no control characters except tab, so that a proxy may
// forward it as a field value (RFC 9110 section 5.5).
func IsFieldValue[S string | []byte](s S) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// IsVisible reports whether s has neither spaces nor control characters, so that it can be
// part of a request line or a Host field. It reports false for the empty string.
func IsVisible(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] == 0x7f {
			return false
		}
	}
	return s != ""
}

// HopByHop reports whether a field, given in canonical form, applies to one connection only
// and must not be forwarded (RFC 9110 section 7.6.1; Proxy-Connection is sent by old
// clients). Content-Length is included, because each connection has its own framing.
func HopByHop(name string) bool {
	switch name {
	case "Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Proxy-Authorization",
		"Te", "Trailer", "Transfer-Encoding", "Upgrade", "Content-Length":
		return true
	}
	return false
}

// ConnectionFields returns, in canonical form, the fields that the Connection header of h
// names, except close, keep-alive and upgrade. They are hop-by-hop too. It returns nil if
// there are none.
func ConnectionFields(h http.Header) (names []string) {
	for _, value := range h["Connection"] {
		for token := range strings.SplitSeq(value, ",") {
			token = textproto.TrimString(token)
			switch {
			case token == "", strings.EqualFold(token, "keep-alive"), strings.EqualFold(token, "close"), strings.EqualFold(token, "upgrade"):
			default:
				names = append(names, http.CanonicalHeaderKey(token))
			}
		}
	}
	return names
}

// HasToken reports whether one of the comma-separated lists in values contains token,
// ignoring case.
func HasToken(values []string, token string) bool {
	for _, value := range values {
		for t := range strings.SplitSeq(value, ",") {
			if strings.EqualFold(textproto.TrimString(t), token) {
				return true
			}
		}
	}
	return false
}
