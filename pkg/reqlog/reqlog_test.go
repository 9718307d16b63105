package reqlog_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hostless/hostless/pkg/gateway/pipeline"
	"github.com/hostless/hostless/pkg/gateway/usage"
	"github.com/hostless/hostless/pkg/prices"
	"github.com/hostless/hostless/pkg/provider"
	"github.com/hostless/hostless/pkg/reqlog"
)

var noon = time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)

func open(t testing.TB, cfg reqlog.Config) *reqlog.Log {
	t.Helper()
	if cfg.Dir == "" {
		cfg.Dir = filepath.Join(t.TempDir(), "requests")
	}
	book := prices.NewBook(nil, prices.Default())
	cfg.Prices = func() *prices.Book { return book }
	if cfg.Now == nil {
		cfg.Now = func() time.Time { return noon }
	}
	l, err := reqlog.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// done is a call to gpt-5-mini with 1,000 input and 100 output tokens: $0.00045.
func done(id string, at time.Time) (*pipeline.Call, pipeline.Outcome) {
	openai := provider.Default().Get("openai")
	call := &pipeline.Call{
		ID: id, Start: at, Method: "POST", Endpoint: "/v1/chat/completions", Path: "/v1/chat/completions", Dialect: "openai",
		Client: "OpenAI/Python 1.99.0", Model: "openai/gpt-5-mini",
	}
	return call, pipeline.Outcome{
		Candidate: pipeline.Candidate{Provider: openai, Credential: pipeline.Credential{Provider: "openai", Label: "work"}, Model: "gpt-5-mini"},
		Status:    200, Usage: usage.Report{Tokens: usage.Tokens{Input: 1000, Output: 100}}, Reported: true,
		Start: at, FirstByte: at.Add(1500 * time.Microsecond), End: at.Add(20 * time.Millisecond),
		Attempts: []pipeline.Attempt{{Provider: "openai", KeyLabel: "work", Model: "gpt-5-mini", Status: 200, Duration: 19 * time.Millisecond}},
	}
}

func ids(rows []*reqlog.Row) string {
	var out []string
	for _, r := range rows {
		out = append(out, r.ID)
	}
	return strings.Join(out, " ")
}

// TestRow checks a row's form on the wire.
func TestRow(t *testing.T) {
	l := open(t, reqlog.Config{})
	l.Done(done("a-1", noon))
	rows, err := l.Last(10, reqlog.Filter{})
	if err != nil || len(rows) != 1 {
		t.Fatalf("%v, %v", rows, err)
	}
	got, _ := json.Marshal(rows[0])
	const want = `{"id":"a-1","time":"2026-03-14T12:00:00Z","app":"","token":"","token_name":"","client":"openai-python","method":"POST","dialect":"openai",` +
		`"endpoint":"/v1/chat/completions","path":"/v1/chat/completions","headers":{},"model":"openai/gpt-5-mini","resolved_model":"gpt-5-mini","provider":"openai","key_label":"work",` +
		`"status":200,"error_kind":"","stream":false,"first_byte_ms":2,"duration_ms":20,` +
		`"tokens":{"input":1000,"cached":0,"cache_write":0,"cache_write_1h":0,"audio_input":0,"output":100,"reasoning":0,"audio_output":0},"estimated":false,"tier":"",` +
		`"cost_usd":"0.00045","priced":true,"price":{"input":"0.25","cached":"0.025","cache_write":"0.25","cache_write_1h":"0.25","output":"2"},` +
		`"ignored":[],"attempts":[{"provider":"openai","model":"gpt-5-mini","key_label":"work","status":200,"error_kind":"","duration_ms":19}]}`
	if string(got) != want {
		t.Errorf("row\n%s, want\n%s", got, want)
	}
}

// TestCharge: a request that reached no provider, or failed without a usage report,
// costs nothing; a request with unknown cost is unpriced.
func TestCharge(t *testing.T) {
	l := open(t, reqlog.Config{})
	for name, change := range map[string]func(*pipeline.Call, *pipeline.Outcome){
		"0 refused": func(_ *pipeline.Call, o *pipeline.Outcome) {
			*o = pipeline.Outcome{Kind: pipeline.PolicyScope, Status: 403, Start: o.Start, End: o.End}
		},
		"0 error": func(_ *pipeline.Call, o *pipeline.Outcome) {
			o.Status, o.Kind, o.Reported = 500, pipeline.ProviderError, false
		},
		"0 counting":  func(c *pipeline.Call, o *pipeline.Outcome) { c.Path, o.Reported = "/v1/messages/count_tokens", false },
		"0 no model":  func(c *pipeline.Call, o *pipeline.Outcome) { c.Model, o.Candidate.Model, o.Reported = "", "", false },
		"0 this host": func(_ *pipeline.Call, o *pipeline.Outcome) { o.Candidate.Provider = provider.Default().Get("ollama") },
		"- unknown model": func(_ *pipeline.Call, o *pipeline.Outcome) {
			o.Candidate.Model = "gpt-nobody-knows"
		},
		"- silent":                 func(_ *pipeline.Call, o *pipeline.Outcome) { o.Reported = false },
		"0.00045 cut off, by then": func(_ *pipeline.Call, o *pipeline.Outcome) { o.Kind = pipeline.CallerDisconnected },
	} {
		call, o := done(name, noon)
		change(call, &o)
		l.Done(call, o)
	}
	rows, err := l.Last(100, reqlog.Filter{})
	if err != nil || len(rows) != 8 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	for _, r := range rows {
		want, _, _ := strings.Cut(r.ID, " ")
		got := "-"
		if r.Priced {
			got = r.CostUSD.String()
		}
		if got != want || r.Priced != (r.Price != nil) {
			t.Errorf("%s: cost %s, price %v", r.ID, got, r.Price)
		}
	}
}

// TestRefusedModel: a call that reached no provider has the model that it would have gone to,
// so that sums by model count it with the answered ones.
func TestRefusedModel(t *testing.T) {
	l := open(t, reqlog.Config{})
	for i, c := range []struct{ model, planned, want string }{
		{"echo/text", "text", "text"},        // refused after it was planned, as by a budget
		{"fast", "gpt-5-mini", "gpt-5-mini"}, // an alias
		{"gpt-5", "gpt-5", "gpt-5"},
		{"echo/text", "", "text"}, // refused before, as by the token's scope
		{"openrouter/anthropic/claude-x", "", "anthropic/claude-x"},
		{"nobody/x", "", ""},
		{"", "", ""},
	} {
		id := fmt.Sprint("r-", i)
		call, _ := done(id, noon)
		call.Model = c.model
		l.Done(call, pipeline.Outcome{Planned: c.planned, Kind: pipeline.PolicyScope, Status: 403, Start: noon, End: noon})
		r, err := l.Find(id)
		if err != nil || r == nil || r.ResolvedModel != c.want || r.Provider != "" || r.Model != c.model {
			t.Errorf("%q, planned for %q: %+v, %v", c.model, c.planned, r, err)
		}
	}
}

// TestRestart: a line that was cut off is skipped and damages no other; the rows of
// an earlier log are there, and those of another process that writes to the same
// file.
func TestRestart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "requests")
	first := open(t, reqlog.Config{Dir: dir})
	first.Done(done("a", noon))
	first.Close()
	path := filepath.Join(dir, "2026-03-14.jsonl")
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.WriteString(`{"id":"torn","time":"2026-03-14T12:0`)
	f.Close()

	second := open(t, reqlog.Config{Dir: dir})
	if rows, err := second.Last(10, reqlog.Filter{}); err != nil || ids(rows) != "a" {
		t.Errorf("before its first row: %s, %v", ids(rows), err)
	}
	predecessor := open(t, reqlog.Config{Dir: dir})
	var both sync.WaitGroup
	for n, l := range []*reqlog.Log{second, predecessor} {
		both.Go(func() {
			for i := range 200 {
				l.Done(done(fmt.Sprintf("%d-%d", n, i), noon.Add(time.Duration(i)*time.Second)))
			}
		})
	}
	both.Wait()
	predecessor.Close()
	rows, err := second.Last(reqlog.MaxRows, reqlog.Filter{})
	if err != nil || len(rows) != 401 {
		t.Errorf("%d rows, want 401; %v", len(rows), err)
	}
	if r, err := second.Find("0-7"); err != nil || r == nil {
		t.Errorf("Find: %v, %v", r, err)
	}
	if r, err := second.Find("torn"); err != nil || r != nil {
		t.Errorf("Find of a partial row: %v, %v", r, err)
	}
	for name, want := range map[string]os.FileMode{dir: 0o700, path: 0o600} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
}

// TestFilters: each filter selects by itself.
func TestFilters(t *testing.T) {
	l := open(t, reqlog.Config{})
	for i, change := range []func(*pipeline.Call, *pipeline.Outcome){
		func(*pipeline.Call, *pipeline.Outcome) {},
		func(c *pipeline.Call, o *pipeline.Outcome) {
			c.Model, o.Candidate.Model, o.Candidate.Provider = "claude-x", "claude-x", provider.Default().Get("anthropic")
		},
		func(_ *pipeline.Call, o *pipeline.Outcome) { o.Status = 429 },
		func(_ *pipeline.Call, o *pipeline.Outcome) { o.Status = 404 },
	} {
		call, o := done(string(rune('a'+i)), noon.Add(time.Duration(i)*time.Minute))
		change(call, &o)
		l.Done(call, o)
	}
	for query, want := range map[string]string{
		"": "a b c d", "n=2": "c d", "n=0": "", "model=claude*": "b", "model=gpt-5-mini": "a c d", "model=openai/gpt-5-mini": "a c d", "model=gpt": "",
		"provider=Claude": "b", "status=4xx": "c d", "status=429": "c", "since=2m": "c d", "since=2026-03-14T12:01:00Z": "b c d", "app=shop": "", "token=sk": "",
		"since=1d&n=1": "d", "plane=ai": "a b c d",
	} {
		q, _ := url.ParseQuery(query)
		f, n, err := reqlog.ParseQuery(q, noon.Add(4*time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		if rows, err := l.Last(n, f); err != nil || ids(rows) != want {
			t.Errorf("%s: %q, want %q; %v", query, ids(rows), want, err)
		}
	}
	for _, bad := range []string{"n=-1", "n=10001", "n=x", "status=4x", "status=9xx", "status=abc", "since=soon", "since=-1h", "plane=other", "plane=apps&model=x"} {
		q, _ := url.ParseQuery(bad)
		if _, _, err := reqlog.ParseQuery(q, noon); err == nil {
			t.Errorf("%s is accepted", bad)
		}
	}
}

// TestCaps: no segment exceeds its size limit, all together do not exceed the
// total, none exceeds its age, and the newest rows stay.
func TestCaps(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "requests")
	os.MkdirAll(dir, 0o700)
	for _, name := range []string{"2025-01-01.jsonl", "notes.txt"} {
		os.WriteFile(filepath.Join(dir, name), []byte("{}\n"), 0o600)
	}
	l := open(t, reqlog.Config{Dir: dir, SegmentSize: 8 << 10, TotalSize: 40 << 10, MaxAge: 24 * time.Hour})
	for i := range 300 {
		l.Done(done(fmt.Sprint(i), noon.Add(time.Duration(i)*time.Second)))
		if i%5 == 0 {
			l.Last(0, reqlog.Filter{}) // several writes
		}
	}
	rows, err := l.Last(1, reqlog.Filter{})
	if err != nil || ids(rows) != "299" {
		t.Errorf("newest %s, %v", ids(rows), err)
	}
	var sum int64
	files, _ := os.ReadDir(dir)
	for _, f := range files {
		info, _ := f.Info()
		if sum += info.Size(); info.Size() > 8<<10 || f.Name() == "2025-01-01.jsonl" {
			t.Errorf("%s has %d bytes", f.Name(), info.Size())
		}
	}
	if sum > 40<<10 || len(files) < 4 {
		t.Errorf("%d files have %d bytes", len(files), sum)
	}
	if _, err := os.Stat(filepath.Join(dir, "notes.txt")); err != nil {
		t.Error("a file that is not a segment was removed")
	}
}

// TestNeverBlocks: if the writer cannot keep up, rows are dropped and counted; if
// the disk cannot be written to, rows stay in memory and are counted.
func TestNeverBlocks(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	os.WriteFile(file, nil, 0o600)
	l := open(t, reqlog.Config{Dir: filepath.Join(file, "requests"), Rows: 5})
	for i := range 10 {
		l.Done(done(fmt.Sprint(i), noon.Add(time.Duration(i)*time.Second)))
	}
	// The directory cannot be read either, and the result says so.
	if _, err := l.Last(10, reqlog.Filter{}); err == nil {
		t.Error("no error for a directory that cannot be read")
	}
	if l.Dropped() != 10 {
		t.Errorf("dropped %d", l.Dropped())
	}
	l.Close()
	for i := range 5000 {
		l.Done(done(fmt.Sprint(i), noon)) // nobody receives them any more
	}
	if l.Dropped() < 900 {
		t.Errorf("dropped %d", l.Dropped())
	}
}

// TestFollow yields the existing rows and then the new ones, each once.
func TestFollow(t *testing.T) {
	l := open(t, reqlog.Config{})
	l.Done(done("a", noon))
	got := make(chan string, 100)
	ended := make(chan error, 1)
	go func() {
		ended <- l.Follow(t.Context(), 10, reqlog.Filter{Model: "gpt-5-mini"}, func(r *reqlog.Row) error {
			got <- r.ID
			if r.ID == "c" {
				return os.ErrClosed
			}
			return nil
		})
	}()
	if id := <-got; id != "a" {
		t.Errorf("first %s", id)
	}
	l.Done(done("b", noon.Add(time.Second)))
	other, o := done("other", noon)
	other.Model, o.Candidate.Model = "x", "x"
	l.Done(other, o)
	l.Done(done("c", noon.Add(2*time.Second)))
	if a, b := <-got, <-got; a != "b" || b != "c" {
		t.Errorf("then %s, %s", a, b)
	}
	if err := <-ended; err != os.ErrClosed {
		t.Error(err)
	}
}

// TestFollowOthers: followers get the rows that another process writes, each once.
func TestFollowOthers(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "requests")
	replaced := open(t, reqlog.Config{Dir: dir})
	replaced.Done(done("old-1", noon))
	replaced.Last(0, reqlog.Filter{})
	l := open(t, reqlog.Config{Dir: dir, Others: func() bool { return true }})
	got := make(chan string, 100)
	go l.Follow(t.Context(), 10, reqlog.Filter{}, func(r *reqlog.Row) error { got <- r.ID; return nil })
	next := func(want string) {
		t.Helper()
		select {
		case id := <-got:
			if id != want {
				t.Errorf("%s, want %s", id, want)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("%s does not arrive", want)
		}
	}
	next("old-1")
	l.Done(done("new-1", noon))
	next("new-1")
	replaced.Done(done("old-2", noon))
	next("old-2")
	l.Done(done("new-2", noon))
	next("new-2")
	replaced.Done(done("old-3", noon))
	next("old-3")
	if len(got) > 0 {
		t.Errorf("one more: %s", <-got)
	}
}

// TestRedacted: text that clients chose is redacted before it is written to a file.
func TestRedacted(t *testing.T) {
	const canary = "sk-canary-0123456789abcdef"
	dir := filepath.Join(t.TempDir(), "requests")
	l := open(t, reqlog.Config{Dir: dir, Redact: func(s string) string { return strings.ReplaceAll(s, canary, "…") }})
	call, o := done("a", noon)
	call.Model, call.Client, call.Path, o.Candidate.Model, o.Attempts[0].Model = canary, canary, "/v1/"+canary, canary, canary
	l.Done(call, o)
	l.Close()
	if data, err := os.ReadFile(filepath.Join(dir, "2026-03-14.jsonl")); err != nil || strings.Contains(string(data), canary) {
		t.Errorf("%s, %v", data, err)
	}
}

// TestClient recognizes programs by their User-Agent.
func TestClient(t *testing.T) {
	l := open(t, reqlog.Config{})
	agents := []string{
		"claude-cli/2.0.14 (external, cli)", "Claude Code", "codex_cli_rs/0.46.0 (Linux 6.1; x86_64) xterm", "Codex", "OpenAI/JS 5.1.0", "openai-node",
		"AsyncAnthropic/Python 0.60", "anthropic-python", "ai/5.0.1 ai-sdk/provider-utils/3.0.0", "AI SDK", "my-app/1.0 (x)", "my-app", "", "", "ünï/1", "",
	}
	for i := 0; i < len(agents); i += 2 {
		call, o := done(agents[i], noon)
		call.ID, call.Client = "id"+fmt.Sprint(i), agents[i]
		l.Done(call, o)
		if r, err := l.Find("id" + fmt.Sprint(i)); err != nil || r == nil || r.Client != agents[i+1] {
			t.Errorf("%q is %+v, want %q; %v", agents[i], r, agents[i+1], err)
		}
	}
}

// BenchmarkDone measures what the log adds to a request's own goroutine, and the
// total with the writer's work.
func BenchmarkDone(b *testing.B) {
	const batch = 1000
	call, o := done("a", noon)
	b.Run("request", func(b *testing.B) {
		l := open(b, reqlog.Config{})
		b.ReportAllocs()
		n := 0
		for b.Loop() {
			l.Done(call, o)
			if n++; n%batch == 0 {
				b.StopTimer()
				l.Last(0, reqlog.Filter{})
				b.StartTimer()
			}
		}
		if l.Dropped() > 0 {
			b.Errorf("%d dropped", l.Dropped())
		}
	})
	b.Run("all", func(b *testing.B) {
		l := open(b, reqlog.Config{})
		b.ReportAllocs()
		n := 0
		for b.Loop() {
			l.Done(call, o)
			if n++; n%batch == 0 {
				l.Last(0, reqlog.Filter{})
			}
		}
	})
}
