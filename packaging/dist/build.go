package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	units "github.com/hostless/hostless/init"
	"github.com/hostless/hostless/pkg/config"
)

var programs = []string{"hostless", "hostlessd"}

// shells maps each shell to its completion file below share in an archive.
var shells = map[string]string{
	"bash": "bash-completion/completions/hostless",
	"zsh":  "zsh/site-functions/_hostless",
	"fish": "fish/vendor_completions.d/hostless.fish",
}

// build compiles both programs. The results do not depend on the machine, the directory
// or the environment.
func (r *release) build(p platform, dir string) error {
	args := []string{"build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -X main.version=" + r.version, "-o", dir + "/"}
	for _, program := range programs {
		args = append(args, "./cmd/"+program)
	}
	cmd := exec.Command("go", args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOOS="+p.os, "GOARCH="+p.arch, "GOAMD64=v1", "GOARM64=v8.0", "GOEXPERIMENT=")
	_, err := output(cmd)
	return err
}

// common creates what is the same for all platforms: the files below share, the units and
// the texts.
func (r *release) common() error {
	host := platform{runtime.GOOS, runtime.GOARCH}
	bin := filepath.Join(r.work, host.String())
	if err := r.build(host, bin); err != nil {
		return err
	}
	hostless := filepath.Join(bin, "hostless")
	for shell, name := range shells {
		script, err := output(exec.Command(hostless, "completion", shell))
		if err != nil {
			return err
		}
		if err := put(filepath.Join(r.work, "share", name), script+"\n"); err != nil {
			return err
		}
	}
	man := filepath.Join(r.work, "man")
	if _, err := output(exec.Command(hostless, "__man", man)); err != nil {
		return err
	}
	daemon, err := os.ReadFile("packaging/man/hostlessd.1")
	if err != nil {
		return err
	}
	if err := put(filepath.Join(man, "hostlessd.1"), strings.ReplaceAll(string(daemon), "VERSION", r.version)); err != nil {
		return err
	}
	pages, err := filepath.Glob(filepath.Join(man, "*.1"))
	if err != nil {
		return err
	}
	for _, page := range pages {
		if err := compress(page, filepath.Join(r.work, "share", "man", "man1", filepath.Base(page)+".gz")); err != nil {
			return err
		}
	}
	for _, name := range units.Names() {
		text, err := units.Render(name, units.Packaged(config.DefaultPort))
		if err != nil {
			return err
		}
		if err := put(filepath.Join(r.work, "units", name), text); err != nil {
			return err
		}
	}
	if err := r.scripts(); err != nil {
		return err
	}
	return compress("CHANGELOG.md", filepath.Join(r.work, "changelog.gz"))
}

// scripts copies the packages' scripts, because some formats include the modification
// times.
func (r *release) scripts() error {
	for _, name := range []string{"postinstall", "postupgrade", "preremove"} {
		data, err := os.ReadFile("packaging/scripts/" + name)
		if err != nil {
			return err
		}
		if err := put(r.script(name), string(data)); err != nil {
			return err
		}
		if err := os.Chtimes(r.script(name), r.epoch, r.epoch); err != nil {
			return err
		}
	}
	return nil
}

// script returns the path of a package's script.
func (r *release) script(name string) string { return filepath.Join(r.work, "scripts", name) }

// put writes a file and creates the directories above it.
func put(path, text string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(text), 0o644)
}

// compress writes a file's gzip, without its name and time.
func compress(from, to string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return err
	}
	if _, err := z.Write(data); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	return put(to, b.String())
}

// file is a file in an archive or package.
type file struct {
	path string // path in the archive or package
	from string // path on this machine
	mode int64
}

// files returns the sorted files for archives and packages: programs below bin,
// everything else below share.
func (r *release) files(bin string) ([]file, error) {
	var list []file
	for _, program := range programs {
		list = append(list, file{"bin/" + program, filepath.Join(bin, program), 0o755})
	}
	for _, name := range shells {
		list = append(list, file{"share/" + name, filepath.Join(r.work, "share", name), 0o644})
	}
	pages, err := filepath.Glob(filepath.Join(r.work, "share", "man", "man1", "*"))
	if err != nil {
		return nil, err
	}
	if len(pages) == 0 {
		return nil, fmt.Errorf("no man page was created")
	}
	for _, page := range pages {
		list = append(list, file{"share/man/man1/" + filepath.Base(page), page, 0o644})
	}
	slices.SortFunc(list, func(a, b file) int { return strings.Compare(a.path, b.path) })
	return list, nil
}
