package detect

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hostless/hostless/pkg/fault"
)

func TestApps(t *testing.T) {
	f := tree(
		"/r/package.json", `{"name":"shop","workspaces":["packages/*"],"packageManager":"bun@1"}`,
		"/r/packages/web/package.json", `{"name":"@shop/web","scripts":{"dev":"vite"}}`,
		"/r/packages/api/package.json", `{"name":"api","scripts":{"dev":"node ."}}`,
		"/r/packages/lib/package.json", `{"name":"lib","scripts":{"build":"tsc"}}`,
		"/j/hostless.json", `{"name":"mine","apps":{"web":{"dir":"w","command":"npm run x | cat","port":3000},"api":{"command":["node","a.js"],"lazy":true}}}`,
		"/p/pnpm-workspace.yaml", "packages: [a, b]", "/p/a/package.json", `{"name":"@x/same","scripts":{"dev":"x"}}`, "/p/b/package.json", `{"name":"@y/same","scripts":{"dev":"x"}}`,
		"/e/package.json", `{"name":"e"}`,
		"/b/hostless.json", `{"apps":[]}`,
		"/n/hostless.json", `{"apps":{"web":{}}}`, "/j/w/index.html", "",
		"/d/hostless.json", `{"apps":{"web":{"dir":"none","command":"x"}}}`,
		"/q/hostless.json", `{"apps":{"web":{"command":"x","port":70000}}}`,
	)
	tests := []struct {
		dir  string
		want []App
		bad  bool
	}{
		{dir: "/r", want: []App{{Name: "api.shop", Label: "api", Dir: "/r/packages/api", Command: []string{"bun", "run", "dev"}}, {Name: "web.shop", Label: "web", Dir: "/r/packages/web", Command: []string{"bun", "run", "dev"}}}},
		{dir: "/j", want: []App{{Name: "api.mine", Label: "api", Dir: "/j", Command: []string{"node", "a.js"}, Lazy: true}, {Name: "web.mine", Label: "web", Dir: "/j/w", Command: []string{"npm run x | cat"}, Port: 3000}}},
		{dir: "/e"}, {dir: "/r/packages/web"},
		{dir: "/p", want: []App{{Name: "a.p", Label: "a", Dir: "/p/a", Command: []string{"pnpm", "run", "dev"}}, {Name: "b.p", Label: "b", Dir: "/p/b", Command: []string{"pnpm", "run", "dev"}}}},
		{dir: "/b", bad: true}, {dir: "/n", bad: true}, {dir: "/d", bad: true}, {dir: "/q", bad: true},
	}
	for _, tt := range tests {
		got, err := Apps(f, tt.dir, "/u", PrefixAuto)
		if tt.bad != fault.Is(err, fault.Usage) {
			t.Errorf("%s: %v", tt.dir, err)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s: %s", tt.dir, diff)
		}
	}
}
