package main

import (
	"fmt"
	"regexp"
	"strings"
)

var (
	tagged = regexp.MustCompile(`^v?(\d+\.\d+\.\d+)(?:-(alpha|beta|rc)\.?(\d+))?$`)
	after  = regexp.MustCompile(`^v?(\d+\.\d+\.\d+)-(\d+)-g[0-9a-f]+$`)
	commit = regexp.MustCompile(`^[0-9a-f]{7,40}$`)
)

// packageVersion converts the output of git describe to a version that dpkg, rpm, apk and
// pacman all accept and sort alike: 1.2.3 for a tag, 1.2.3.4 four commits after it, and
// 0.0.0.N for a history of N commits without a tag. pre is the prerelease part, such as
// rc1.
func packageVersion(described string, commits func() (string, error)) (number, pre string, err error) {
	described = strings.TrimSuffix(described, "-dirty")
	if m := tagged.FindStringSubmatch(described); m != nil {
		return m[1], m[2] + m[3], nil
	}
	if m := after.FindStringSubmatch(described); m != nil {
		return m[1] + "." + m[2], "", nil
	}
	if commit.MatchString(described) {
		n, err := commits()
		return "0.0.0." + n, "", err
	}
	return "", "", fmt.Errorf("VERSION %q is neither a version (v1.2.3, v1.2.3-rc.1) nor an output of git describe", described)
}

// name returns the version in file names.
func (r *release) name() string {
	if r.pre != "" {
		return r.number + "-" + r.pre
	}
	return r.number
}
