package mcp

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hostless/hostless/pkg/control"
	"github.com/hostless/hostless/pkg/reqlog"
	"github.com/hostless/hostless/pkg/spend"
	"github.com/hostless/hostless/pkg/token"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// fixed is a Source whose answers are the same each time.
type fixed struct{}

func (fixed) Status(context.Context) (control.Status, error) { return control.Status{Port: 1}, nil }
func (fixed) Routes(context.Context) (control.RouteList, error) {
	return control.RouteList{Routes: []control.Route{}}, nil
}
func (fixed) Output(context.Context, string) (control.AppOutput, error) {
	return control.AppOutput{}, nil
}
func (fixed) Log(context.Context, url.Values) (control.RequestList, error) {
	return control.RequestList{}, nil
}
func (fixed) Request(context.Context, string) (control.RequestDetail, error) {
	return control.RequestDetail{Request: &reqlog.Row{ID: "r1"}, Bodies: &reqlog.Bodies{}}, nil
}
func (fixed) Spend(context.Context, url.Values) (spend.Report, error) { return spend.Report{}, nil }
func (fixed) Budgets(context.Context) (control.BudgetList, error) {
	return control.BudgetList{}, nil
}

type site struct {
	t     *testing.T
	now   time.Time
	store *token.Store
	url   string
}

// open serves Path before a handler that answers 418.
func open(t *testing.T) *site {
	t.Helper()
	s := &site{t: t, now: time.Now()}
	var err error
	if s.store, _, err = token.New(token.Config{Now: func() time.Time { return s.now }}); err != nil {
		t.Fatal(err)
	}
	h, err := NewHTTP(HTTPConfig{Version: "1", Tokens: s.store, Source: func(*http.Request) Source { return fixed{} }})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(h.Before(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusTeapot) })))
	t.Cleanup(srv.Close)
	s.url = srv.URL + Path
	return s
}

func (s *site) mint(req token.Request) string {
	s.t.Helper()
	m, err := s.store.Mint(s.t.Context(), req)
	if err != nil {
		s.t.Fatal(err)
	}
	return m.Secret.Reveal()
}

const initialize = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"x","version":"1"}}}`

// post sends initialize; fields are name and value in turn.
func (s *site) post(method string, fields ...string) (*http.Response, string) {
	s.t.Helper()
	req, _ := http.NewRequest(method, s.url, strings.NewReader(initialize))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	for i := 0; i < len(fields); i += 2 {
		req.Header.Add(fields[i], fields[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	return resp, string(text)
}

// TestHTTPTokens: the path exists for tokens that were made for it, and for no other.
func TestHTTPTokens(t *testing.T) {
	s := open(t)
	plain := s.mint(token.Request{Name: "page", Origin: "http://a.localhost:1"})
	if resp, _ := s.post("POST", "Authorization", "Bearer "+plain); resp.StatusCode != http.StatusTeapot {
		t.Errorf("without a token for it: %d", resp.StatusCode)
	}
	own := s.mint(token.Request{Name: "agent", MCP: true, TTL: time.Hour, RateLimit: 3})
	gone := s.mint(token.Request{MCP: true})
	if err := s.store.RevokeBound(t.Context(), "", control.Secret{}.String); err != nil {
		t.Fatal(err)
	}
	unknown := token.Prefix + strings.Repeat("0", 64)
	var refusals []string
	for name, fields := range map[string][]string{
		"no token": nil, "a page's": {"Authorization", "Bearer " + plain}, "an unknown one": {"Authorization", "Bearer " + unknown},
		"another scheme": {"Authorization", "Basic " + own}, "twice": {"Authorization", "Bearer " + own, "Authorization", "Bearer " + own},
		"in another header": {"X-Api-Key", own}, "a prefix": {"Authorization", "Bearer " + own[:40]},
	} {
		resp, text := s.post("POST", fields...)
		if resp.StatusCode != http.StatusUnauthorized || resp.Header.Get("WWW-Authenticate") != "Bearer" {
			t.Errorf("%s: %d %s", name, resp.StatusCode, text)
		}
		refusals = append(refusals, text)
	}
	if slices.Sort(refusals); len(slices.Compact(refusals)) != 1 {
		t.Errorf("the refusals differ: %q", refusals)
	}
	if resp, text := s.post("POST", "Authorization", "Bearer "+own); resp.StatusCode != 200 || !strings.Contains(text, `"serverInfo"`) || resp.Header.Get("Mcp-Session-Id") != "" {
		t.Errorf("its own: %d %s", resp.StatusCode, text)
	}
	for _, method := range []string{"GET", "DELETE"} {
		if resp, text := s.post(method, "Authorization", "Bearer "+own); resp.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("%s: %d %s", method, resp.StatusCode, text)
		}
	}
	if resp, text := s.post("POST", "Authorization", "Bearer "+own); resp.StatusCode != http.StatusTooManyRequests || resp.Header.Get("Retry-After") == "" {
		t.Errorf("past its rate limit: %d %s", resp.StatusCode, text)
	}
	s.now = s.now.Add(time.Hour)
	if resp, text := s.post("POST", "Authorization", "Bearer "+own); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("past its time: %d %s", resp.StatusCode, text)
	}
	s.now = s.now.Add(24 * time.Hour)
	if resp, _ := s.post("POST", "Authorization", "Bearer "+gone); resp.StatusCode != http.StatusTeapot {
		t.Errorf("after the last one's end: %d", resp.StatusCode)
	}
}

// TestHTTPBrowsers: what a browser sends is refused, with the right token too, and the response has
// nothing that a page could read.
func TestHTTPBrowsers(t *testing.T) {
	s := open(t)
	own := "Bearer " + s.mint(token.Request{MCP: true})
	for _, fields := range [][]string{
		{"Origin", "http://localhost:3000"}, {"Origin", "null"}, {"Origin", "http://hostless.localhost:48282"}, {"Referer", "http://a.test/"}, {"Cookie", "a=b"},
		{"Sec-Fetch-Site", "same-origin"}, {"Sec-Fetch-Site", "none"}, {"Sec-Fetch-Dest", "empty"}, {"Sec-Fetch-User", "?1"}, {"Sec-Ch-Ua", "x"},
		{"Sec-Fetch-Mode", "cors", "Sec-Fetch-Site", "cross-site"},
	} {
		resp, text := s.post("POST", append(fields, "Authorization", own)...)
		if resp.StatusCode != http.StatusForbidden || strings.Contains(text, "serverInfo") {
			t.Errorf("%q: %d %s", fields, resp.StatusCode, text)
		}
		for name := range resp.Header {
			if strings.HasPrefix(name, "Access-Control") {
				t.Errorf("%q: has %s", fields, name)
			}
		}
	}
	if resp, text := s.post("OPTIONS", "Origin", "http://a.localhost:1", "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization"); resp.StatusCode != http.StatusForbidden || resp.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("a preflight: %d %s", resp.StatusCode, text)
	}
	if resp, text := s.post("POST", "Authorization", own, "Sec-Fetch-Mode", "cors"); resp.StatusCode != 200 { // Node's fetch
		t.Errorf("a client on Node: %d %s", resp.StatusCode, text)
	}
}

// TestNoBodies: a request in detail is without its bodies, kept or not.
func TestNoBodies(t *testing.T) {
	server, client := sdk.NewInMemoryTransports()
	if _, err := New("1", fixed{}).Connect(t.Context(), server, nil); err != nil {
		t.Fatal(err)
	}
	c, err := sdk.NewClient(&sdk.Implementation{Name: "test", Version: "1"}, nil).Connect(t.Context(), client, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r, err := c.CallTool(t.Context(), &sdk.CallToolParams{Name: "get_request", Arguments: map[string]any{"id": "r1"}})
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]json.RawMessage
	if err := json.Unmarshal([]byte(r.Content[0].(*sdk.TextContent).Text), &got); err != nil || string(got["bodies"]) != "null" || !strings.Contains(string(got["request"]), "r1") {
		t.Errorf("%v %s", err, r.Content[0].(*sdk.TextContent).Text)
	}
}
