package detect

import (
	"encoding/json"
	"io/fs"
	"os"
	"path"
	"regexp"
	"strings"

	"github.com/BurntSushi/toml"

	"github.com/hostless/hostless/pkg/appname"
)

// Files is the file system that this package reads. It includes the root, so that parent
// directories can be searched. Paths are absolute.
type Files struct{ fs.FS }

// System returns the file system of this machine.
func System() Files { return Files{os.DirFS("/")} }

func (f Files) read(name string) ([]byte, bool) {
	data, err := fs.ReadFile(f.FS, rooted(name))
	return data, err == nil
}

func (f Files) text(name string) string {
	data, _ := f.read(name)
	return strings.TrimSpace(string(data))
}

func (f Files) exists(name string) bool {
	_, err := fs.Stat(f.FS, rooted(name))
	return err == nil
}

func (f Files) isDir(name string) bool {
	info, err := fs.Stat(f.FS, rooted(name))
	return err == nil && info.IsDir()
}

func (f Files) names(dir string) []string {
	entries, err := fs.ReadDir(f.FS, rooted(dir))
	if err != nil {
		return nil
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names
}

// rooted converts an absolute path to a path of io/fs.
func rooted(name string) string {
	name = strings.TrimPrefix(path.Clean(name), "/")
	if name == "" {
		return "."
	}
	return name
}

// manifests are the files from which a project's name is read, in this order.
var manifests = []struct {
	file string
	name func(data []byte) string
}{
	{"hostless.json", func(data []byte) string { return appname.Sanitize(jsonName(data)) }},
	{"portless.json", func(data []byte) string { return appname.Sanitize(jsonName(data)) }},
	{"package.json", packageName},
	{"pyproject.toml", pyprojectName},
	{"go.mod", goModName},
	{"Cargo.toml", cargoName},
}

// Name returns the name of the project that contains dir: from the nearest manifest that
// has one, up to the git root (outside of git, up to home), else the name of the git
// root, else that of the directory. It is never empty and always a valid app name.
func Name(f Files, dir, home string) string { return appname.Unreserved(projectName(f, dir, home)) }

func projectName(f Files, dir, home string) string {
	git, inGit := findGit(f, dir)
	for at := dir; ; at = path.Dir(at) {
		if !inGit && at != dir && (at == home || at == "/") {
			break
		}
		for _, m := range manifests {
			if data, ok := f.read(path.Join(at, m.file)); ok {
				if name := m.name(data); name != "" {
					return name
				}
			}
		}
		if at == "/" || inGit && at == git.root {
			break
		}
	}
	if inGit {
		if name := appname.Label(git.project()); name != "" {
			return name
		}
	}
	if name := appname.Label(path.Base(dir)); name != "" {
		return name
	}
	return "app-" + appname.Hash(dir) // the directory's name has no character that a host name can have
}

// packageName returns the name that package.json sets for the app, else the package's.
func packageName(data []byte) string {
	var m struct{ Hostless, Portless *Settings }
	if json.Unmarshal(data, &m) == nil {
		for _, s := range []*Settings{m.Hostless, m.Portless} {
			if s != nil && s.Name != "" {
				return appname.Sanitize(s.Name)
			}
		}
	}
	return appname.Label(dropScope(jsonName(data)))
}

func jsonName(data []byte) string {
	var m struct{ Name string }
	if json.Unmarshal(data, &m) != nil {
		return ""
	}
	return m.Name
}

// dropScope removes npm's scope: @acme/web is web.
func dropScope(name string) string {
	if strings.HasPrefix(name, "@") {
		if _, rest, ok := strings.Cut(name, "/"); ok {
			return rest
		}
	}
	return name
}

func pyprojectName(data []byte) string {
	var m struct {
		Project struct{ Name string }
		Tool    struct{ Poetry struct{ Name string } }
	}
	if _, err := toml.Decode(string(data), &m); err != nil {
		return ""
	}
	if m.Project.Name != "" {
		return appname.Label(m.Project.Name)
	}
	return appname.Label(m.Tool.Poetry.Name)
}

func cargoName(data []byte) string {
	var m struct{ Package struct{ Name string } }
	if _, err := toml.Decode(string(data), &m); err != nil {
		return ""
	}
	return appname.Label(m.Package.Name)
}

var (
	moduleLine   = regexp.MustCompile(`(?m)^\s*module\s+"?([^\s"]+)"?`)
	majorVersion = regexp.MustCompile(`^v[0-9]+$`)
)

// goModName returns the last element of the module path, without the major version.
func goModName(data []byte) string {
	m := moduleLine.FindSubmatch(data)
	if m == nil {
		return ""
	}
	module := string(m[1])
	if base := path.Base(module); majorVersion.MatchString(base) {
		module = path.Dir(module)
	}
	return appname.Label(path.Base(module))
}
