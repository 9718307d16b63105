package detect

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/hostless/hostless/pkg/appname"
	"github.com/hostless/hostless/test/harness"
)

func tree(list ...string) Files {
	m := fstest.MapFS{}
	for i := 0; i < len(list); i += 2 {
		m[strings.TrimPrefix(list[i], "/")] = &fstest.MapFile{Data: []byte(list[i+1])}
	}
	return Files{m}
}

func TestInferName(t *testing.T) {
	tests := []struct {
		name  string
		files []string
		dir   string
		want  string
	}{
		{"hostless.json first", []string{"/u/x/hostless.json", `{"name":"API.Shop"}`, "/u/x/package.json", `{"name":"p"}`}, "/u/x", "api.shop"},
		{"package without its scope", []string{"/u/x/package.json", `{"name":"@acme/My.Web"}`, "/u/x/go.mod", "module y"}, "/u/x", "my-web"},
		{"package without a name", []string{"/u/x/package.json", `{"private":true}`, "/u/x/go.mod", "// c\nmodule example.com/foo/v2 // x\n"}, "/u/x", "foo"},
		{"broken package", []string{"/u/x/package.json", `{`, "/u/x/Cargo.toml", "[package]\nname = \"my_crate\"\n"}, "/u/x", "my-crate"},
		{"pyproject", []string{"/u/x/pyproject.toml", "[project]\nname = \"Py App\"\n", "/u/x/go.mod", "module y"}, "/u/x", "py-app"},
		{"poetry", []string{"/u/x/pyproject.toml", "[tool.poetry]\nname = \"poem\"\n"}, "/u/x", "poem"},
		{"quoted module", []string{"/u/x/go.mod", `module "example.com/q"`}, "/u/x", "q"},
		{"cargo workspace has no name", []string{"/u/x/Cargo.toml", "[workspace]\n"}, "/u/x", "x"},
		{"nearest wins", []string{"/u/x/hostless.json", `{"name":"outer"}`, "/u/x/web/package.json", `{"name":"inner"}`}, "/u/x/web", "inner"},
		{"from a folder below", []string{"/u/x/package.json", `{"name":"p"}`, "/u/x/src/a.js", ""}, "/u/x/src", "p"},
		{"not home's", []string{"/u/package.json", `{"name":"home"}`, "/u/x/a", ""}, "/u/x", "x"},
		{"home's own", []string{"/u/package.json", `{"name":"home"}`}, "/u", "home"},
		{"not past the git root", []string{"/u/p/package.json", `{"name":"p"}`, "/u/p/x/.git/HEAD", "ref: refs/heads/main", "/u/p/x/s/a", ""}, "/u/p/x/s", "x"},
		{"directory", []string{"/u/My Dir/a", ""}, "/u/My Dir", "my-dir"},
		{"linked worktree has the repository's name", []string{"/u/shop/.git/HEAD", "ref: refs/heads/main", "/u/shop/.git/worktrees/w/commondir", "../..", "/u/shop/.git/worktrees/w/HEAD", "ref: refs/heads/f", "/u/w/.git", "gitdir: /u/shop/.git/worktrees/w\n"}, "/u/w", "shop"},
		{"bare repository", []string{"/u/shop.git/worktrees/w/commondir", "../..", "/u/w/.git", "gitdir: /u/shop.git/worktrees/w\n"}, "/u/w", "shop"},
		{"no letter of ours", []string{"/u/日本/a", ""}, "/u/日本", "app-" + appname.Hash("/u/日本")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := Name(tree(tt.files...), tt.dir, "/u"); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestWorktreeLabel(t *testing.T) {
	repo := []string{"/u/shop/.git/HEAD", "ref: refs/heads/feat/main-work"}
	linked := func(id, head string, more ...string) []string {
		return append(append(append([]string{}, repo...),
			"/u/shop/.git/worktrees/"+id+"/commondir", "../..", "/u/shop/.git/worktrees/"+id+"/gitdir", "/u/"+id+"/.git\n",
			"/u/shop/.git/worktrees/"+id+"/HEAD", head+"\n", "/u/"+id+"/.git", "gitdir: ../shop/.git/worktrees/"+id+"\n", "/u/"+id+"/src/a", ""), more...)
	}
	tests := []struct {
		name  string
		files []string
		dir   string
		want  string
	}{
		{"main checkout", repo, "/u/shop", ""},
		{"no git", nil, "/u/x", ""},
		{"branch", linked("w", "ref: refs/heads/login"), "/u/w", "login"},
		{"last segment", linked("w", "ref: refs/heads/feat/Log_In"), "/u/w/src", "log-in"},
		{"main", linked("w", "ref: refs/heads/main"), "/u/w", ""},
		{"master", linked("w", "ref: refs/heads/master"), "/u/w", ""},
		{"detached", linked("My-W", "0123456789012345678901234567890123456789"), "/u/My-W", "my-w"},
		{"rebasing", linked("w", "0123456789012345678901234567890123456789", "/u/shop/.git/worktrees/w/rebase-merge/head-name", "refs/heads/feat/login\n"), "/u/w", "login"},
		{"reftable", linked("w", "ref: refs/heads/.invalid"), "/u/w", "w"},
		{"clash", append(linked("w", "ref: refs/heads/feat/login"), linked("v", "ref: refs/heads/fix/login")...), "/u/w", "login-" + appname.Hash("/u/w")},
		{"clash, other side", append(linked("w", "ref: refs/heads/feat/login"), linked("v", "ref: refs/heads/fix/login")...), "/u/v", "login-" + appname.Hash("/u/v")},
		{"submodule", append(repo, "/u/shop/.git/modules/m/HEAD", "ref: refs/heads/x", "/u/shop/m/.git", "gitdir: ../.git/modules/m"), "/u/shop/m", ""},
		{"a branch of hyphens", linked("w", "ref: refs/heads/___"), "/u/w", appname.Hash("___")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := worktreeLabel(tree(tt.files...), tt.dir); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
	f := tree(linked("w", "ref: refs/heads/login")...)
	for _, tt := range []struct {
		explicit bool
		mode     Prefix
		want     string
	}{{false, PrefixAuto, "login.n"}, {true, PrefixAuto, "n"}, {true, PrefixAlways, "login.n"}, {false, PrefixNever, "n"}} {
		if got := FullName(f, "n", tt.explicit, tt.mode, "/u/w"); got != tt.want {
			t.Errorf("FullName(explicit %v, mode %v) = %q, want %q", tt.explicit, tt.mode, got, tt.want)
		}
	}
}

// TestWorktreeOfRealGit compares the parser with git itself.
func TestWorktreeOfRealGit(t *testing.T) {
	harness.Need(t, "git")
	base, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	repo := filepath.Join(base, "shop")
	git := func(args ...string) {
		t.Helper()
		cmd := exec.Command("git", append([]string{"-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "init.defaultBranch=main"}, args...)...)
		cmd.Dir = repo
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	if err := os.Mkdir(repo, 0o755); err != nil {
		t.Fatal(err)
	}
	git("init", "-q")
	git("commit", "-q", "--allow-empty", "-m", "x")
	git("worktree", "add", "-q", "-b", "feat/login", filepath.Join(base, "one"))
	git("worktree", "add", "-q", "-b", "feat/cart", filepath.Join(base, "two"))
	git("worktree", "add", "-q", "--detach", filepath.Join(base, "three"))
	f := Files{os.DirFS("/")}
	for dir, want := range map[string]string{"shop": "shop", "one": "login.shop", "two": "cart.shop", "three": "three.shop"} {
		at := filepath.Join(base, dir)
		if got := FullName(f, Name(f, at, base), false, PrefixAuto, at); got != want {
			t.Errorf("%s: %q, want %q", dir, got, want)
		}
	}
	git("worktree", "add", "-q", "-b", "fix/login", filepath.Join(base, "four"))
	one, four := worktreeLabel(f, filepath.Join(base, "one")), worktreeLabel(f, filepath.Join(base, "four"))
	if one == four || !strings.HasPrefix(one, "login-") || !strings.HasPrefix(four, "login-") {
		t.Errorf("two branches that end in login: %q and %q", one, four)
	}
}

// TestWorktreeTemplate checks a project's own template for worktree names. A template that
// gives no valid name is ignored.
func TestWorktreeTemplate(t *testing.T) {
	for template, want := range map[string]string{
		"": "login.shop", "{branch}-{project}": "login-shop", "{project}.{branch}": "shop.login", "{project}": "shop", "dev": "dev",
		"{branch}..{project}": "login.shop", "a b": "login.shop",
	} {
		for file, text := range map[string]string{"hostless.json": `{"worktreeName":"` + template + `"}`, "package.json": `{"hostless":{"worktreeName":"` + template + `"}}`} {
			f := tree("/r/.git/worktrees/w/HEAD", "ref: refs/heads/feat/login", "/r/.git/worktrees/w/commondir", "../..", "/r/.git/worktrees/w/gitdir", "/w/.git",
				"/w/.git", "gitdir: /r/.git/worktrees/w", "/w/"+file, text, "/w/sub/x", "")
			if got := FullName(f, "shop", false, PrefixAuto, "/w/sub"); got != want {
				t.Errorf("%q in %s: got %s, want %s", template, file, got, want)
			}
		}
	}
}
