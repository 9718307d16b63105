package dashboard

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hostless/hostless/pkg/budget"
	"github.com/hostless/hostless/pkg/control"
	"github.com/hostless/hostless/pkg/gateway/pipeline"
	"github.com/hostless/hostless/pkg/inflight"
	"github.com/hostless/hostless/pkg/prices"
	"github.com/hostless/hostless/pkg/reqlog"
	"github.com/hostless/hostless/pkg/spend"
)

const at = Host + ":48282"

type fakeSources struct{ apps []App }

func (f fakeSources) Status(context.Context) (control.Status, error) {
	return control.Status{Providers: []control.ProviderStatus{{Provider: "openai", Locked: true}}, Warnings: []string{"a <warning>"}}, nil
}
func (f fakeSources) Apps(context.Context) ([]App, error) { return f.apps, nil }
func (f fakeSources) InFlight() []inflight.Request {
	first := int64(80)
	return []inflight.Request{
		{ID: "f1", Time: time.Now(), App: "shop", Model: "gpt-5", Provider: "openai", Client: "Codex", ElapsedMS: 2100, FirstMS: &first, Tokens: 84, PerSecond: 41.6},
		{ID: "f2", Time: time.Now(), TokenName: "<b>ci</b>", Model: "claude-haiku-4-5"},
	}
}
func (f fakeSources) Keys(context.Context) ([]control.KeyInfo, error) {
	at := time.Now().Add(time.Hour)
	return []control.KeyInfo{
		{Provider: "openai", Label: "home", Hint: "a1b2"}, {Provider: "openai", Label: "work", State: "refused", StateStatus: 401, StateUntil: &at},
		{Provider: "openai", State: "limited", StateStatus: 429, StateUntil: &at},
	}, nil
}
func (f fakeSources) Aliases(context.Context) ([]control.Alias, error) {
	return []control.Alias{{Name: "fast", Targets: []string{"gpt-5-mini", "ollama/qwen3"}, Token: "<i>ci</i>"}}, nil
}
func (f fakeSources) Budgets(context.Context) ([]budget.Budget, error) {
	return []budget.Budget{{ID: "b1", Scope: budget.Scope{App: "shop"}, Unit: "usd", Period: "day", Limit: budget.Amount{N: 5e9, USD: true}, Used: budget.Amount{N: 6e9, USD: true}}}, nil
}

type page struct {
	*Dashboard
	t     *testing.T
	now   time.Time
	owned bool
	run   string
	log   *reqlog.Log
	apps  *reqlog.Apps
}

func newPage(t *testing.T) *page {
	t.Helper()
	p := &page{t: t, now: time.Now(), owned: true}
	book := prices.NewBook(nil, prices.Default())
	log, err := reqlog.New(reqlog.Config{Dir: t.TempDir(), Prices: func() *prices.Book { return book }})
	if err != nil {
		t.Fatal(err)
	}
	p.log = log
	if p.apps, err = reqlog.NewApps(reqlog.AppsConfig{Dir: t.TempDir()}); err != nil {
		t.Fatal(err)
	}
	p.Dashboard, err = New(Config{
		Log: log, AppLog: p.apps, Sources: fakeSources{[]App{{Name: "shop", State: "exited", Exit: new(int), Log: []string{"<script>alert(1)</script>"}}}},
		Owned: func(*http.Request) bool { return p.owned }, Run: func(*http.Request) string { return p.run }, Now: func() time.Time { return p.now }, Guide: "the guide",
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close(); log.Close(); p.apps.Close() })
	return p
}

// ask sends one request. fields are alternating names and values of headers.
func (p *page) ask(method, path, body string, fields ...string) *httptest.ResponseRecorder {
	p.t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Host = at
	for i := 0; i < len(fields); i += 2 {
		if fields[i] == "Host" {
			r.Host = fields[i+1]
		} else {
			r.Header.Set(fields[i], fields[i+1])
		}
	}
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	return w
}

func (p *page) exchange(link string, fields ...string) *httptest.ResponseRecorder {
	p.t.Helper()
	body, _ := json.Marshal(map[string]string{"link": link})
	return p.ask("POST", "/session", string(body), append([]string{"Content-Type", "application/json", "Origin", "http://" + at, "Sec-Fetch-Site", "same-origin"}, fields...)...)
}

func (p *page) session() string {
	p.t.Helper()
	link, _ := p.NewLink()
	w := p.exchange(link.Reveal())
	var got struct{ Session string }
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != 200 || got.Session == "" {
		p.t.Fatalf("%d %s", w.Code, w.Body)
	}
	return got.Session
}

func TestLinkWorksOnce(t *testing.T) {
	p := newPage(t)
	link, life := p.NewLink()
	if life > 10*time.Minute {
		t.Errorf("a link is good for %v", life)
	}
	if w := p.exchange(link.Reveal()); w.Code != 200 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if w := p.exchange(link.Reveal()); w.Code != 401 {
		t.Errorf("the second time: %d %s", w.Code, w.Body)
	}
	late, _ := p.NewLink()
	p.now = p.now.Add(life)
	if w := p.exchange(late.Reveal()); w.Code != 401 {
		t.Errorf("after its time: %d %s", w.Code, w.Body)
	}
	below, _ := p.NewLink()
	p.run = "shop.localhost"
	if w := p.exchange(below.Reveal()); w.Code != 403 {
		t.Errorf("below a run: %d %s", w.Code, w.Body)
	}
	p.run = ""
	if w := p.exchange(below.Reveal()); w.Code != 200 {
		t.Errorf("a refused program has used the link up: %d", w.Code)
	}
}

func TestSessionsAreBounded(t *testing.T) {
	p := newPage(t)
	first := p.session()
	for range maxSessions {
		p.now = p.now.Add(time.Second)
		p.session()
	}
	if w := p.ask("GET", "/parts", "", sessionHeader, first); w.Code != 401 {
		t.Errorf("the oldest of too many sessions: %d", w.Code)
	}
	last := p.session()
	if w := p.ask("GET", "/parts", "", sessionHeader, last); w.Code != 200 {
		t.Errorf("a new one: %d %s", w.Code, w.Body)
	}
	p.now = p.now.Add(sessionIdle)
	if w := p.ask("GET", "/parts", "", sessionHeader, last); w.Code != 401 {
		t.Errorf("an idle one: %d", w.Code)
	}
	var links []string
	for range maxLinks + 1 {
		link, _ := p.NewLink()
		links = append(links, link.Reveal())
		p.now = p.now.Add(time.Millisecond)
	}
	if w := p.exchange(links[0]); w.Code != 401 {
		t.Errorf("the oldest of too many links: %d", w.Code)
	}
}

// TestWhoIsLetIn checks which requests of other pages, users and host names are refused.
func TestWhoIsLetIn(t *testing.T) {
	p := newPage(t)
	session := p.session()
	for _, c := range []struct {
		name, method, path string
		fields             []string
		want               int
	}{
		{"the page", "GET", "/", nil, 200},
		{"typed", "GET", "/", []string{"Sec-Fetch-Site", "none", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}, 200},
		{"by a link of another page", "GET", "/", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}, 200},
		{"in a frame", "GET", "/", []string{"Sec-Fetch-Site", "same-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe"}, 403},
		{"the script, of another page", "GET", "/page.js", []string{"Sec-Fetch-Site", "same-site", "Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "script"}, 403},
		{"rows without a session", "GET", "/rows", nil, 401},
		{"parts without a session", "GET", "/parts", nil, 401},
		{"a row without a session", "GET", "/rows/x", nil, 401},
		{"any path without a session", "GET", "/log", nil, 401},
		{"a wrong session", "GET", "/parts", []string{sessionHeader, strings.Repeat("A", 52)}, 401},
		{"with it", "GET", "/parts", []string{sessionHeader, session}, 200},
		{"as the page sends it", "GET", "/parts", []string{sessionHeader, session, "Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty"}, 200},
		{"an app's page with it", "GET", "/parts", []string{sessionHeader, session, "Sec-Fetch-Site", "same-site", "Origin", "http://a.localhost:48282"}, 403},
		{"an older browser's app page", "GET", "/parts", []string{sessionHeader, session, "Origin", "http://a.localhost:48282"}, 403},
		{"another port of the name", "GET", "/parts", []string{sessionHeader, session, "Origin", "http://" + Host + ":8080"}, 403},
		{"https as http", "GET", "/parts", []string{sessionHeader, session, "Origin", "https://" + at}, 403},
		{"a sandboxed frame", "GET", "/parts", []string{sessionHeader, session, "Origin", "null"}, 403},
		{"a rebound name", "GET", "/parts", []string{sessionHeader, session, "Host", "evil.test:48282"}, 403},
		{"below the name", "GET", "/parts", []string{sessionHeader, session, "Host", "a." + at}, 403},
		{"a preflight", "OPTIONS", "/parts", []string{"Origin", "http://a.localhost:48282", "Access-Control-Request-Method", "GET", "Access-Control-Request-Headers", "x-hostless-session"}, 405},
		{"a change", "DELETE", "/parts", []string{sessionHeader, session}, 405},
		{"a path that is none", "GET", "/keys", []string{sessionHeader, session}, 404},
		{"a wrong filter", "GET", "/rows?status=9", []string{sessionHeader, session}, 400},
	} {
		w := p.ask(c.method, c.path, "", c.fields...)
		if w.Code != c.want {
			t.Errorf("%s: %d %s, want %d", c.name, w.Code, w.Body, c.want)
		}
		h := w.Header()
		for name := range h {
			if strings.HasPrefix(name, "Access-Control") || name == "Set-Cookie" {
				t.Errorf("%s: has %s", c.name, name)
			}
		}
		if !strings.Contains(h.Get("Content-Security-Policy"), "default-src 'none'") || h.Get("X-Frame-Options") != "DENY" {
			t.Errorf("%s: the headers do not protect it: %v", c.name, h)
		}
	}
	p.owned = false
	for _, path := range []string{"/", "/page.js", "/parts", "/llms.txt"} {
		if w := p.ask("GET", path, "", sessionHeader, session); w.Code != 403 {
			t.Errorf("another user gets %s: %d", path, w.Code)
		}
	}
}

// TestHTTPS checks that the page's own origin is accepted with either scheme.
func TestHTTPS(t *testing.T) {
	p := newPage(t)
	session := p.session()
	r := httptest.NewRequest("GET", "/parts", nil)
	r.Host, r.TLS = at, &tls.ConnectionState{}
	r.Header.Set(sessionHeader, session)
	r.Header.Set("Origin", "https://"+at)
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	if w.Code != 200 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestSize(t *testing.T) {
	data, err := files.ReadFile("page.js")
	if err != nil || len(data) >= 8<<10 {
		t.Errorf("page.js has %d bytes (%v), want fewer than 8192", len(data), err)
	}
	for name := range assets {
		data, _ := files.ReadFile(name)
		if text := strings.ReplaceAll(string(data), "http://www.w3.org/2000/svg", ""); strings.Contains(text, "//") && strings.Contains(text, "http") && name != "page.js" {
			t.Errorf("%s loads something from elsewhere", name)
		}
	}
}

// TestEscapes checks that texts of apps and clients are escaped.
func TestEscapes(t *testing.T) {
	p := newPage(t)
	now := time.Now()
	p.log.Done(&pipeline.Call{ID: "x1", Start: now, Model: `<img src=x onerror="alert(1)">`, Client: "Evil/1"}, pipeline.Outcome{Status: 400, Kind: pipeline.CallerInvalid, End: now})
	session := p.session()
	if w := p.ask("GET", "/parts", "", sessionHeader, session); strings.Contains(w.Body.String(), "<script>") || !strings.Contains(w.Body.String(), "&lt;script&gt;alert(1)") || !strings.Contains(w.Body.String(), "a &lt;warning&gt;") ||
		!strings.Contains(w.Body.String(), "budget raise b1") {
		t.Errorf("not escaped: %s", w.Body)
	}
	if w := p.ask("GET", "/rows/x1", "", sessionHeader, session); w.Code != 200 || strings.Contains(w.Body.String(), "<img") || !strings.Contains(w.Body.String(), "The client is at fault") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := p.ask("GET", "/rows/none", "", sessionHeader, session); w.Code != 404 {
		t.Errorf("a row that is none: %d", w.Code)
	}
}

// TestRowsEndWithTheDaemon checks that an open page does not delay the end of the daemon.
func TestRowsEndWithTheDaemon(t *testing.T) {
	p := newPage(t)
	p.log.Done(&pipeline.Call{ID: "x1", Start: time.Now(), Model: "gpt-5"}, pipeline.Outcome{Status: 200, End: time.Now()})
	session := p.session()
	answered := make(chan *httptest.ResponseRecorder)
	go func() { answered <- p.ask("GET", "/rows", "", sessionHeader, session) }()
	p.Close()
	select {
	case w := <-answered:
		for line := range strings.Lines(w.Body.String()) {
			if !strings.Contains(line, `data-id="x1"`) && !strings.HasPrefix(line, "=2=<tr>") {
				t.Errorf("%q", line)
			}
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the stream goes on")
	}
}

// follow reads the live rows of a query until they contain the words.
func (p *page) follow(query string, words ...string) string {
	p.t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Host = at
		p.ServeHTTP(w, r)
	}))
	defer srv.Close()
	ctx, cancel := context.WithTimeout(p.t.Context(), 20*time.Second)
	defer cancel()
	req, _ := http.NewRequestWithContext(ctx, "GET", srv.URL+"/rows?"+query, nil)
	req.Header.Set(sessionHeader, p.session())
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	var text strings.Builder
	for in := bufio.NewScanner(resp.Body); in.Scan(); {
		text.WriteString(in.Text() + "\n")
		if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(text.String(), w) }) {
			return text.String()
		}
	}
	p.t.Fatalf("%s: never %q: %s", query, words, text.String())
	return ""
}

// TestInFlight checks the list of requests in flight and its filters.
func TestInFlight(t *testing.T) {
	p := newPage(t)
	text := p.follow("", "=2=<tr>", "claude-haiku-4-5", "openai/<wbr>gpt-5", "shop · Codex", "2.1 s", "84 tokens", "42/s", "waits", "answers", "&lt;b&gt;ci")
	if strings.Contains(text, "<b>ci") {
		t.Errorf("not escaped: %s", text)
	}
	if text := p.follow("app=shop", "=1=<tr>"); strings.Contains(text, "haiku") {
		t.Errorf("of another app: %s", text)
	}
	p.follow("status=4xx", "=0=\n")
}

// TestAppRows checks the rows of the apps plane: live, in detail, and escaped.
func TestAppRows(t *testing.T) {
	p := newPage(t)
	p.log.Done(&pipeline.Call{ID: "x1", Start: time.Now(), Model: "gpt-5"}, pipeline.Outcome{Status: 200, End: time.Now()})
	p.apps.Note(reqlog.AppRow{Time: time.Now(), App: "shop", Method: "GET", Path: "/<img>", Status: 502, DurationMS: 12})
	text := p.follow("plane=apps", "GET /<wbr>&lt;img&gt;", "12 ms", "502", `class="failed"`, "shop")
	if strings.Contains(text, "gpt-5") || strings.Contains(text, "\n=") {
		t.Errorf("of the other plane: %s", text)
	}
	_, id, _ := strings.Cut(text, `data-id="`)
	id, _, _ = strings.Cut(id, `"`)
	session := p.session()
	if w := p.ask("GET", "/rows/"+id, "", sessionHeader, session); w.Code != 200 || strings.Contains(w.Body.String(), "<img>") || !strings.Contains(w.Body.String(), "hostless log --apps --app shop") {
		t.Errorf("in detail: %d %s", w.Code, w.Body)
	}
	if w := p.ask("GET", "/rows/app_none-1", "", sessionHeader, session); w.Code != 404 {
		t.Errorf("one that is none: %d", w.Code)
	}
	if w := p.ask("GET", "/rows?plane=apps&model=x", "", sessionHeader, session); w.Code != 400 {
		t.Errorf("a filter of the other plane: %d", w.Code)
	}
}

// TestKeysAndAliases checks that the page shows the states of keys, and the aliases.
func TestKeysAndAliases(t *testing.T) {
	p := newPage(t)
	text := p.ask("GET", "/parts", "", sessionHeader, p.session()).Body.String()
	for _, words := range []string{"home", "…a1b2", "good", "refused with 401, tried again at ", "no label", "rate-limited, tried again at ", "<code>fast</code>", "<code>gpt-5-mini</code>, then <code>ollama/qwen3</code>", "&lt;i&gt;ci"} {
		if !strings.Contains(text, words) {
			t.Errorf("it does not say %q: %s", words, text)
		}
	}
}

// TestHandover checks that the successor accepts the sessions and links.
func TestHandover(t *testing.T) {
	p, next := newPage(t), newPage(t)
	session := p.session()
	link, _ := p.NewLink()
	data := p.Export()
	if strings.Contains(string(data), session) || strings.Contains(string(data), link.Reveal()) {
		t.Errorf("it holds a secret: %s", data)
	}
	if err := next.Import(data); err != nil {
		t.Fatal(err)
	}
	if w := next.ask("GET", "/parts", "", sessionHeader, session); w.Code != 200 {
		t.Errorf("the session: %d %s", w.Code, w.Body)
	}
	if w := next.exchange(link.Reveal()); w.Code != 200 {
		t.Errorf("the link: %d %s", w.Code, w.Body)
	}
	next.now = next.now.Add(sessionIdle)
	if w := next.ask("GET", "/parts", "", sessionHeader, session); w.Code != 401 {
		t.Errorf("an idle session: %d", w.Code)
	}
	for _, bad := range []string{`{"open":{"x":"2026-01-01T00:00:00Z"}}`, `[]`} {
		if err := next.Import(json.RawMessage(bad)); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}

func TestChart(t *testing.T) {
	day := func(ago int, groups ...spend.Group) spend.Report {
		r := spend.Report{From: time.Now().AddDate(0, 0, -ago), Groups: groups}
		for _, g := range groups {
			r.Total.CostUSD += g.CostUSD
			r.Total.Requests++
		}
		return r
	}
	group := func(key string, cost prices.Nano) spend.Group {
		return spend.Group{Key: key, Sum: spend.Sum{CostUSD: cost, Requests: 1}}
	}
	c := newChart([]spend.Report{day(1, group("a", 3*prices.Dollar), group("", prices.Dollar)), day(0, group("a", 2*prices.Dollar))})
	if len(c.Days) != 2 || c.Top != "$4.00" || c.Total != "$6.00" || len(c.Apps) != 2 || c.Apps[1].Name != "no app" {
		t.Errorf("%+v", c)
	}
	if b := c.Days[0].Bars; len(b) != 2 || b[0].Height != "75.00" || b[0].Y != "25.00" || b[1].Y != "0.00" {
		t.Errorf("%+v", b)
	}
	if c := newChart([]spend.Report{day(0)}); c.Days != nil {
		t.Errorf("a day without requests has a chart: %+v", c)
	}
	var many []spend.Group
	for i := range 9 {
		many = append(many, group(string(rune('a'+i)), prices.Dollar))
	}
	if c := newChart([]spend.Report{day(0, many...)}); len(c.Apps) != seriesMax+1 || c.Apps[seriesMax].Name != "4 others" || len(c.Days[0].Bars) != seriesMax+1 {
		t.Errorf("%+v", c)
	}
}
