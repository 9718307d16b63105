package launch

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/hostless/hostless/pkg/fault"
)

const (
	maxLabel = 63  // RFC 1035, section 2.3.4
	maxHost  = 253 // in presentation form, with the suffix
	suffix   = ".localhost"
)

// CheckName validates an explicit name: RFC 1123 labels joined by dots. It
// gives the name in lower case, without a trailing ".localhost". A bad one is
// fault.Usage with the rule that it breaks.
func CheckName(name string) (string, error) {
	folded := strings.TrimSuffix(lowerASCII(name), suffix)
	bad := func(why string) (string, error) {
		f := fault.New(fault.Usage, fmt.Sprintf("bad name %q: %s", name, why))
		if s := Sanitize(name); s != "" && s != folded {
			f.Next = "try " + s
		}
		return "", f
	}
	if folded == "" || folded == "localhost" {
		return bad("it is empty")
	}
	if len(folded)+len(suffix) > maxHost {
		return bad(fmt.Sprintf("with %s it is longer than %d bytes", suffix, maxHost))
	}
	for label := range strings.SplitSeq(folded, ".") {
		switch {
		case label == "":
			return bad("a label between dots is empty")
		case len(label) > maxLabel:
			return bad(fmt.Sprintf("a label is longer than %d bytes", maxLabel))
		case label[0] == '-' || label[len(label)-1] == '-':
			return bad("a label begins or ends with a hyphen")
		}
		for _, c := range []byte(label) {
			if !isLabelByte(c) {
				return bad("letters, digits, hyphens and dots are allowed")
			}
		}
	}
	return folded, nil
}

// lowerASCII leaves other scripts alone: the Kelvin sign is no k in a host name.
func lowerASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

func isLabelByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-'
}

// Sanitize makes a name of RFC 1123 labels out of any text: lower case, every
// other character a hyphen, hyphens collapsed and trimmed, empty labels
// dropped, long labels cut with a stable hash. It gives "" where nothing is
// left. Dots separate labels.
func Sanitize(text string) string {
	var labels []string
	for part := range strings.SplitSeq(text, ".") {
		if label := sanitizeLabel(part); label != "" {
			labels = append(labels, label)
		}
	}
	name := strings.Join(labels, ".")
	for len(name)+len(suffix) > maxHost && len(labels) > 1 {
		labels = labels[1:]
		name = strings.Join(labels, ".")
	}
	return name
}

// sanitizeLabel makes one label: dots become hyphens too.
func sanitizeLabel(text string) string {
	var b strings.Builder
	for _, r := range lowerASCII(text) {
		if r < 0x80 && isLabelByte(byte(r)) && r != '-' {
			b.WriteRune(r)
		} else if s := b.String(); s != "" && s[len(s)-1] != '-' {
			b.WriteByte('-')
		}
	}
	return cutLabel(strings.TrimRight(b.String(), "-"))
}

// cutLabel shortens a label over 63 bytes to 56, a hyphen and 6 hex digits of
// its SHA-256, so that labels that differ late stay different.
func cutLabel(label string) string {
	if len(label) <= maxLabel {
		return label
	}
	sum := sha256.Sum256([]byte(label))
	return strings.TrimRight(label[:56], "-") + "-" + hex.EncodeToString(sum[:])[:6]
}
