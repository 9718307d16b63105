package front

import (
	"bytes"

	"github.com/hostless/hostless/pkg/httpx"
)

// plainHead reports whether a request's head, with its empty line, is of the
// plain kind that a lane serves: HTTP/1.1 with a body of known length or none,
// without an upgrade or any other wish of the connection, for exactly one host,
// which is ours. It is strict: what it does not take is not wrong, but
// net/http's to judge.
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

// cutLine takes a line off that ends with CRLF and has no other line end in it.
func cutLine(b []byte) (line, rest []byte, ok bool) {
	i := bytes.IndexByte(b, '\n')
	if i < 1 || b[i-1] != '\r' {
		return nil, nil, false
	}
	return b[:i-1], b[i+1:], true
}

// plainLength takes digits, and few enough for a number of 63 bits.
func plainLength(value []byte) bool {
	for _, c := range value {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(value) > 0 && len(value) <= 18
}

// plainRequestLine takes a usual method and an origin-form target.
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

// plainField splits a field line whose name is a token and whose value has no
// control characters.
func plainField(line []byte) (name, value []byte, ok bool) {
	colon := bytes.IndexByte(line, ':')
	if colon < 1 {
		return nil, nil, false
	}
	name, value = line[:colon], bytes.Trim(line[colon+1:], " \t")
	return name, value, httpx.IsToken(name) && httpx.IsFieldValue(value)
}

// ownHost reports whether an authority is the gateway's or an app's.
func ownHost(authority []byte) bool {
	p, _ := classify(string(authority))
	return p == appsPlane || p == gatewayPlane
}
