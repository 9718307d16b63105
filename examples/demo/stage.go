package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// stage is everything that the demo has started.
type stage struct {
	bin, home   string
	env         []string
	port, token string
	daemon, app *process
}

// up starts the daemon, makes a token and starts the chat app.
func (s *stage) up(ctx context.Context) (err error) {
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "HOSTLESS") && !strings.HasPrefix(kv, "LISTEN_") && !strings.HasPrefix(kv, "NOTIFY_SOCKET") {
			s.env = append(s.env, kv)
		}
	}
	s.env = append(s.env, "HOSTLESS_HOME="+s.home)
	hostless := filepath.Join(s.bin, "hostless")
	s.daemon, err = start(filepath.Join(s.home, "hostlessd.log"), s.env, filepath.Join(s.bin, "hostlessd"), "--port", "0")
	if err != nil {
		return err
	}
	err = s.await(ctx, s.daemon, func() error {
		port, err := os.ReadFile(filepath.Join(s.home, "hostless.port"))
		if err != nil {
			return err
		}
		s.port = strings.TrimSpace(string(port))
		_, err = s.get(ctx, "localhost", "/health")
		return err
	})
	if err != nil {
		return err
	}
	if s.token, err = output(s.env, hostless, "token", "create", "--name", "demo"); err != nil {
		return err
	}
	s.app, err = start(filepath.Join(s.home, "chat.log"), s.env, hostless, "run", "chat", "--", filepath.Join(s.bin, "chat"))
	if err != nil {
		return err
	}
	return s.await(ctx, s.app, func() error {
		_, err := s.get(ctx, "chat.localhost", "/")
		return err
	})
}

// down stops the app, then the daemon.
func (s *stage) down() {
	s.app.stop()
	s.daemon.stop()
}

// await calls try until it succeeds, p has exited or ctx ends.
func (s *stage) await(ctx context.Context, p *process, try func() error) error {
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-p.ended:
			return fmt.Errorf("%s exited: %s", filepath.Base(p.cmd.Path), p.lastLine())
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// get sends a GET request for a host and path to the daemon's port. It does not resolve
// names below localhost, so that the demo works on any machine.
func (s *stage) get(ctx context.Context, host, path string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1:"+s.port+path, nil)
	if err != nil {
		return "", err
	}
	req.Host = host + ":" + s.port
	return answer(req)
}

func answer(req *http.Request) (string, error) {
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return "", err
	}
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s %s: %s: %s", req.Method, req.URL, resp.Status, body)
	}
	return string(body), nil
}

// request returns the body for the printed curl commands.
func request(stream bool) string {
	if stream {
		return `{"model":"echo/text","stream":true,"messages":[{"role":"user","content":"hello"}]}`
	}
	return `{"model":"echo/text","messages":[{"role":"user","content":"hello"}]}`
}

// try does what the printed curl commands do, so that no command is printed that does not
// work.
func (s *stage) try(ctx context.Context) error {
	for _, stream := range []bool{false, true} {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://127.0.0.1:"+s.port+"/v1/chat/completions", strings.NewReader(request(stream)))
		if err != nil {
			return err
		}
		req.Header.Set("Authorization", "Bearer "+s.token)
		req.Header.Set("Content-Type", "application/json")
		body, err := answer(req)
		if err != nil {
			return err
		}
		if stream && !strings.HasSuffix(strings.TrimSpace(body), "data: [DONE]") {
			return fmt.Errorf("the stream did not end as it should: %.200q", body)
		}
		if !stream && !json.Valid([]byte(body)) {
			return fmt.Errorf("the response is not JSON: %.200q", body)
		}
	}
	return nil
}

// show prints what to try.
func (s *stage) show(w io.Writer) {
	fmt.Fprintf(w, `
Hostless runs on port %[1]s, with a throwaway home in %[2]s.

  The chat app, in the browser:

    http://chat.localhost:%[1]s

  A chat completion, and the same as a stream:

    curl -s http://localhost:%[1]s/v1/chat/completions -H 'Authorization: Bearer %[3]s' \
      -H 'Content-Type: application/json' -d '%[4]s'

    curl -sN http://localhost:%[1]s/v1/chat/completions -H 'Authorization: Bearer %[3]s' \
      -H 'Content-Type: application/json' -d '%[5]s'

  Look around:

    HOSTLESS_HOME=%[2]s %[6]s list

Ctrl-C ends it and removes everything.
`, s.port, s.home, s.token, request(false), request(true), filepath.Join(s.bin, "hostless"))
}
