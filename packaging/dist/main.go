// Command dist builds a release: packages for Linux (deb, rpm, apk, archlinux), archives
// for Linux and macOS, a Homebrew formula, an SBOM for each platform and the checksums of
// them all.
//
// Builds are reproducible: two runs on the same commit with the same Go toolchain create
// the same bytes. Times are the commit's (SOURCE_DATE_EPOCH), owners are root, and
// entries are sorted. Packages are built by nfpm, which runs as a separate program and is
// not linked into a binary.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// platform is a target platform, as Go names it.
type platform struct{ os, arch string }

func (p platform) String() string { return p.os + "_" + p.arch }

var platforms = []platform{{"darwin", "amd64"}, {"darwin", "arm64"}, {"linux", "amd64"}, {"linux", "arm64"}}

// formats are nfpm's packagers, for Linux; archives are built for all platforms.
var formats = []string{archives, "deb", "rpm", "apk", "archlinux"}

const archives = "archive"

// release is one run of the command.
type release struct {
	out     string    // absolute directory for the results
	work    string    // temporary directory
	version string    // version reported by the binaries: v1.2.3, v1.2.3-4-gabcdef0, abcdef0
	number  string    // version of the packages: digits and dots
	pre     string    // prerelease part: rc1
	epoch   time.Time // time of the commit
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "dist:", err)
		os.Exit(1)
	}
}

func run() error {
	version := flag.String("version", "", "the `VERSION`: a tag or the output of git describe")
	out := flag.String("out", "dist", "the `DIRECTORY` of the results")
	only := flag.String("platforms", "", "only build these: `OS_ARCH,…`")
	kinds := flag.String("formats", strings.Join(formats, ","), "only make these `KINDS`")
	flag.Parse()
	r, err := newRelease(*version, *out)
	if err != nil {
		return err
	}
	defer os.RemoveAll(r.work)
	chosen := platforms
	if *only != "" {
		chosen = nil
		for name := range strings.SplitSeq(*only, ",") {
			i := slices.IndexFunc(platforms, func(p platform) bool { return p.String() == name })
			if i < 0 {
				return fmt.Errorf("there is no platform %q: %v", name, platforms)
			}
			chosen = append(chosen, platforms[i])
		}
	}
	chosenFormats := strings.Split(*kinds, ",")
	for _, kind := range chosenFormats {
		if !slices.Contains(formats, kind) {
			return fmt.Errorf("there is no format %q: %v", kind, formats)
		}
	}
	if err := r.common(); err != nil {
		return err
	}
	for _, p := range chosen {
		if err := r.platform(p, chosenFormats); err != nil {
			return fmt.Errorf("%s: %w", p, err)
		}
	}
	return r.finish()
}

func newRelease(version, out string) (*release, error) {
	r := &release{version: version}
	var err error
	if r.out, err = filepath.Abs(out); err != nil {
		return nil, err
	}
	if r.epoch, err = commitTime(); err != nil {
		return nil, err
	}
	if version == "" {
		if r.version, err = git("describe", "--tags", "--always", "--dirty"); err != nil {
			return nil, err
		}
	}
	if r.number, r.pre, err = packageVersion(r.version, func() (string, error) { return git("rev-list", "--count", "HEAD") }); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(r.out, 0o755); err != nil {
		return nil, err
	}
	r.work, err = os.MkdirTemp("", "hostless-dist-")
	return r, err
}

// commitTime returns SOURCE_DATE_EPOCH (reproducible-builds.org), or else the commit's
// time.
func commitTime() (time.Time, error) {
	text := os.Getenv("SOURCE_DATE_EPOCH")
	if text == "" {
		var err error
		if text, err = git("log", "-1", "--format=%ct"); err != nil {
			return time.Time{}, fmt.Errorf("get the commit's time, because SOURCE_DATE_EPOCH is not set: %w", err)
		}
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("SOURCE_DATE_EPOCH %q is not a number of seconds", text)
	}
	return time.Unix(seconds, 0).UTC(), nil
}

func git(args ...string) (string, error) {
	return output(exec.Command("git", args...))
}

// output runs a command and returns its output without the last newline.
func output(cmd *exec.Cmd) (string, error) {
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, stderr.String())
	}
	return strings.TrimSpace(string(out)), nil
}

// platform builds a platform's binaries and everything made from them.
func (r *release) platform(p platform, kinds []string) error {
	bin := filepath.Join(r.work, p.String())
	if err := r.build(p, bin); err != nil {
		return err
	}
	for _, kind := range kinds {
		var err error
		switch {
		case kind == archives:
			if err = r.archive(p, bin); err == nil {
				err = r.sbom(p, bin)
			}
		case p.os == "linux":
			err = r.pack(p, kind, bin)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// finish writes the files that depend on the other results.
func (r *release) finish() error {
	sums, err := r.checksums()
	if err != nil {
		return err
	}
	return r.formula(sums)
}
