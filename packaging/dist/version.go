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

// packageVersion turns what git describe says into a version that dpkg, rpm, apk and
// pacman all accept and order alike: 1.2.3 of a tag, 1.2.3.4 four commits after it,
// 0.0.0.N of a history of N commits without one. pre is a prerelease's part, as rc1.
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
	return "", "", fmt.Errorf("VERSION %q is neither a version (v1.2.3, v1.2.3-rc.1) nor what git describe says", described)
}

// name is the version in the names of files.
func (r *release) name() string {
	if r.pre != "" {
		return r.number + "-" + r.pre
	}
	return r.number
}
