// Package packages builds the packages and uses them as people do: dpkg really installs,
// upgrades and removes one, in a separate mount namespace, under a running login service;
// rpm, apk and pacman packages are read; shells complete commands and man shows pages.
package packages

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/hostless/hostless/test/harness"
	"github.com/klauspost/compress/zstd"
)

const (
	older = "v0.9.0"
	newer = "v1.0.0"
)

func TestMain(m *testing.M) {
	harness.HearHangups()
	code := m.Run()
	if dir, err := built(); err == nil && os.Getenv(sandboxed) == "" && os.Getenv(inside) == "" {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

// built builds the packages of two versions below a directory, and the packages of the
// newer one again from a copy of the sources in another place.
var built = sync.OnceValues(func() (string, error) {
	if runtime.GOOS != "linux" || os.Getenv(sandboxed) != "" || os.Getenv(inside) != "" {
		return "", errors.ErrUnsupported
	}
	dir, err := os.MkdirTemp("/tmp", "hl-packages-")
	if err != nil {
		return "", err
	}
	os.Chmod(dir, 0o777) // a temporary user needs access
	again := filepath.Join(dir, "sources")
	if err := copySources(harness.Root(), again); err != nil {
		return dir, err
	}
	for _, run := range []struct{ root, version, formats, out string }{
		{harness.Root(), older, "deb", "older"},
		{harness.Root(), newer, "archive,deb,rpm,apk,archlinux", "newer"},
		{again, newer, "archive,deb,rpm,apk,archlinux", "again"},
	} {
		cmd := exec.Command("go", "run", "./packaging/dist", "-version", run.version, "-platforms", "linux_"+runtime.GOARCH,
			"-formats", run.formats, "-out", filepath.Join(dir, run.out))
		cmd.Dir = run.root
		cmd.Env = append(os.Environ(), "SOURCE_DATE_EPOCH=1767225600")
		if out, err := cmd.CombinedOutput(); err != nil {
			return dir, fmt.Errorf("dist %s: %w\n%s", run.version, err, out)
		}
	}
	return dir, nil
})

// copySources copies what dist reads, and tells go test what the results depend on.
func copySources(from, to string) error {
	for _, name := range []string{"cmd", "pkg", "init", "web", "packaging"} {
		if err := os.CopyFS(filepath.Join(to, name), os.DirFS(filepath.Join(from, name))); err != nil {
			return err
		}
	}
	for _, name := range []string{"go.mod", "go.sum", "README.md", "CHANGELOG.md", "LICENSE"} {
		data, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(to, name), data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// packages returns the directory of all results.
func packages(t *testing.T) string {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("the packages are for Linux")
	}
	dir, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestReproducible compares the two builds of one version with each other and with the
// checksums.
func TestReproducible(t *testing.T) {
	dir := packages(t)
	sums := sumsOf(t, filepath.Join(dir, "newer"))
	again := sumsOf(t, filepath.Join(dir, "again"))
	if len(sums) != 7 { // four packages, an archive, its SBOM, the checksums
		t.Errorf("made %d files: %v", len(sums), sums)
	}
	for name, sum := range sums {
		if again[name] != sum {
			t.Errorf("%s: the second build has %s, the first %s", name, again[name], sum)
		}
	}
	list, err := os.ReadFile(filepath.Join(dir, "newer", "checksums.txt"))
	if err != nil {
		t.Fatal(err)
	}
	delete(sums, "checksums.txt")
	for line := range strings.SplitSeq(strings.TrimSpace(string(list)), "\n") {
		sum, name, _ := strings.Cut(line, "  ")
		if sums[name] != sum {
			t.Errorf("checksums.txt has %q for %q, which is %q", sum, name, sums[name])
		}
		delete(sums, name)
	}
	if len(sums) != 0 {
		t.Errorf("checksums.txt lacks %v", sums)
	}
}

func sumsOf(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	sums := map[string]string{}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(data)
		sums[e.Name()] = hex.EncodeToString(sum[:])
	}
	return sums
}

// one returns the only file in a directory with a suffix.
func one(t *testing.T, dir, suffix string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "*"+suffix))
	if err != nil || len(found) != 1 {
		t.Fatalf("%s: %v %v, want one *%s", dir, found, err, suffix)
	}
	return found[0]
}

// usual contains the files in each package, with their modes.
var usual = map[string]int64{
	"usr/bin/hostless":                                  0o755,
	"usr/bin/hostlessd":                                 0o755,
	"usr/lib/systemd/user/hostlessd.service":            0o644,
	"usr/lib/systemd/user/hostlessd-http.socket":        0o644,
	"usr/lib/systemd/user/hostlessd-control.socket":     0o644,
	"usr/share/bash-completion/completions/hostless":    0o644,
	"usr/share/fish/vendor_completions.d/hostless.fish": 0o644,
	"usr/share/man/man1/hostless.1.gz":                  0o644,
	"usr/share/man/man1/hostless-run.1.gz":              0o644,
	"usr/share/man/man1/hostlessd.1.gz":                 0o644,
	"usr/share/doc/hostless/README.md":                  0o644,
}

const (
	zshSite   = "usr/share/zsh/site-functions/_hostless"
	zshVendor = "usr/share/zsh/vendor-completions/_hostless"
)

// wantFiles checks a package's regular files: those in usual and more, and nothing
// outside /usr.
func wantFiles(t *testing.T, have map[string]int64, more ...string) {
	t.Helper()
	for name, mode := range usual {
		if got, ok := have[name]; !ok || got != mode {
			t.Errorf("%s: mode %o (there: %v), want %o", name, got, ok, mode)
		}
	}
	for _, name := range more {
		if _, ok := have[name]; !ok {
			t.Errorf("%s is not in it", name)
		}
	}
	for name := range have {
		if !strings.HasPrefix(name, "usr/") {
			t.Errorf("%s is not below /usr", name)
		}
	}
}

// TestRPM reads the package with rpm.
func TestRPM(t *testing.T) {
	rpm, file := harness.Need(t, "rpm"), one(t, filepath.Join(packages(t), "newer"), ".rpm")
	ask := func(args ...string) string {
		out, err := exec.Command(rpm, append([]string{"--dbpath", t.TempDir(), "-qp"}, append(args, file)...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("rpm %v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	have := map[string]int64{}
	for line := range strings.SplitSeq(strings.TrimSpace(ask("--qf", `[%{FILENAMES} %{FILEMODES:octal} %{FILEUSERNAME} %{FILEGROUPNAME}\n]`)), "\n") {
		var name, owner, group string
		var mode int64
		if _, err := fmt.Sscanf(line, "%s %o %s %s", &name, &mode, &owner, &group); err != nil || owner != "root" || group != "root" {
			t.Errorf("%q: %v", line, err)
		}
		if mode&0o170000 == 0o100000 {
			have[strings.TrimPrefix(name, "/")] = mode & 0o7777
		}
	}
	wantFiles(t, have, zshSite, "usr/share/licenses/hostless/LICENSE")
	if got := ask("--qf", "%{NAME} %{VERSION} %{RELEASE} %{LICENSE} %{BUILDHOST}"); got != "hostless 1.0.0 1 Apache-2.0 localhost" {
		t.Errorf("rpm says %q", got)
	}
	wantScripts(t, ask("--scripts"))
	if out, err := exec.Command(rpm, "--dbpath", t.TempDir(), "-K", "--nosignature", file).CombinedOutput(); err != nil {
		t.Errorf("rpm -K: %v\n%s", err, out)
	}
}

// wantScripts checks that the scripts only print text: enabling, starting and stopping is
// left to the user.
func wantScripts(t *testing.T, text string) {
	t.Helper()
	if !strings.Contains(text, "hostless service install") {
		t.Errorf("the scripts do not say what to type:\n%s", text)
	}
	for line := range strings.SplitSeq(text, "\n") {
		words := strings.Fields(line)
		if len(words) > 0 && slices.Contains([]string{"systemctl", "deb-systemd-invoke", "kill", "pkill", "hostless", "hostlessd", "rm"}, words[0]) {
			t.Errorf("a script runs %q", line)
		}
	}
}

// TestAPK reads the package as apk does: three gzip members, each a tar archive.
func TestAPK(t *testing.T) {
	f, err := os.Open(one(t, filepath.Join(packages(t), "newer"), ".apk"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(bufio.NewReader(f))
	if err != nil {
		t.Fatal(err)
	}
	files, control := readTar(t, z)
	wantFiles(t, files, zshSite)
	if info := control[".PKGINFO"]; !strings.Contains(info, "\npkgver = 1.0.0-r1\n") || !strings.Contains(info, "pkgname = hostless\n") {
		t.Errorf(".PKGINFO:\n%s", info)
	}
	wantScripts(t, control[".post-install"]+control[".pre-deinstall"]+control[".post-upgrade"])
	if !strings.Contains(control[".post-upgrade"], "hostless service restart") {
		t.Error("an upgrade does not say what to type")
	}
}

// TestArchlinux reads the package as pacman does.
func TestArchlinux(t *testing.T) {
	f, err := os.Open(one(t, filepath.Join(packages(t), "newer"), ".pkg.tar.zst"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := zstd.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	files, control := readTar(t, z)
	wantFiles(t, files, zshSite)
	if info := control[".PKGINFO"]; !strings.Contains(info, "\npkgver = 1.0.0-1\n") || !strings.Contains(info, "pkgname = hostless\n") {
		t.Errorf(".PKGINFO:\n%s", info)
	}
	wantScripts(t, control[".INSTALL"])
	for _, step := range []string{"post_install", "post_upgrade", "pre_remove"} {
		if !strings.Contains(control[".INSTALL"], step+"()") {
			t.Errorf(".INSTALL lacks %s:\n%s", step, control[".INSTALL"])
		}
	}
}

// readTar returns the modes of an archive's regular files, and the text of those whose
// names begin with a dot, which are for the package manager.
func readTar(t *testing.T, in io.Reader) (files map[string]int64, control map[string]string) {
	t.Helper()
	files, control = map[string]int64{}, map[string]string{}
	r := tar.NewReader(in)
	for {
		head, err := r.Next()
		if err == io.EOF {
			return files, control
		}
		if err != nil {
			t.Fatal(err)
		}
		if head.Typeflag != tar.TypeReg {
			continue
		}
		if name := strings.TrimPrefix(head.Name, "./"); strings.HasPrefix(name, ".") {
			data, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			control[name] = string(data)
		} else {
			files[name] = head.Mode & 0o7777
			if head.Uid != 0 || head.Gid != 0 {
				t.Errorf("%s belongs to %d:%d", name, head.Uid, head.Gid)
			}
		}
	}
}

// TestArchive unpacks an archive over a prefix and runs its programs.
func TestArchive(t *testing.T) {
	path := one(t, filepath.Join(packages(t), "newer"), ".tar.gz")
	prefix := t.TempDir()
	if out, err := exec.Command("tar", "-xzf", path, "--strip-components=1", "-C", prefix).CombinedOutput(); err != nil {
		t.Fatalf("tar: %v\n%s", err, out)
	}
	for _, name := range []string{"hostless", "hostlessd"} {
		out, err := exec.Command(filepath.Join(prefix, "bin", name), "--version").CombinedOutput()
		if err != nil || string(out) != name+" "+newer+"\n" {
			t.Errorf("%s --version: %q %v", name, out, err)
		}
	}
	for name := range usual {
		if rest, ok := strings.CutPrefix(name, "usr/share/"); ok {
			if _, err := os.Stat(filepath.Join(prefix, "share", rest)); err != nil {
				t.Error(err)
			}
		}
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for r := tar.NewReader(z); ; {
		head, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, head.Name)
		if head.Uid != 0 || head.Gid != 0 || head.ModTime.Unix() != 1767225600 {
			t.Errorf("%s: %d:%d, %v", head.Name, head.Uid, head.Gid, head.ModTime)
		}
	}
	if !slices.IsSorted(names) {
		t.Errorf("entries are not sorted: %v", names)
	}
}

// TestSBOM compares the SBOM with the modules that `go version -m` finds in the programs.
func TestSBOM(t *testing.T) {
	dir := filepath.Join(packages(t), "newer")
	data, err := os.ReadFile(one(t, dir, ".cdx.json"))
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		BOMFormat, SpecVersion, SerialNumber string
		Components                           []struct {
			Name, Version, PURL string
			Hashes              []struct{ Content string }
		}
		Dependencies []struct {
			Ref       string
			DependsOn []string
		}
	}
	if err := json.Unmarshal(data, &doc); err != nil {
		t.Fatal(err)
	}
	if doc.BOMFormat != "CycloneDX" || doc.SpecVersion != "1.6" || !strings.HasPrefix(doc.SerialNumber, "urn:uuid:") {
		t.Errorf("it is %q %q %q", doc.BOMFormat, doc.SpecVersion, doc.SerialNumber)
	}
	have := map[string]bool{}
	for _, c := range doc.Components {
		have[c.Name+" "+c.Version] = true
		if c.Name != "std" && (len(c.Hashes) != 1 || len(c.Hashes[0].Content) != 64) {
			t.Errorf("%s has hashes %v", c.Name, c.Hashes)
		}
	}
	prefix := t.TempDir()
	if out, err := exec.Command("tar", "-xzf", one(t, dir, ".tar.gz"), "--strip-components=1", "-C", prefix).CombinedOutput(); err != nil {
		t.Fatalf("tar: %v\n%s", err, out)
	}
	out, err := exec.Command("go", "version", "-m", filepath.Join(prefix, "bin")).Output()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{"std " + runtime.Version(): true}
	for line := range strings.SplitSeq(string(out), "\n") {
		if words := strings.Fields(line); len(words) >= 3 && words[0] == "dep" {
			want[words[1]+" "+words[2]] = true
		}
		if strings.Contains(line, "goreleaser") {
			t.Errorf("the packager is linked into a program: %s", line)
		}
	}
	if len(want) < 5 || !equal(have, want) {
		t.Errorf("the SBOM has %v, the programs %v", have, want)
	}
	if len(doc.Dependencies) != len(doc.Components)+1 || len(doc.Dependencies[0].DependsOn) < 5 {
		t.Errorf("%d dependencies of %d components", len(doc.Dependencies), len(doc.Components))
	}
}

func equal(a, b map[string]bool) bool {
	for key := range a {
		if !b[key] {
			return false
		}
	}
	return len(a) == len(b)
}
