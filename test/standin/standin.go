// Package standin holds stand-ins for the providers, written from their public
// documentation, for tests with real clients. Each answers a prompt with what
// was said, a prompt that offers tools with a call of the first, and a tool's
// answer with what the tool said; each demands its key and keeps what it was
// asked.
package standin

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// Seen is one request as the provider got it.
type Seen struct {
	Method, Path, Query string
	Header              http.Header
	Body                []byte
}

// Server is one stand-in.
type Server struct {
	*httptest.Server
	Key string // what the provider takes for its key

	mu   sync.Mutex
	seen []Seen
}

// Requests gives what was asked so far.
func (s *Server) Requests() []Seen {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Seen{}, s.seen...)
}

// Last gives the newest request.
func (s *Server) Last(t testing.TB) Seen {
	t.Helper()
	all := s.Requests()
	if len(all) == 0 {
		t.Fatal("the provider was never asked")
	}
	return all[len(all)-1]
}

func start(t testing.TB, key string, authorized func(*http.Request, string) bool, denied http.HandlerFunc, mux *http.ServeMux) *Server {
	s := &Server{Key: key}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		upgrade := r.Header.Get("Upgrade") != ""
		var body []byte
		if !upgrade {
			body, _ = io.ReadAll(io.LimitReader(r.Body, 64<<20))
			r.Body = io.NopCloser(strings.NewReader(string(body)))
		}
		s.mu.Lock()
		s.seen = append(s.seen, Seen{r.Method, r.URL.Path, r.URL.RawQuery, r.Header.Clone(), body})
		s.mu.Unlock()
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

// stream writes server-sent events, each flushed.
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

// pieces cuts a text where no client should care.
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

// text gives the text of a content that is a string or a list of parts, and how
// many parts were something else.
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

// arguments makes up a tool's arguments: "Paris" for each required string.
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

func compact(v any) string {
	b, _ := json.Marshal(v)
	return string(b)
}

func said(prompt string, others int) string {
	if others > 0 {
		return fmt.Sprintf("You said: %s (+%d)", prompt, others)
	}
	return "You said: " + prompt
}

func str(m map[string]any, key string) string { s, _ := m[key].(string); return s }
