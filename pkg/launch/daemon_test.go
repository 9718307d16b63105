package launch

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/hostless/hostless/pkg/control"
)

// standIn is a control socket that serves only leases, so that a run can be tested
// without a daemon.
type standIn struct {
	t    *testing.T
	home string

	mu       sync.Mutex
	server   *http.Server
	requests []control.RouteRequest
	updates  []control.LeaseUpdate
	live     int
	events   chan control.LeaseEvent
	changed  chan struct{} // closed and replaced on every change
	status   control.Status
	ends     map[string]leaseEnd
}

// leaseEnd ends a lease. gone is closed when it has ended.
type leaseEnd struct {
	end  func()
	gone chan struct{}
}

func newStandIn(t *testing.T) *standIn {
	t.Helper()
	home, err := os.MkdirTemp("/tmp", "hl")
	if err != nil {
		t.Fatal(err)
	}
	d := &standIn{t: t, home: home, changed: make(chan struct{}), events: make(chan control.LeaseEvent, 4), ends: map[string]leaseEnd{}}
	d.status = control.Status{Port: 48282, Providers: []control.ProviderStatus{{Provider: "openai"}, {Provider: "groq"}}}
	d.start()
	t.Cleanup(func() {
		d.stop()
		os.RemoveAll(home)
	})
	return d
}

func (d *standIn) socket() string { return filepath.Join(d.home, "control.sock") }

func (d *standIn) start() {
	l, err := net.Listen("unix", d.socket())
	if err != nil {
		d.t.Fatal(err)
	}
	if err := os.Chmod(d.socket(), 0o600); err != nil {
		d.t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(d.status) })
	mux.HandleFunc("POST /routes/lease", d.lease)
	mux.HandleFunc("PATCH /routes/lease/{id}", func(w http.ResponseWriter, r *http.Request) {
		var u control.LeaseUpdate
		_ = json.NewDecoder(r.Body).Decode(&u)
		d.change(func() { d.updates = append(d.updates, u) })
		_, _ = w.Write([]byte("{}"))
	})
	mux.HandleFunc("DELETE /routes/lease/{id}", func(w http.ResponseWriter, r *http.Request) {
		d.mu.Lock()
		lease, ok := d.ends[r.PathValue("id")]
		d.mu.Unlock()
		if !ok {
			http.NotFound(w, r)
			return
		}
		lease.end()
		<-lease.gone // the daemon responds when the route is removed
		_, _ = w.Write([]byte("{}"))
	})
	server := &http.Server{Handler: mux}
	d.change(func() { d.server = server })
	go func() { _ = server.Serve(l) }()
}

// stop ends the daemon like a crash: it closes every connection.
func (d *standIn) stop() {
	d.mu.Lock()
	server := d.server
	d.mu.Unlock()
	_ = server.Close()
}

func (d *standIn) lease(w http.ResponseWriter, r *http.Request) {
	var req control.RouteRequest
	_ = json.NewDecoder(r.Body).Decode(&req)
	port := req.Port
	if req.Reserve {
		port = freePort(d.t)
	}
	ctx, end := context.WithCancel(r.Context())
	defer end()
	own := leaseEnd{end, make(chan struct{})}
	defer close(own.gone)
	var id string
	d.change(func() {
		id = strconv.Itoa(len(d.requests) + 1)
		d.requests, d.live, d.ends[id] = append(d.requests, req), d.live+1, own
	})
	defer d.change(func() { d.live--; delete(d.ends, id) })
	got := control.Registered{Hostname: req.Name + ".localhost", URL: "http://" + req.Name + ".localhost:48282", TargetPort: port, LeaseID: id}
	if req.AutoToken {
		text := "sk_local_test"
		if req.Token.Reveal() != "" {
			text = req.Token.Reveal()
		}
		got.Token = &control.BoundToken{Token: control.NewSecret(text), ExpiresIn: 60, Fixed: true,
			Scope: control.Scope{AllowedProviders: []string{"openai"}, AllowedModels: []string{}, RateLimit: 7}}
	}
	out := json.NewEncoder(w)
	_ = out.Encode(map[string]any{"registered": got})
	_ = http.NewResponseController(w).Flush()
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-d.events:
			_ = out.Encode(e)
			_ = http.NewResponseController(w).Flush()
		}
	}
}

func (d *standIn) change(do func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	do()
	close(d.changed)
	d.changed = make(chan struct{})
}

// await blocks until ok returns true. ok is called with the lock held.
func (d *standIn) await(what string, ok func() bool) {
	d.t.Helper()
	limit := time.After(20 * time.Second)
	for {
		d.mu.Lock()
		good, changed := ok(), d.changed
		d.mu.Unlock()
		if good {
			return
		}
		select {
		case <-changed:
		case <-limit:
			d.mu.Lock()
			defer d.mu.Unlock()
			d.t.Fatalf("no %s; %d live, requests %+v, updates %+v", what, d.live, d.requests, d.updates)
		}
	}
}

// awaitState blocks until the last update has the state, and returns the update.
func (d *standIn) awaitState(state string) (u control.LeaseUpdate) {
	d.t.Helper()
	d.await("state "+state, func() bool {
		if len(d.updates) == 0 {
			return false
		}
		u = d.updates[len(d.updates)-1]
		return u.State == state
	})
	return u
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
