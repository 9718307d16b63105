package run

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/hostless/hostless/test/harness"
)

// TestScriptsThroughNPM runs dev scripts through npm with tools that print their arguments:
// a server gets its port and host once, a build gets none, and what cannot be given flags
// runs as it is.
func TestScriptsThroughNPM(t *testing.T) {
	harness.Need(t, "npm")
	d := harness.Start(t)
	dir := t.TempDir()
	bin := filepath.Join(dir, "node_modules", ".bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, tool := range []string{"vite", "vp", "concurrently", "nx", "turbo"} {
		if err := os.WriteFile(filepath.Join(bin, tool), []byte("#!/bin/sh\necho \"argv: $(basename \"$0\") $*.\"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	const flags = ` --port \d+ --strictPort --host 127\.0\.0\.1\.`
	for script, want := range map[string]string{
		"NODE_ENV=development vite":          `vite` + flags,
		"npm run --silent dev:vite":          `vite` + flags,
		"vite # note":                        `vite` + flags,
		"vite --base /x/":                    `vite --base /x/` + flags,
		"vite -l info build":                 `vite -l info build\.`,
		"vite --base /x/ build":              `vite --base /x/ build\.`,
		"vite --clearScreen false build":     `vite --clearScreen false build\.`,
		"vp --mode dev build":                `vp --mode dev build\.`,
		`concurrently "vite" "node api.js"`:  `concurrently vite node api\.js\.`,
		"nx serve web":                       `nx serve web\.`,
		"turbo dev":                          `turbo dev --env-mode=loose\.`,
		"vite && echo done":                  `vite \.`,
		"npm run --silent dev:vite -- --a b": `vite --a b` + flags,
	} {
		data, err := json.Marshal(map[string]any{"name": "x", "scripts": map[string]string{"dev": script, "dev:vite": "vite"}})
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "package.json"), data, 0o644); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(filepath.Join(harness.Bin(t), "hostless"), "run", "--", "npm", "run", "--silent", "dev")
		cmd.Dir, cmd.Env = dir, d.Env
		out, err := cmd.CombinedOutput()
		if got := regexp.MustCompile(`argv: (.*)`).FindAllStringSubmatch(string(out), -1); err != nil || len(got) != 1 || !regexp.MustCompile(`^`+want+`$`).MatchString(got[0][1]) {
			t.Errorf("%s: %v, %q\nwant %s", script, err, out, want)
		}
	}
}

// TestPreflightWaits holds a CORS preflight to an app that starts, as any other request.
func TestPreflightWaits(t *testing.T) {
	d := harness.Start(t)
	d.Must("alias", "web", d.Port)
	for _, args := range [][]string{{"--detach"}, {"--detach", "--lazy"}} {
		dir := t.TempDir()
		begin := filepath.Join(dir, "begin")
		line := append(append([]string{"run", "api"}, args...), "--", "sh", "-c", "while [ ! -e "+begin+" ]; do sleep .05; done; exec "+self(t)+" __app")
		if r := d.CLI(line...); r.Code != 0 {
			t.Fatalf("%v: %s", args, r.Stderr)
		}
		req, err := http.NewRequest(http.MethodOptions, "http://127.0.0.1:"+d.Port+"/x", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = "api.localhost:" + d.Port
		req.Header.Set("Origin", "http://web.localhost:"+d.Port)
		req.Header.Set("Access-Control-Request-Method", "POST")
		answered := make(chan string, 1)
		go func() {
			resp, err := (&http.Client{Timeout: 30 * time.Second}).Do(req)
			if err != nil {
				answered <- err.Error()
				return
			}
			resp.Body.Close()
			answered <- resp.Status
		}()
		select {
		case early := <-answered:
			t.Errorf("%v: the preflight is answered before the app has started: %s", args, early)
		case <-time.After(time.Second):
		}
		if err := os.WriteFile(begin, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		if got := <-answered; !strings.HasPrefix(got, "200") {
			t.Errorf("%v: the preflight to a starting app: %s", args, got)
		}
		d.Must("stop", "api")
	}
}
