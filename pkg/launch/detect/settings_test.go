package detect

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hostless/hostless/pkg/fault"
)

func TestConfigured(t *testing.T) {
	no := false
	f := tree(
		"/file/hostless.json", `{"name":"Shop","script":"start","appPort":3000,"proxy":false}`,
		"/key/package.json", `{"hostless":{"script":"dev:app"}}`, "/key/hostless.json", `{"name":"shop","script":"dev"}`,
		"/text/package.json", `{"hostless":"shop"}`,
		"/theirs/portless.json", `{"name":"shop"}`, "/theirs2/package.json", `{"portless":"shop"}`,
		"/port/hostless.json", `{"appPort":70000}`, "/name/package.json", `{"hostless":"a..b"}`, "/kind/package.json", `{"hostless":{"appPort":"x"}}`,
		"/json/hostless.json", `{"name":`, "/none/package.json", `{"name":"x"}`,
	)
	for _, tt := range []struct {
		dir  string
		want Settings
		bad  bool
	}{
		{dir: "/file", want: Settings{Name: "shop", Script: "start", AppPort: 3000, Proxy: &no}},
		{dir: "/key", want: Settings{Name: "shop", Script: "dev:app"}},
		{dir: "/text", want: Settings{Name: "shop"}},
		{dir: "/theirs", want: Settings{Name: "shop"}}, {dir: "/theirs2", want: Settings{Name: "shop"}},
		{dir: "/none"}, {dir: "/nowhere"},
		{dir: "/port", bad: true}, {dir: "/name", bad: true}, {dir: "/kind", bad: true}, {dir: "/json", bad: true},
	} {
		got, err := Configured(f, tt.dir)
		if tt.bad != fault.Is(err, fault.Usage) {
			t.Errorf("%s: %v", tt.dir, err)
		} else if diff := cmp.Diff(tt.want, got); !tt.bad && diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.dir, diff)
		}
	}
}

func TestScriptCommand(t *testing.T) {
	f := tree(
		"/p/package.json", `{"scripts":{"dev":"vite","start":"node ."}}`, "/p/pnpm-lock.yaml", "",
		"/w/package.json", `{"workspaces":["a"],"packageManager":"yarn@4"}`, "/w/a/package.json", `{"scripts":{"dev":"vite"}}`,
		"/loop/package.json", `{"scripts":{"dev":"NODE_ENV=x hostless run","named":"hostless run web","one":"hostless --script dev","ok":"hostless web vite","dash":"hostless run -- vite"}}`,
		"/go/main.go", "",
	)
	for _, tt := range []struct {
		dir, script, want string
		missing, bad      bool
	}{
		{dir: "/p", want: "pnpm run dev"}, {dir: "/p", script: "start", want: "pnpm run start"},
		{dir: "/w/a", want: "yarn run dev"},
		{dir: "/p", script: "x", missing: true}, {dir: "/go", missing: true},
		{dir: "/loop", bad: true}, {dir: "/loop", script: "named", bad: true},
		{dir: "/loop", script: "one", want: "npm run one"}, {dir: "/loop", script: "ok", want: "npm run ok"}, {dir: "/loop", script: "dash", want: "npm run dash"},
	} {
		got, err := ScriptCommand(f, tt.dir, tt.script)
		if strings.Join(got, " ") != tt.want || errors.Is(err, ErrNoScript) != tt.missing || (err != nil) != (tt.missing || tt.bad) {
			t.Errorf("%s %q: %q, %v; want %q", tt.dir, tt.script, got, err, tt.want)
		}
	}
}

func TestAppsOfAConfiguredWorkspace(t *testing.T) {
	f := tree(
		"/r/package.json", `{"name":"shop","workspaces":["apps/*","packages/*"]}`,
		"/r/portless.json", `{"apps":{"apps/web":{"name":"myapp"},"apps/api":{"name":"api.myapp","script":"dev:api","appPort":3001}}}`,
		"/r/apps/web/package.json", `{"name":"web","scripts":{"dev":"vite"}}`,
		"/r/apps/api/package.json", `{"name":"api","scripts":{"dev":"x","dev:api":"node ."}}`,
		"/r/apps/ui/package.json", `{"name":"@apps/ui","scripts":{"dev":"vite"}}`,
		"/r/packages/ui/package.json", `{"name":"@packages/ui","scripts":{"dev":"vite"}}`,
		"/r/packages/types/package.json", `{"name":"types","scripts":{"dev":"tsc --watch"}}`,
		"/r/packages/job/package.json", `{"name":"job","scripts":{"dev":"node job.js"},"hostless":{"proxy":false}}`,
		"/r/packages/css/package.json", `{"name":"css","scripts":{"dev":"vite build --watch"}}`,
	)
	apps, err := Apps(f, "/r", "/u", PrefixAuto)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, app := range apps {
		line := app.Name + " " + app.Command[2]
		if app.Builds {
			line += " builds"
		}
		got = append(got, line)
	}
	want := []string{"api.myapp dev:api", "apps-ui.shop dev", "css.shop dev builds", "job.shop dev builds", "myapp dev", "packages-ui.shop dev", "types.shop dev builds"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if peers, err := Peers(f, "/r/apps/web", "/u", PrefixAuto); err != nil || len(peers) != len(apps) {
		t.Errorf("Peers = %v, %v", peers, err)
	}
}
