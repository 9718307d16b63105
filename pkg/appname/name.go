// Package appname owns the rule for the names of apps: what a name may be, and
// how one is made out of any text. It is pure; package apps, the hosts file's
// block and `hostless run` hold names against it.
package appname

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/hostless/hostless/pkg/fault"
)

// Suffix is what the host names of all apps end with (RFC 6761, section 6.3).
const Suffix = ".localhost"

// Own is the name of Hostless's page: no app may have it, or a name below it.
const Own = "hostless"

// The lengths that a host name may have, in bytes.
const (
	MaxLabel = 63  // RFC 1035, section 2.3.4
	MaxHost  = 253 // in presentation form, Suffix included
)

// Check validates a name: RFC 1123 labels joined by dots, at most MaxLabel bytes
// each and MaxHost in all with Suffix. It returns the name in lower case, without
// a trailing Suffix. A bad one is fault.Usage with the rule that it breaks and,
// where Sanitize makes one of it, the name to use instead.
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

// broken names the rule that a folded name breaks, "" for none.
func broken(name string) string {
	switch {
	case name == "":
		return "it is empty"
	case name == "localhost":
		return "it is the gateway's own"
	case reserved(name):
		return "that is the name of Hostless's own page (hostless dashboard), with all names below it"
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

// Unreserved gives a name that an app may have where a project has Hostless's own:
// hostless-app for hostless. Any other name stays as it is.
func Unreserved(name string) string {
	if reserved(name) {
		return name + "-app"
	}
	return name
}

// Lower folds the letters A to Z alone: the Kelvin sign (U+212A), which
// strings.ToLower folds to k, is no k in a host name.
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

// Sanitize makes a name of RFC 1123 labels out of any text: lower case, every
// other character a hyphen, hyphens collapsed and trimmed, empty labels
// dropped, long labels cut with a stable hash. It returns "" where nothing is
// left. Dots separate labels.
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

// Label makes one label out of any text as Sanitize does; dots become hyphens
// too. It returns "" where nothing is left.
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

// Shorten cuts a label of more than MaxLabel bytes to 56, a hyphen and Hash of
// the whole, so that labels that differ late stay different.
func Shorten(label string) string {
	if len(label) <= MaxLabel {
		return label
	}
	return strings.TrimRight(label[:56], "-") + "-" + Hash(label)
}

// Hash is 6 hex digits of the text's SHA-256: a short stable suffix for a label.
func Hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])[:6]
}
