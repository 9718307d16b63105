package pkg_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/hostless/hostless/"

// order is the import table of docs/architecture.md: a package may only import packages
// in earlier rows. Packages in the same row do not import each other.
var order = [][]string{
	{"secret", "fault", "sse", "jsonscan", "build", "procinfo", "httpx", "h2upgrade", "clock", "guide", "mdns"},
	{"appname"},
	{"listen", "peer", "sock", "config", "redact"},
	{"netguard"},
	{"keys/vault", "keys/reference", "audit"},
	{"token", "keys", "certs", "hosts"},
	{"approval", "oauth"},
	{"dialect", "dialect/rawjson"},
	{"dialect/openai", "dialect/dialecttest"},
	{"dialect/anthropic", "dialect/gemini", "dialect/responses", "dialect/ollama"},
	{"provider"},
	{"gateway/endpoint", "gateway/body", "gateway/usage"},
	{"gateway/policy", "gateway/access"},
	{"gateway/pipeline", "prices"},
	{"reqlog", "keypool", "gateway/alias"},
	{"spend", "metrics", "inflight", "otlp"},
	{"budget"},
	{"apps/http1", "apps/errpage", "gateway/ledger"},
	{"gateway/upstream", "gateway/respond"},
	{"gateway/plan"},
	{"gateway/modelist", "gateway/realtime"},
	{"apps/routes"},
	{"gateway", "apps/proxy"},
	{"front"},
	{"control"},
	{"dashboard", "mcp", "top"},
	{"launch/detect", "launch/proctree", "share"},
	{"launch"},
	{"service"},
	{"daemon"},
}

// homes names the only packages that may use an external dependency.
var homes = map[string][]string{
	"github.com/coreos/go-systemd":           {"pkg/listen", "pkg/daemon"},
	"github.com/kardianos/service":           {"pkg/service"},
	"github.com/zalando/go-keyring":          {"pkg/keys/vault"},
	"golang.org/x/crypto":                    {"pkg/keys/vault"},
	"github.com/gorilla/websocket":           {"pkg/gateway/upstream", "pkg/gateway/realtime"},
	"github.com/urfave/cli":                  {"cmd/hostless", "cmd/hostlessd"},
	"github.com/klauspost/compress":          {"pkg/gateway/body"},
	"github.com/BurntSushi/toml":             {"pkg/launch/detect"},
	"github.com/modelcontextprotocol/go-sdk": {"pkg/mcp"},
	"golang.org/x/net":                       {"pkg/mdns"},
}

// TestImports compares the imports with the import table and the homes of dependencies.
func TestImports(t *testing.T) {
	rank := map[string]int{}
	for i, row := range order {
		for _, name := range row {
			rank[name] = i
		}
	}
	seen := 0
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "testdata" || d.Name() == "node_modules" || (strings.HasPrefix(d.Name(), ".") && len(d.Name()) > 2)) {
			return fs.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		dir := filepath.ToSlash(filepath.Dir(strings.TrimPrefix(path, "../")))
		if strings.HasPrefix(dir, "test") || strings.HasPrefix(dir, "examples") {
			return nil
		}
		seen++
		name, inPkg := strings.CutPrefix(dir, "pkg/")
		mine, listed := rank[name]
		if inPkg && !listed {
			t.Errorf("%s: package %s is not in the import table", path, name)
		}
		for _, spec := range f.Imports {
			imported, _ := strconv.Unquote(spec.Path.Value)
			for prefix, home := range homes {
				if (imported == prefix || strings.HasPrefix(imported, prefix+"/")) && !slices.Contains(home, dir) {
					t.Errorf("%s imports %s, whose home is %v", path, imported, home)
				}
			}
			other, ok := strings.CutPrefix(imported, module+"pkg/")
			if !ok || !inPkg {
				continue
			}
			if theirs, ok := rank[other]; !ok || theirs >= mine {
				t.Errorf("%s imports %s, which the import table does not allow", path, imported)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen == 0 {
		t.Fatal("no source file was read")
	}
}

// TestPackageComments checks that each package has a package comment.
func TestPackageComments(t *testing.T) {
	dirs, err := filepath.Glob("../pkg/*")
	if err != nil {
		t.Fatal(err)
	}
	nested, _ := filepath.Glob("../pkg/*/*")
	for _, dir := range append(dirs, nested...) {
		files, _ := filepath.Glob(filepath.Join(dir, "*.go"))
		if len(files) == 0 {
			continue
		}
		documented, source := false, false
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			source = true
			f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.PackageClauseOnly|parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			documented = documented || f.Doc != nil
		}
		if source && !documented {
			t.Errorf("%s: no package comment", dir)
		}
	}
}
