package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// nfpm builds the packages.
const nfpm = "github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.48.0"

// content is a file of a package in nfpm's configuration (nfpm.goreleaser.com).
type content struct {
	Src      string         `json:"src,omitempty"`
	Dst      string         `json:"dst"`
	FileInfo map[string]any `json:"file_info,omitempty"`
}

// pack builds a package of one kind for a platform.
func (r *release) pack(p platform, kind, bin string) error {
	contents, err := r.contents(kind, bin)
	if err != nil {
		return err
	}
	info := map[string]any{
		"name": "hostless", "arch": p.arch, "platform": "linux", "release": "1",
		"version": r.number, "version_schema": "none", "prerelease": r.pre,
		"section": "utils", "priority": "optional",
		"maintainer":  "Hostless <packages@hostless.dev>",
		"vendor":      "Hostless",
		"homepage":    "https://github.com/hostless/hostless",
		"license":     "Apache-2.0",
		"description": description(kind),
		"mtime":       r.epoch.Format("2006-01-02T15:04:05Z"),
		"contents":    contents,
		"scripts":     map[string]string{"postinstall": r.script("postinstall"), "preremove": r.script("preremove")},
		"rpm":         map[string]string{"buildhost": "localhost", "summary": summary, "group": "Development/Tools"},
	}
	if kind == "archlinux" || kind == "apk" {
		// These formats have a separate script for upgrades.
		info["archlinux"] = map[string]any{"packager": "Hostless", "scripts": map[string]string{"postupgrade": r.script("postupgrade")}}
		info["apk"] = map[string]any{"scripts": map[string]string{"postupgrade": r.script("postupgrade")}}
	}
	data, err := json.MarshalIndent(info, "", "  ") // YAML is a superset of JSON
	if err != nil {
		return err
	}
	config := filepath.Join(r.work, kind+"-"+p.arch+".yaml")
	if err := put(config, string(data)); err != nil {
		return err
	}
	target := filepath.Join(r.out, fmt.Sprintf("hostless_%s_%s.%s", r.name(), p.arch, suffix(kind)))
	cmd := exec.Command("go", "run", nfpm, "package", "--config", config, "--packager", kind, "--target", target)
	// nfpm runs on this machine, whatever the binaries' platform is.
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOOS="+runtime.GOOS, "GOARCH="+runtime.GOARCH,
		fmt.Sprintf("SOURCE_DATE_EPOCH=%d", r.epoch.Unix()))
	_, err = output(cmd)
	return err
}

const summary = "Local AI gateway and names for local apps"

// description returns a single line for formats that only allow one.
func description(kind string) string {
	if kind == "apk" || kind == "archlinux" {
		return summary
	}
	return summary + "\nKeeps provider keys in one place, hands apps bridge tokens, and gives each\n" +
		"local app a name and an origin of its own on NAME.localhost."
}

func suffix(kind string) string {
	if kind == "archlinux" {
		return "pkg.tar.zst"
	}
	return kind
}

// contents returns the files of a package: those of the archives below /usr, the units,
// and the documents where the distribution expects them.
func (r *release) contents(kind, bin string) ([]content, error) {
	list, err := r.files(bin)
	if err != nil {
		return nil, err
	}
	for i := range list {
		list[i].path = "/usr/" + list[i].path
		if kind == "deb" && strings.HasSuffix(list[i].path, "/_hostless") {
			list[i].path = "/usr/share/zsh/vendor-completions/_hostless" // Debian's directory for packages
		}
	}
	units, err := filepath.Glob(filepath.Join(r.work, "units", "*"))
	if err != nil {
		return nil, err
	}
	for _, unit := range units {
		list = append(list, file{"/usr/lib/systemd/user/" + filepath.Base(unit), unit, 0o644})
	}
	doc := "/usr/share/doc/hostless/"
	list = append(list, file{doc + "README.md", "README.md", 0o644}, file{doc + "changelog.gz", filepath.Join(r.work, "changelog.gz"), 0o644})
	if kind == "deb" {
		list = append(list, file{doc + "copyright", "packaging/copyright", 0o644})
	} else {
		list = append(list, file{"/usr/share/licenses/hostless/LICENSE", "LICENSE", 0o644})
	}
	slices.SortFunc(list, func(a, b file) int { return strings.Compare(a.path, b.path) })
	var contents []content
	for _, f := range list {
		contents = append(contents, content{f.from, f.path, map[string]any{
			"mode": f.mode, "owner": "root", "group": "root", "mtime": r.epoch.Format("2006-01-02T15:04:05Z"),
		}})
	}
	return contents, nil
}
