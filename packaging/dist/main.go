// Command dist builds what a release is made of: packages for Linux (deb, rpm, apk,
// archlinux), archives for Linux and macOS, a Homebrew formula, an SBOM for each
// platform and the checksums of them all.
//
// Two runs over one commit with one Go toolchain give the same bytes: times are the
// commit's (SOURCE_DATE_EPOCH), owners are root, entries are sorted. Packages are made
// by nfpm, which runs as a program of its own; nothing of it gets into a binary.
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

// platform is what a binary runs on, in Go's words.
type platform struct{ os, arch string }

func (p platform) String() string { return p.os + "_" + p.arch }

var platforms = []platform{{"darwin", "amd64"}, {"darwin", "arm64"}, {"linux", "amd64"}, {"linux", "arm64"}}

// formats are nfpm's packagers, for Linux; archives are for all platforms.
var formats = []string{archives, "deb", "rpm", "apk", "archlinux"}

const archives = "archive"

// release is one run.
type release struct {
	out     string    // where the results go, absolute
	work    string    // what is removed afterwards
	version string    // as the binaries say it: v1.2.3, v1.2.3-4-gabcdef0, abcdef0
	number  string    // as packages have it: digits and dots
	pre     string    // a prerelease's part: rc1
	epoch   time.Time // of the commit
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "dist:", err)
		os.Exit(1)
	}
}

func run() error {
	version := flag.String("version", "", "the `VERSION`: a tag or what git describe says")
	out := flag.String("out", "dist", "the `DIRECTORY` of the results")
	only := flag.String("platforms", "", "build these alone: `OS_ARCH,…`")
	kinds := flag.String("formats", strings.Join(formats, ","), "make these `KINDS` alone")
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

// commitTime is SOURCE_DATE_EPOCH (reproducible-builds.org), else the commit's time.
func commitTime() (time.Time, error) {
	text := os.Getenv("SOURCE_DATE_EPOCH")
	if text == "" {
		var err error
		if text, err = git("log", "-1", "--format=%ct"); err != nil {
			return time.Time{}, fmt.Errorf("without SOURCE_DATE_EPOCH the time is the commit's: %w", err)
		}
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("SOURCE_DATE_EPOCH %q is no number of seconds", text)
	}
	return time.Unix(seconds, 0).UTC(), nil
}

func git(args ...string) (string, error) {
	return output(exec.Command("git", args...))
}

// output runs a command and gives what it wrote, without the last newline.
func output(cmd *exec.Cmd) (string, error) {
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, stderr.String())
	}
	return strings.TrimSpace(string(out)), nil
}

// platform builds one platform's binaries and everything that is made of them.
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

// finish writes what speaks of the other results.
func (r *release) finish() error {
	sums, err := r.checksums()
	if err != nil {
		return err
	}
	return r.formula(sums)
}
