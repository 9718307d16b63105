package run

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hostless/hostless/test/harness"
)

// turboStandIn runs each package's dev script with the environment that turbo's strict
// mode passes, or with all of it.
const turboStandIn = `#!/bin/sh
for p in apps/*; do
  case "$*" in
  *--env-mode=loose*) (cd "$p" && npm run --silent dev) ;;
  *) (cd "$p" && env -i PATH="$PATH" HOME="$HOME" HOSTLESS_HOME="$HOSTLESS_HOME" npm run --silent dev) ;;
  esac
done
`

// TestFromPortless runs portless's documented projects with only the command's name
// changed: the host names are the same.
func TestFromPortless(t *testing.T) {
	harness.Need(t, "npm")
	git := harness.Need(t, "git")
	d := harness.Start(t)
	const say = `sh -c 'echo at $HOSTLESS_URL'`
	root := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	pkg := func(name, rest string) string { return `{"name":"` + name + `",` + rest + `}` }
	write("script/package.json", pkg("myapp", `"scripts":{"dev":"hostless run `+say+`"}`))
	write("bare/package.json", pkg("@org/bare", `"scripts":{"dev":"`+say+`"}`))
	write("named/package.json", pkg("other", `"scripts":{"dev":"`+say+`"}`))
	write("named/portless.json", `{"name":"named"}`)
	write("key/package.json", pkg("@org/web", `"scripts":{"dev":"hostless","dev:app":"`+say+`"},"portless":{"name":"key","script":"dev:app"}`))
	write("mono/package.json", pkg("mono", `"workspaces":["apps/*"],"scripts":{"dev":"turbo run dev"}`))
	write("mono/portless.json", `{"apps":{"apps/web":{"name":"shop"},"apps/api":{"name":"api.shop"}}}`)
	write("mono/apps/web/package.json", pkg("@org/web", `"scripts":{"dev":"`+say+`"}`))
	write("mono/apps/api/package.json", pkg("@org/api", `"scripts":{"dev":"`+say+`"}`))
	write("scoped/package.json", pkg("monorepo", `"private":true`))
	write("scoped/pnpm-workspace.yaml", "packages:\n  - apps/*\n")
	write("scoped/portless.json", `{}`)
	write("scoped/apps/web/package.json", pkg("@myorg/web", `"scripts":{"dev":"`+say+`"}`))
	write("scoped/apps/api/package.json", pkg("@myorg/api", `"scripts":{"dev":"`+say+`"}`))
	write("scoped/apps/myorg/package.json", pkg("@myorg/myorg", `"scripts":{"dev":"`+say+`"}`))
	write("scoped/apps/types/package.json", pkg("@myorg/types", `"scripts":{"dev":"tsc --version"}`))
	write("scoped/node_modules/.bin/tsc", "#!/bin/sh\necho tsc\n")
	write("scoped/node_modules/.bin/pnpm", "#!/bin/sh\nexec npm \"$@\"\n")
	write("short/package.json", pkg("@org/x", `"scripts":{"dev":"`+say+`","start":"sh -c 'echo started at $HOSTLESS_URL'"},"portless":"short"`))
	write("unproxied/package.json", pkg("unproxied", `"scripts":{"dev":"sh -c 'echo port ${PORT:-none}'"},"portless":{"proxy":false}`))
	write("turbo/package.json", pkg("turborepo", `"workspaces":["apps/*"],"scripts":{"dev":"turbo run dev"}`))
	write("turbo/turbo.json", `{}`)
	write("turbo/apps/web/package.json", pkg("@org/web", `"scripts":{"dev":"hostless","dev:app":"`+say+`"},"portless":{"name":"tweb","script":"dev:app"}`))
	write("turbo/apps/api/package.json", pkg("@org/api", `"scripts":{"dev":"hostless","dev:app":"`+say+`"},"portless":{"name":"tapi","script":"dev:app"}`))
	write("turbo/node_modules/.bin/turbo", turboStandIn)

	repo := filepath.Join(root, "script")
	for _, args := range [][]string{{"init", "-q", "-b", "main"}, {"add", "."}, {"-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "x"}, {"worktree", "add", "-q", "-b", "fix-ui", "../tree"}} {
		cmd := exec.Command(git, args...)
		cmd.Dir = repo
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v %s", args, err, out)
		}
	}
	path := "PATH=" + harness.Bin(t) + ":" + os.Getenv("PATH")
	for _, tt := range []struct {
		dir, line string
		want      []string
	}{
		{"script", "npm run dev", []string{"myapp"}},
		{"script", "hostless", []string{"myapp"}},
		{"script", "hostless myapp2 sh -c 'echo at $HOSTLESS_URL'", []string{"myapp2"}},
		{"script", "hostless run --name given sh -c 'echo at $HOSTLESS_URL'", []string{"given"}},
		{"script", "hostless api.myapp3 sh -c 'echo at $HOSTLESS_URL'", []string{"api.myapp3"}},
		{"script", "hostless --name list sh -c 'echo at $HOSTLESS_URL'", []string{"list"}},
		{"script", "hostless --script dev", []string{"myapp"}},
		{"tree", "npm run dev", []string{"fix-ui.myapp"}},
		{"tree", "hostless run --name given sh -c 'echo at $HOSTLESS_URL'", []string{"fix-ui.given"}},
		{"tree", "hostless given sh -c 'echo at $HOSTLESS_URL'", []string{"given"}},
		{"short", "hostless", []string{"short"}},
		{"short", "hostless --script start", []string{"short"}},
		{"scoped", "hostless", []string{"web.myorg", "api.myorg", "myorg"}},
		{"scoped/apps/web", "hostless run", []string{"web.myorg"}},
		{"unproxied", "hostless", nil},
		{"bare", "hostless", []string{"bare"}},
		{"bare", "hostless --script dev", []string{"bare"}},
		{"named", "hostless", []string{"named"}},
		{"named", "hostless run", []string{"named"}},
		{"key", "npm run dev", []string{"key"}},
		{"key", "hostless", []string{"key"}},
		{"mono", "hostless", []string{"shop", "api.shop"}},
		{"mono/apps/web", "hostless", []string{"shop"}},
		{"mono/apps/api", "hostless", []string{"api.shop"}},
		{"turbo", "npm run dev", []string{"tweb", "tapi"}},
		{"turbo/apps/web", "npm run dev", []string{"tweb"}},
	} {
		cmd := exec.Command("sh", "-c", tt.line)
		cmd.Dir, cmd.Env = filepath.Join(root, tt.dir), append(d.Env[:len(d.Env):len(d.Env)], path)
		out, err := cmd.CombinedOutput()
		if tt.want == nil && (err != nil || !strings.Contains(string(out), "port none")) {
			t.Errorf("%s in %s: %v\n%s", tt.line, tt.dir, err, out)
		}
		for _, name := range tt.want {
			if err != nil || !strings.Contains(string(out), "at http://"+name+".localhost:"+d.Port) {
				t.Errorf("%s in %s: %v\n%s\nwant %s", tt.line, tt.dir, err, out, name)
			}
		}
	}
}

// TestTurboFirst: turbo runs the dependencies of the dev scripts before the apps start,
// unless the project turns that off.
func TestTurboFirst(t *testing.T) {
	harness.Need(t, "npm")
	d := harness.Start(t)
	root := t.TempDir()
	for name, text := range map[string]string{
		"package.json":            `{"name":"shop","workspaces":["apps/*"]}`,
		"turbo.json":              "{\"tasks\": {\"dev\": {\"dependsOn\": [\"^build\"], \"persistent\": true}}} // the tasks",
		"apps/web/package.json":   `{"name":"@acme/web","scripts":{"dev":"sh -c 'cat ../../built'"}}`,
		"node_modules/.bin/turbo": "#!/bin/sh\n[ -e fails ] && exit 7\necho built by \"$@\" >built\n",
	} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	try := func(want string, code int) {
		t.Helper()
		cmd := exec.Command(filepath.Join(harness.Bin(t), "hostless"))
		cmd.Dir, cmd.Env = root, d.Env
		out, _ := cmd.CombinedOutput()
		if cmd.ProcessState.ExitCode() != code || !strings.Contains(string(out), want) {
			t.Errorf("exit %d: %s\nwant %d, %q", cmd.ProcessState.ExitCode(), out, code, want)
		}
	}
	try("built by run build --filter=@acme/web^... --env-mode=loose", 0)
	if err := os.WriteFile(filepath.Join(root, "fails"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	try("turbo run build", 7)
	if err := os.WriteFile(filepath.Join(root, "hostless.json"), []byte(`{"turbo":false}`), 0o644); err != nil {
		t.Fatal(err)
	}
	try("built by", 0)
}
