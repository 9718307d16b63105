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
		{"tree", "npm run dev", []string{"fix-ui.myapp"}},
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
		for _, name := range tt.want {
			if err != nil || !strings.Contains(string(out), "at http://"+name+".localhost:"+d.Port) {
				t.Errorf("%s in %s: %v\n%s\nwant %s", tt.line, tt.dir, err, out, name)
			}
		}
	}
}
