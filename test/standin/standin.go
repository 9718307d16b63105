// Package standin contains stand-ins for the providers, written from their public
// documentation, for tests with real clients. Each answers a prompt by repeating it, a
// prompt that offers tools with a call of the first tool, and a tool's result by
// repeating the result. Each requires its key and records its requests.
package standin

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Seen is a request as the provider received it.
type Seen struct {
	Method, Path, Query string
	Header              http.Header
	Body                []byte
}

// Server is a stand-in.
type Server struct {
	*httptest.Server
	Key string // the key that the provider accepts

	Cached int // number of tokens in each prompt reported as cached; set it before the first request

	authorized func(*http.Request, string) bool
	script     *Script

	mu      sync.Mutex
	seen    []Seen
	refused []string
}

// Refused returns the refusals so far, as "STATUS PATH body".
func (s *Server) Refused() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string{}, s.refused...)
}

// watched records refusals.
type watched struct {
	http.ResponseWriter
	server *Server
	path   string
}

// WriteHeader implements http.ResponseWriter.
func (w *watched) WriteHeader(status int) {
	if status >= 400 {
		w.server.mu.Lock()
		w.server.refused = append(w.server.refused, fmt.Sprint(status, " ", w.path, " "))
		w.server.mu.Unlock()
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *watched) Write(p []byte) (int, error) {
	w.server.mu.Lock()
	if n := len(w.server.refused); n > 0 && strings.HasPrefix(w.server.refused[n-1], "4") && strings.HasSuffix(w.server.refused[n-1], w.path+" ") {
		w.server.refused[n-1] += string(p)
	}
	w.server.mu.Unlock()
	return w.ResponseWriter.Write(p)
}

// Flush implements http.Flusher.
func (w *watched) Flush() { w.ResponseWriter.(http.Flusher).Flush() }

// Unwrap is for http.ResponseController, and WebSockets.
func (w *watched) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Requests returns the requests so far.
func (s *Server) Requests() []Seen {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Seen{}, s.seen...)
}

// Last returns the newest request.
func (s *Server) Last(t testing.TB) Seen {
	t.Helper()
	all := s.Requests()
	if len(all) == 0 {
		t.Fatal("the provider got no request")
	}
	return all[len(all)-1]
}

// frame is the Method of a recorded WebSocket message.
const frame = "FRAME"

// Generations returns the requests for a model's answer so far. The messages of a
// WebSocket count; its handshake and warm-up do not.
func (s *Server) Generations() []Seen {
	var out []Seen
	for _, seen := range s.Requests() {
		if seen.Method != http.MethodPost && seen.Method != frame || bytes.Contains(seen.Body, []byte(`"generate":false`)) {
			continue
		}
		for _, end := range []string{"/chat/completions", "/responses", "/messages", ":generateContent", ":streamGenerateContent"} {
			if strings.HasSuffix(seen.Path, end) {
				out = append(out, seen)
			}
		}
	}
	return out
}

// Authorized reports whether a request had the provider's key in the right place.
func (s *Server) Authorized(seen Seen) bool {
	return s.authorized(&http.Request{Header: seen.Header, URL: &url.URL{Path: seen.Path, RawQuery: seen.Query}}, s.Key)
}

func (s *Server) keep(seen Seen) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = append(s.seen, seen)
}

type serverKey struct{}

// cached returns the number of tokens that a request's server reports as cached.
func cached(r *http.Request) int {
	if s, ok := r.Context().Value(serverKey{}).(*Server); ok {
		return s.Cached
	}
	return 0
}

// keepFrame records a WebSocket message as a request.
func keepFrame(r *http.Request, data []byte) {
	if s, ok := r.Context().Value(serverKey{}).(*Server); ok {
		s.keep(Seen{frame, r.URL.Path, r.URL.RawQuery, r.Header.Clone(), data})
	}
}

func start(t testing.TB, key string, authorized func(*http.Request, string) bool, denied http.HandlerFunc, mux *http.ServeMux) *Server {
	s := &Server{Key: key, authorized: authorized}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		upgrade := r.Header.Get("Upgrade") != ""
		var body []byte
		if !upgrade {
			body, _ = io.ReadAll(io.LimitReader(r.Body, 64<<20))
			r.Body = io.NopCloser(strings.NewReader(string(body)))
		}
		s.keep(Seen{r.Method, r.URL.Path, r.URL.RawQuery, r.Header.Clone(), body})
		if !upgrade {
			w = &watched{w, s, r.URL.Path}
		}
		r = r.WithContext(context.WithValue(r.Context(), serverKey{}, s))
		if !authorized(r, key) {
			denied(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v)
}

// stream writes server-sent events and flushes each.
type stream struct{ w http.ResponseWriter }

func newStream(w http.ResponseWriter) stream {
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	w.Header().Set("Cache-Control", "no-cache")
	w.WriteHeader(http.StatusOK)
	return stream{w}
}

func (s stream) send(name string, v any) {
	if name != "" {
		fmt.Fprintf(s.w, "event: %s\n", name)
	}
	if text, ok := v.(string); ok {
		fmt.Fprintf(s.w, "data: %s\n\n", text)
	} else {
		data, _ := json.Marshal(v)
		fmt.Fprintf(s.w, "data: %s\n\n", data)
	}
	s.w.(http.Flusher).Flush()
}

// pieces splits a text at places that should not matter to a client.
func pieces(text string) []string {
	var out []string
	for _, r := range text {
		if len(out) == 0 || len(out[len(out)-1]) >= 4 {
			out = append(out, "")
		}
		out[len(out)-1] += string(r)
	}
	return out
}

// lastTurn returns the last message that is not an instruction, or an empty one.
func lastTurn(turns []any) map[string]any {
	for _, raw := range slices.Backward(turns) {
		if m, _ := raw.(map[string]any); m != nil && str(m, "role") != "system" && str(m, "role") != "developer" {
			return m
		}
	}
	return map[string]any{}
}

// text returns the text of a content, which is a string or a list of parts, and the
// number of parts of other types.
func text(content any) (string, int) {
	switch c := content.(type) {
	case string:
		return c, 0
	case []any:
		out, others := "", 0
		for _, p := range c {
			m, _ := p.(map[string]any)
			if t, ok := m["text"].(string); ok {
				out += t
			} else {
				others++
			}
		}
		return out, others
	}
	return "", 0
}

// arguments returns arguments for a tool: "Paris" for each required string.
func arguments(schema any) map[string]any {
	out := map[string]any{}
	m, _ := schema.(map[string]any)
	properties, _ := m["properties"].(map[string]any)
	required, _ := m["required"].([]any)
	for _, name := range required {
		key, _ := name.(string)
		p, _ := properties[key].(map[string]any)
		kind, _ := p["type"].(string)
		switch strings.ToLower(kind) {
		case "number", "integer":
			out[key] = 7
		case "boolean":
			out[key] = true
		case "array":
			out[key] = []any{"Paris"}
		case "object":
			out[key] = map[string]any{}
		default:
			out[key] = "Paris"
			if choices, ok := p["enum"].([]any); ok && len(choices) > 0 {
				out[key] = choices[0]
			}
		}
	}
	return out
}

// shells lists the names of coding agents' shell tools, including codex's list form.
var shells = []string{"Bash", "exec_command", "shell_command", "shell", "run_shell_command", "bash"}

// pick returns the name and schema of the tool to call: a coding agent's shell, or else
// the first tool. read returns them for one entry of a list of tools, and "" for an entry
// that cannot be called.
func pick(tools []any, read func(map[string]any) (string, any)) (string, any) {
	first, schema := "", any(nil)
	for _, raw := range tools {
		t, _ := raw.(map[string]any)
		name, s := read(t)
		if slices.Contains(shells, name) {
			return name, s
		}
		if first == "" {
			first, schema = name, s
		}
	}
	return first, schema
}

// asks reports whether a prompt next to a tool's result asks for another command, like
// the one after an interrupted call.
func asks(prompt string) bool { return strings.Contains(prompt, "Please run: `") }

var asked = regexp.MustCompile("run: `([^`]+)`")

// toolArguments returns arguments for a shell with the command in the prompt ("run: `cat
// x`"), or a harmless one; for other tools it calls arguments.
func toolArguments(prompt, name string, schema any) map[string]any {
	args := arguments(schema)
	command := "echo standin-ran"
	if m := asked.FindAllStringSubmatch(prompt, -1); m != nil {
		command = m[len(m)-1][1]
	}
	if _, ok := args["cmd"]; ok {
		args["cmd"] = command
	}
	if c, ok := args["command"]; ok {
		args["command"] = command
		if _, list := c.([]any); list {
			args["command"] = []any{"bash", "-lc", command}
		}
	}
	return args
}

// Overflow at the end of a prompt makes the provider respond that the conversation is too
// long, in its own words.
const Overflow = "overflow the context"

func overflows(prompt string) bool { return strings.HasSuffix(strings.TrimSpace(prompt), Overflow) }

func compact(v any) string {
	b, _ := json.Marshal(v)
	return string(b)
}

func echoReply(prompt string, others int) string {
	if others > 0 {
		return fmt.Sprintf("You said: %s (+%d)", prompt, others)
	}
	return "You said: " + prompt
}

func str(m map[string]any, key string) string { s, _ := m[key].(string); return s }
