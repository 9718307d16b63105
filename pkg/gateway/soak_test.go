package gateway_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hostless/hostless/pkg/gateway"
	"github.com/hostless/hostless/pkg/secret"
	"github.com/hostless/hostless/pkg/token"
	"github.com/hostless/hostless/test/harness"
)

// The gateway of these tests is a process of its own, so that its memory can be measured:
// the test binary, started again with soakEnv set.
const soakEnv = "HOSTLESS_GATEWAY_SOAK_UPSTREAM"

func TestMain(m *testing.M) {
	if upstream := os.Getenv(soakEnv); upstream != "" {
		if err := soakServer(upstream); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	switch os.Getenv(peerEnv) {
	case "upstream":
		benchUpstream()
	case "client":
		benchLoad()
	default:
		os.Exit(m.Run())
	}
}

// soakServer serves a gateway until the end of standard input, and writes its address and a
// token to standard output.
func soakServer(upstream string) error {
	tokens, _, err := token.New(token.Config{})
	if err != nil {
		return err
	}
	keys := &keyring{creds: map[string]gateway.Credential{"openai": {BaseURL: upstream, Key: secret.New(canary)}}}
	gw, err := gateway.New(gateway.Config{Tokens: tokens, Keys: keys})
	if err != nil {
		return err
	}
	minted, err := tokens.Mint(context.Background(), token.Request{})
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go http.Serve(l, gw)
	fmt.Println(l.Addr(), minted.Secret.Reveal())
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

type soak struct {
	t          *testing.T
	url, token string
	pid        int
}

func startSoak(t *testing.T, upstream string) *soak {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), soakEnv+"="+upstream)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	addr, bearer, _ := strings.Cut(strings.TrimSpace(line), " ")
	return &soak{t: t, url: "http://" + addr, token: bearer, pid: cmd.Process.Pid}
}

// memory returns a value of /proc/PID/status in bytes: VmRSS, or VmHWM for the peak.
func (s *soak) memory(name string) int64 {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.pid))
	if err != nil {
		harness.Missing(s.t, "no /proc to read memory from")
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, name+":"); ok {
			n, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return n << 10
		}
	}
	s.t.Fatalf("no %s", name)
	return 0
}

func (s *soak) do(method, path string, body io.Reader, size int64) *http.Response {
	s.t.Helper()
	req, err := http.NewRequest(method, s.url+path, body)
	if err != nil {
		s.t.Fatal(err)
	}
	req.ContentLength = size
	req.Header.Set("Authorization", "Bearer "+s.token)
	resp, err := noRedirects.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// TestMemoryStaysFlat sends 1 GiB up and 200 MB down; in short mode less.
func TestMemoryStaysFlat(t *testing.T) {
	up, down := int64(1<<30), int64(200e6)
	if testing.Short() {
		up, down = 128<<20, 64e6
	}
	var got atomic.Int64
	upstream := newUpstream(t, func(rw http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		got.Store(n)
		if r.Method == "GET" {
			rw.Header().Set("Content-Length", fmt.Sprint(down))
			io.CopyN(rw, zeros{}, down)
		}
	})
	s := startSoak(t, upstream)
	s.do("POST", "/v1/files", io.LimitReader(zeros{}, 1<<20), 1<<20).Body.Close()
	before := s.memory("VmRSS")
	resp := s.do("POST", "/v1/files", io.LimitReader(zeros{}, up), up)
	resp.Body.Close()
	if resp.StatusCode != 200 || got.Load() != up {
		t.Fatalf("upload: status %d, %d bytes", resp.StatusCode, got.Load())
	}
	resp = s.do("GET", "/v1/files/f/content", nil, 0)
	n, err := io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	if n != down || err != nil {
		t.Fatalf("download: %d bytes, %v", n, err)
	}
	grown := s.memory("VmHWM") - before
	t.Logf("%d MiB up, %d MB down: memory grew by %d KiB from %d KiB", up>>20, down/1e6, grown>>10, before>>10)
	if grown > 32<<20 {
		t.Errorf("memory grew by %d MiB", grown>>20)
	}
}

// TestManySlowStreams keeps a thousand streams open at the same time (fewer in short mode)
// and sends ten thousand events through one.
func TestManySlowStreams(t *testing.T) {
	streams, burst := 1000, 10000
	if testing.Short() {
		streams, burst = 100, 2000
	}
	release := make(chan struct{})
	event := "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"word \"},\"finish_reason\":null}]}\n\n"
	upstream := newUpstream(t, func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		send := events(rw)
		send(event)
		if strings.Contains(string(body), "burst") {
			for range burst {
				send(event)
			}
		} else {
			<-release
		}
		send("data: [DONE]\n\n")
	})
	s := startSoak(t, upstream)
	open := func(body string) (*http.Response, *bufio.Reader) {
		resp := s.do("POST", "/v1/chat/completions", strings.NewReader(body), int64(len(body)))
		in := bufio.NewReader(resp.Body)
		if line, err := in.ReadString('\n'); err != nil || !strings.HasPrefix(line, "data: {") {
			t.Fatalf("first line %q, %v", line, err)
		}
		return resp, in
	}
	resp, in := open(`{"model":"m","stream":true,"x":"burst"}`)
	start := time.Now()
	n, err := io.Copy(io.Discard, in)
	resp.Body.Close()
	if want := int64(len(event)*burst + len(event) + len("data: [DONE]\n\n") - len(event[:strings.Index(event, "\n")+1])); err != nil || n != want {
		t.Fatalf("the burst brought %d bytes, want %d, %v", n, want, err)
	}
	t.Logf("%d events in %v", burst, time.Since(start))
	before := s.memory("VmRSS")
	var bodies []io.ReadCloser
	for range streams {
		resp, _ := open(`{"model":"m","stream":true}`)
		bodies = append(bodies, resp.Body)
	}
	grown := s.memory("VmRSS") - before
	t.Logf("%d streams open: %d KiB each", streams, grown>>10/int64(streams))
	if each := grown / int64(streams); each > 128<<10 && !raceEnabled {
		t.Errorf("each stream costs %d KiB", each>>10)
	}
	close(release)
	var wait sync.WaitGroup
	for _, body := range bodies {
		wait.Go(func() {
			if rest, err := io.ReadAll(body); err != nil || !strings.HasSuffix(string(rest), "data: [DONE]\n\n") {
				t.Errorf("a stream ended with %q, %v", rest, err)
			}
			body.Close()
		})
	}
	wait.Wait()
}

// newUpstream starts a stand-in and returns its address.
func newUpstream(t *testing.T, h http.HandlerFunc) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: h}
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
	return "http://" + l.Addr().String()
}
