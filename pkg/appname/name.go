// Package appname owns the rule for the names of apps: which names are valid, and how a
// valid name is made out of any text. It is pure. Package apps, the hosts file's block
// and `hostless run` all check names with it.
package appname

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/hostless/hostless/pkg/fault"
)

// Suffix is the end of every app's host name (RFC 6761, section 6.3).
const Suffix = ".localhost"

// Own is the name of Hostless's own page: no app may have it, or a name below it.
const Own = "hostless"

// Maximum lengths of a host name, in bytes.
const (
	MaxLabel = 63  // RFC 1035, section 2.3.4
	MaxHost  = 253 // in presentation format, Suffix included
)

// Check validates a name: RFC 1123 labels joined by dots, at most MaxLabel bytes each and
// MaxHost bytes in all with Suffix. It returns the name in lower case, without a trailing
// Suffix. An invalid name is a fault.Usage error that names the violated rule and, where
// Sanitize can make a valid name of it, suggests that name.
func Check(name string) (string, error) {
	folded := strings.TrimSuffix(Lower(name), Suffix)
	why := broken(folded)
	if why == "" {
		return folded, nil
	}
	f := &fault.Error{Kind: fault.Usage, Param: "name", Message: fmt.Sprintf("%q is not a name for an app: %s", name, why),
		Next: "use letters, digits and hyphens, as in my-app or api.my-app"}
	if s := Unreserved(Sanitize(name)); s != "" && s != folded && broken(s) == "" {
		f.Next = "try " + s
	}
	return "", f
}

// broken describes the rule that a lower-cased name violates; "" if it violates none.
func broken(name string) string {
	switch {
	case name == "":
		return "it is empty"
	case name == "localhost":
		return "it is the gateway's own name"
	case reserved(name):
		return "it is reserved, with all names below it, for Hostless's own page (hostless dashboard)"
	case len(name)+len(Suffix) > MaxHost:
		return fmt.Sprintf("with %s it is longer than %d bytes", Suffix, MaxHost)
	}
	for label := range strings.SplitSeq(name, ".") {
		switch {
		case label == "":
			return "a label between dots is empty"
		case len(label) > MaxLabel:
			return fmt.Sprintf("a label is longer than %d bytes", MaxLabel)
		case label[0] == '-' || label[len(label)-1] == '-':
			return "a label begins or ends with a hyphen"
		}
		for _, c := range label {
			if c >= 0x80 || !isLabelByte(byte(c)) {
				return fmt.Sprintf("it has the character %q", c)
			}
		}
	}
	return ""
}

func reserved(name string) bool { return name == Own || strings.HasSuffix(name, "."+Own) }

// Unreserved returns the name that an app gets when its project has Hostless's own name:
// hostless-app for hostless. It returns any other name unchanged.
func Unreserved(name string) string {
	if reserved(name) {
		return name + "-app"
	}
	return name
}

// Lower lower-cases the ASCII letters only. strings.ToLower would also map the Kelvin
// sign (U+212A) to k, which is wrong in a host name.
func Lower(s string) string {
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

// Sanitize makes a name of RFC 1123 labels out of any text: letters become lower case,
// every other character a hyphen; hyphens are collapsed and trimmed, empty labels
// dropped, and long labels cut and given a stable hash. Dots separate labels. It returns
// "" if nothing is left.
func Sanitize(text string) string {
	var labels []string
	for part := range strings.SplitSeq(text, ".") {
		if label := Label(part); label != "" {
			labels = append(labels, label)
		}
	}
	name := strings.Join(labels, ".")
	for len(name)+len(Suffix) > MaxHost && len(labels) > 1 {
		labels = labels[1:]
		name = strings.Join(labels, ".")
	}
	return name
}

// Label makes a single label out of any text as Sanitize does, but dots become hyphens
// too. It returns "" if nothing is left.
func Label(text string) string {
	var b strings.Builder
	for _, r := range Lower(text) {
		if r < 0x80 && isLabelByte(byte(r)) && r != '-' {
			b.WriteRune(r)
		} else if s := b.String(); s != "" && s[len(s)-1] != '-' {
			b.WriteByte('-')
		}
	}
	return Shorten(strings.TrimRight(b.String(), "-"))
}

// Shorten cuts a label of more than MaxLabel bytes to 56 bytes and appends a hyphen and
// the Hash of the whole label, so that labels with a long common prefix stay different.
func Shorten(label string) string {
	if len(label) <= MaxLabel {
		return label
	}
	return strings.TrimRight(label[:56], "-") + "-" + Hash(label)
}

// Hash returns the first 6 hex digits of the text's SHA-256: a short stable suffix for a
// label.
func Hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])[:6]
}
