// Package httpx owns the few rules of HTTP's syntax and of its header fields
// that a proxy applies and net/http does not export.
package httpx

import (
	"net/http"
	"net/textproto"
	"strings"
)

// tokenByte are the characters of a token (RFC 9110 section 5.6.2).
var tokenByte = func() (table [256]bool) {
	for c := range 0x7f {
		table[c] = c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
	}
	for _, c := range "!#$%&'*+-.^_`|~" {
		table[c] = true
	}
	return table
}()

// IsToken reports whether s is a token (RFC 9110 section 5.6.2), as methods and
// field names are. The empty string is none.
func IsToken[S string | []byte](s S) bool {
	for i := range len(s) {
		if !tokenByte[s[i]] {
			return false
		}
	}
	return len(s) > 0
}

// IsFieldValue reports whether s has no control character but the tab, which is
// what a proxy may forward as a field value (RFC 9110 section 5.5).
func IsFieldValue[S string | []byte](s S) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// IsVisible reports whether s has neither spaces nor control characters, so that it
// can stand on a request line or in Host. The empty string is not visible.
func IsVisible(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] == 0x7f {
			return false
		}
	}
	return s != ""
}

// HopByHop reports whether a field, given in canonical form, is for one
// connection only and is not forwarded (RFC 9110 section 7.6.1, with
// Proxy-Connection of old clients). Content-Length is among them: each side
// frames its messages anew.
func HopByHop(name string) bool {
	switch name {
	case "Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Proxy-Authorization",
		"Te", "Trailer", "Transfer-Encoding", "Upgrade", "Content-Length":
		return true
	}
	return false
}

// ConnectionFields gives, in canonical form, the fields that Connection names in
// h besides close, keep-alive and upgrade: they too are for one connection only.
// It is nil where there are none.
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

// HasToken reports whether a list of field values, each of them comma-separated,
// has a token. Case does not matter.
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
