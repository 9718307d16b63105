package run

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hostless/hostless/test/harness"
)

// tunnels lists, for each tool, its output when it has a URL, and the argument with the
// port.
var tunnels = []struct{ tool, program, prints, url, port string }{
	{"cloudflared", "cloudflared", `2026-01-01T00:00:00Z INF |  https://quick-fox.trycloudflare.com        |`, "https://quick-fox.trycloudflare.com", `--url http://127\.0\.0\.1:(\d+)`},
	{"ngrok", "ngrok", `{"lvl":"info","msg":"started tunnel","obj":"tunnels","name":"command_line","addr":"http://localhost:1","url":"https://abcd.ngrok-free.app"}`, "https://abcd.ngrok-free.app", `^http (\d+) `},
	{"tailscale", "tailscale", "Available within your tailnet:\n\nhttps://devbox.tail1234.ts.net/\n|-- proxy http://127.0.0.1:1\n", "https://devbox.tail1234.ts.net", `^serve --https=443 http://127\.0\.0\.1:(\d+)`},
	{"funnel", "tailscale", "Available on the internet:\n\nhttps://devbox.tail1234.ts.net/\n|-- proxy http://127.0.0.1:1\n", "https://devbox.tail1234.ts.net", `^funnel --https=443 http://127\.0\.0\.1:(\d+)`},
}

// fakeTool creates a program in dir that records its arguments, prints a text and keeps
// running.
func fakeTool(t *testing.T, dir, program, prints string) {
	t.Helper()
	script := "#!/bin/sh\necho \"$@\" >" + dir + "/args\ncat <<'X'\n" + prints + "\nX\nexec sleep 999\n"
	if err := os.WriteFile(filepath.Join(dir, program), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
}

// TestShare shares one app with each tool: requests reach only that app, whatever host
// they name; the daemon lists it; and sharing ends with the app and with the tool's
// process.
func TestShare(t *testing.T) {
	d := harness.Start(t)
	app := start(t, d, t.TempDir(), "run", "shop", "--", self(t), "__app")
	waitWithin(t, 20*time.Second, "the app", func() bool {
		status, _ := get(t, d, "shop.localhost", "/")
		return status == http.StatusOK
	})
	env := d.Env
	var last *started
	for _, tt := range tunnels {
		dir := t.TempDir()
		fakeTool(t, dir, tt.program, tt.prints)
		d.Env = append(env[:len(env):len(env)], "PATH="+dir+":"+os.Getenv("PATH"))
		s := start(t, d, t.TempDir(), "share", "shop", "--"+tt.tool)
		waitWithin(t, 20*time.Second, tt.tool+"'s URL", func() bool { return strings.Contains(s.output(), tt.url+"\n") })
		waitWithin(t, 5*time.Second, tt.tool+" in the list", func() bool { return strings.Contains(d.Must("list"), tt.url) })
		args, _ := os.ReadFile(filepath.Join(dir, "args"))
		m := regexp.MustCompile(tt.port).FindSubmatch(args)
		if m == nil {
			t.Fatalf("%s was started with %q", tt.tool, args)
		}
		for _, host := range []string{"quick-fox.trycloudflare.com", "localhost", "other.localhost", "hostless.localhost"} {
			req, err := http.NewRequest("GET", "http://127.0.0.1:"+string(m[1])+"/v1/models", nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Host = host
			resp, err := (&http.Client{Timeout: 10 * time.Second}).Do(req)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if resp.StatusCode != http.StatusOK || !strings.HasPrefix(string(body), "sk_local_") {
				t.Errorf("%s: through the tunnel as %s: %d %q", tt.tool, host, resp.StatusCode, body)
			}
		}
		if r := d.CLI("doctor"); !strings.Contains(r.Stdout, "shop is reachable from outside") {
			t.Errorf("doctor does not name it: %s", r.Stdout)
		}
		if last = s; tt.tool != "funnel" {
			if code := s.end(syscall.SIGINT); code != 0 {
				t.Errorf("%s: exit %d at Ctrl-C", tt.tool, code)
			}
			if left := s.left(); len(left) > 0 {
				t.Errorf("%s still runs: %v", tt.tool, left)
			}
			if out := d.Must("list"); strings.Contains(out, tt.url) {
				t.Errorf("still listed: %s", out)
			}
		}
	}
	app.end(syscall.SIGTERM)
	select {
	case <-last.done:
	case <-time.After(20 * time.Second):
		t.Fatal("the app is still shared after it has stopped")
	}
	if left := last.left(); len(left) > 0 {
		t.Errorf("the tool is still running after the app has stopped: %v", left)
	}
}

// TestShareRefuses: errors name what is missing, and contain the message of a tool that
// fails.
func TestShareRefuses(t *testing.T) {
	d := harness.Start(t)
	d.Must("alias", "shop", d.Port)
	dir := t.TempDir()
	fakeTool(t, dir, "cloudflared", "")
	if err := os.WriteFile(filepath.Join(dir, "ngrok"), []byte("#!/bin/sh\necho 'ERR_NGROK_4018: no authtoken'\nexit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	d.Env = append(d.Env, "PATH="+dir+":/usr/bin:/bin")
	for args, want := range map[string]string{
		"share shop":                       "hostless share shop --cloudflared, which is installed",
		"share shop --tailscale":           "tailscale is not installed",
		"share shop --ngrok":               "ERR_NGROK_4018",
		"share none --cloudflared":         `there is no app "none"`,
		"share shop --ngrok --cloudflared": "cannot be combined",
		"share localhost --cloudflared":    "gateway",
	} {
		r := d.CLI(strings.Fields(args)...)
		if r.Code == 0 || !strings.Contains(r.Stderr, want) {
			t.Errorf("%s: exit %d, %q; want %q", args, r.Code, r.Stderr, want)
		}
	}
}
