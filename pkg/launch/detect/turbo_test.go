package detect

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

func TestTurboDependencies(t *testing.T) {
	for name, tt := range map[string]struct {
		turbo, project string
		want           string
	}{
		"builds of other packages": {`{"tasks":{"dev":{"dependsOn":["^build"],"persistent":true}}}`, "", "run build --filter=@acme/api^... --filter=@acme/web^... --env-mode=loose"},
		"its own steps":            {`{"pipeline":{"dev":{"dependsOn":["codegen","@acme/db#migrate","$NODE_ENV"]}}}`, "", "run codegen --filter=@acme/api --filter=@acme/web --env-mode=loose; run migrate --filter=@acme/db --env-mode=loose"},
		"one package's":            {`{"tasks":{"dev":{},"@acme/web#dev":{"dependsOn":["^build"]}}}`, "", "run build --filter=@acme/web^... --env-mode=loose"},
		"comments":                 {"{ // the tasks\n\"tasks\": {\"dev\": {\"dependsOn\": [\"^build\", /* and */ ],},} }", "", "run build --filter=@acme/api^... --filter=@acme/web^... --env-mode=loose"},
		"other apps alone":         {`{"tasks":{"dev":{"dependsOn":["^dev"]}}}`, "", ""},
		"nothing":                  {`{"tasks":{"dev":{}}}`, "", ""},
		"unwanted":                 {`{"tasks":{"dev":{"dependsOn":["^build"]}}}`, `{"turbo":false}`, ""},
		"no turbo":                 {"", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			files := fstest.MapFS{
				"r/package.json":          {Data: []byte(`{"name":"shop","workspaces":["apps/*"]}`)},
				"r/apps/web/package.json": {Data: []byte(`{"name":"@acme/web","scripts":{"dev":"vite"}}`)},
				"r/apps/api/package.json": {Data: []byte(`{"name":"@acme/api","scripts":{"dev":"node api.js"}}`)},
			}
			if tt.turbo != "" {
				files["r/turbo.json"] = &fstest.MapFile{Data: []byte(tt.turbo)}
			}
			if tt.project != "" {
				files["r/portless.json"] = &fstest.MapFile{Data: []byte(tt.project)}
			}
			f := Files{files}
			apps, err := Apps(f, "/r", "", PrefixNever)
			if err != nil || len(apps) != 2 {
				t.Fatalf("%v, %v", apps, err)
			}
			var got []string
			for _, c := range TurboDependencies(f, "/r", apps) {
				got = append(got, strings.Join(c, " "))
			}
			if strings.Join(got, "; ") != tt.want {
				t.Errorf("got %q, want %q", strings.Join(got, "; "), tt.want)
			}
		})
	}
}

func FuzzWithoutComments(f *testing.F) {
	for _, s := range []string{`{"a":"//","b":["x",],}`, "// x\n{}", `"\"/*"`, "/*", `{"a`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got := withoutComments(slices.Clone(data))
		if json.Valid(data) && !json.Valid(got) {
			t.Errorf("%q becomes %q", data, got)
		}
	})
}

// TestScopeNames checks that a project that is set up for Portless keeps its names: its apps
// are below the most common npm scope.
func TestScopeNames(t *testing.T) {
	for name, tt := range map[string]struct{ root, project, want string }{
		"portless.json":  {`{"name":"mono","workspaces":["apps/*"]}`, `{}`, "acme web.acme"},
		"in the package": {`{"name":"mono","workspaces":["apps/*"],"portless":{}}`, "", "acme web.acme"},
		"without a name": {`{"workspaces":["apps/*"]}`, "", "acme web.acme"},
		"a name of ours": {`{"name":"mono","workspaces":["apps/*"]}`, "", "acme.mono web.mono"},
		"given":          {`{"name":"mono","workspaces":["apps/*"]}`, `{"name":"shop"}`, "acme.shop web.shop"},
	} {
		t.Run(name, func(t *testing.T) {
			files := fstest.MapFS{
				"r/package.json":           {Data: []byte(tt.root)},
				"r/apps/web/package.json":  {Data: []byte(`{"name":"@acme/web","scripts":{"dev":"vite"}}`)},
				"r/apps/acme/package.json": {Data: []byte(`{"name":"@acme/acme","scripts":{"dev":"vite"}}`)},
				"r/apps/docs/package.json": {Data: []byte(`{"name":"@other/docs"}`)},
			}
			if tt.project != "" {
				files["r/portless.json"] = &fstest.MapFile{Data: []byte(tt.project)}
			}
			apps, err := Apps(Files{files}, "/r", "", PrefixNever)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, a := range apps {
				got = append(got, a.Name)
			}
			if strings.Join(got, " ") != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
