package cli

import (
	"bufio"
	"bytes"
	"io"
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

// TestDemo runs the program of `make demo`: the commands that it prints work as they are,
// and Ctrl-C leaves nothing behind.
func TestDemo(t *testing.T) {
	bin := t.TempDir()
	for _, name := range []string{"hostless", "hostlessd"} {
		if err := os.Symlink(filepath.Join(harness.Bin(t), name), filepath.Join(bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	build := exec.Command("go", "build", "-o", bin+"/", "./examples/chat", "./examples/demo")
	build.Dir = harness.Root()
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	cmd := exec.Command(filepath.Join(bin, "demo"), "-bin", bin)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	slow := time.AfterFunc(time.Minute, func() { cmd.Process.Kill() })
	defer slow.Stop()
	var shown strings.Builder
	lines := bufio.NewScanner(out)
	for lines.Scan() && !strings.HasPrefix(lines.Text(), "Ctrl-C ends it") {
		shown.WriteString(lines.Text() + "\n")
	}
	text := shown.String()
	if !strings.Contains(text, "chat.localhost") {
		t.Fatalf("the demo shows no app:\n%s%s", text, stderr.String())
	}

	port := regexp.MustCompile(`http://chat\.localhost:(\d+)`).FindStringSubmatch(text)[1]
	req, _ := http.NewRequest("GET", "http://127.0.0.1:"+port+"/", nil)
	req.Host = "chat.localhost:" + port
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	page, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if resp.StatusCode != 200 || !bytes.Contains(page, []byte(`"token":"sk_local_`)) {
		t.Errorf("the chat page is %s without its token:\n%s", resp.Status, page)
	}

	if _, err := exec.LookPath("curl"); err == nil {
		curls := regexp.MustCompile(`(?m)^ +curl .*\\\n.*$`).FindAllString(text, -1)
		if len(curls) != 2 {
			t.Fatalf("the demo shows %d curl lines, want 2:\n%s", len(curls), text)
		}
		for i, want := range []string{`"content":"hello"`, "data: [DONE]"} {
			got, err := exec.Command("sh", "-c", curls[i]).Output()
			if err != nil || !strings.Contains(string(got), want) {
				t.Errorf("%s\nprints %s (%v), which lacks %s", curls[i], got, err, want)
			}
		}
	}
	look := regexp.MustCompile(`HOSTLESS_HOME=\S+ .* list`).FindString(text)
	if got, err := exec.Command("sh", "-c", look).Output(); err != nil || !strings.Contains(string(got), "chat ") {
		t.Errorf("%s\nprints %s (%v), which lacks the app", look, got, err)
	}

	home := regexp.MustCompile(`HOSTLESS_HOME=(\S+)`).FindStringSubmatch(text)[1]
	cmd.Process.Signal(os.Interrupt)
	io.Copy(io.Discard, out)
	if err := cmd.Wait(); err != nil {
		t.Errorf("the demo after Ctrl-C: %v\n%s", err, stderr.String())
	}
	if _, err := os.Stat(home); err == nil {
		t.Errorf("%s is still there", home)
	}
	if conn, err := http.Get("http://127.0.0.1:" + port + "/health"); err == nil {
		conn.Body.Close()
		t.Errorf("something still listens on port %s", port)
	}
}
