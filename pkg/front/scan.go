package front

import (
	"bytes"

	"github.com/hostless/hostless/pkg/httpx"
)

// plainHead reports whether the head of a request, including its empty line, is plain
// enough for a lane: HTTP/1.1, a body of known length or none, no upgrade or other
// connection option, and exactly one host, which is ours. It is strict: a head that it
// rejects is not necessarily invalid, but is left to net/http.
func plainHead(head []byte) bool {
	line, rest, ok := cutLine(head)
	if !ok || !plainRequestLine(line) {
		return false
	}
	hosts, lengths := 0, 0
	for {
		if line, rest, ok = cutLine(rest); !ok {
			return false
		}
		if len(line) == 0 {
			return hosts == 1 && len(rest) == 0
		}
		name, value, ok := plainField(line)
		if !ok {
			return false
		}
		switch len(name) {
		case len("host"):
			if bytes.EqualFold(name, []byte("host")) {
				if hosts++; !ownHost(value) {
					return false
				}
			}
		case len("connection"):
			if bytes.EqualFold(name, []byte("connection")) && !bytes.EqualFold(value, []byte("keep-alive")) {
				return false
			}
		case len("content-length"):
			if bytes.EqualFold(name, []byte("content-length")) {
				if lengths++; lengths > 1 || !plainLength(value) {
					return false
				}
			} else if bytes.EqualFold(name, []byte("http2-settings")) {
				return false
			}
		case len("expect"), len("upgrade"), len("transfer-encoding"):
			for _, special := range []string{"expect", "upgrade", "trailer", "transfer-encoding"} {
				if bytes.EqualFold(name, []byte(special)) {
					return false
				}
			}
		}
	}
}

// cutLine cuts off a line that ends with CRLF and contains no other line end.
func cutLine(b []byte) (line, rest []byte, ok bool) {
	i := bytes.IndexByte(b, '\n')
	if i < 1 || b[i-1] != '\r' {
		return nil, nil, false
	}
	return b[:i-1], b[i+1:], true
}

// plainLength accepts a decimal number that fits into 63 bits.
func plainLength(value []byte) bool {
	for _, c := range value {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(value) > 0 && len(value) <= 18
}

// plainRequestLine accepts a common method with an origin-form target.
func plainRequestLine(line []byte) bool {
	method, rest, _ := bytes.Cut(line, []byte{' '})
	switch string(method) {
	case "GET", "HEAD", "OPTIONS", "DELETE", "POST", "PUT", "PATCH":
	default:
		return false
	}
	target, ok := bytes.CutSuffix(rest, []byte(" HTTP/1.1"))
	if !ok || len(target) == 0 || target[0] != '/' {
		return false
	}
	for _, c := range target {
		if c <= ' ' || c == 0x7f {
			return false
		}
	}
	return true
}

// plainField splits a field line with a token as its name and no control characters in its
// value.
func plainField(line []byte) (name, value []byte, ok bool) {
	colon := bytes.IndexByte(line, ':')
	if colon < 1 {
		return nil, nil, false
	}
	name, value = line[:colon], bytes.Trim(line[colon+1:], " \t")
	return name, value, httpx.IsToken(name) && httpx.IsFieldValue(value)
}

// ownHost reports whether an authority belongs to the gateway or to an app.
func ownHost(authority []byte) bool {
	p, _ := classify(string(authority))
	return p == appsPlane || p == gatewayPlane
}
