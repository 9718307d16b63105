package apps

import (
	"fmt"
	"strings"

	"github.com/hostless/hostless/pkg/fault"
)

// Suffix is what all names of apps end with.
const Suffix = ".localhost"

// ValidateName checks an app's name and gives its one form, in lower case. A
// name is RFC 1123 labels, joined by dots: letters, digits and hyphens, a hyphen
// neither first nor last, 63 characters a label and 253 in all with the suffix.
// A name that was written with the suffix loses it. A bad one is a fault of kind
// Usage that says what is wrong with it.
func ValidateName(name string) (string, error) {
	bad := func(why string) error {
		return &fault.Error{
			Kind: fault.Usage, Param: "name", Message: fmt.Sprintf("%q is not a name for an app: %s", name, why),
			Next: "use letters, digits and hyphens, as in my-app or api.my-app",
		}
	}
	lower := strings.TrimSuffix(strings.ToLower(name), Suffix)
	if lower == "" {
		return "", bad("it is empty")
	}
	if len(lower)+len(Suffix) > 253 {
		return "", bad("it is longer than a host name can be")
	}
	for label := range strings.SplitSeq(lower, ".") {
		switch {
		case label == "":
			return "", bad("a part between dots is empty")
		case len(label) > 63:
			return "", bad("a part is longer than 63 characters")
		case label[0] == '-' || label[len(label)-1] == '-':
			return "", bad("a part begins or ends with a hyphen")
		}
		for _, c := range label {
			if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
				return "", bad(fmt.Sprintf("it has the character %q", c))
			}
		}
	}
	if lower == "localhost" {
		return "", bad("it is the gateway's own")
	}
	return lower, nil
}

// hostOf gives the host name of a request's authority: lower-case, without port
// and trailing dot, and whether it is below .localhost.
func hostOf(authority string) (string, bool) {
	host := authority
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.Contains(host[i:], "]") {
		host = host[:i]
	}
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	name, ok := strings.CutSuffix(host, Suffix)
	return host, ok && name != ""
}
