package dashboard

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/hostless/hostless/pkg/appname"
	"github.com/hostless/hostless/pkg/budget"
	"github.com/hostless/hostless/pkg/control"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/inflight"
	"github.com/hostless/hostless/pkg/reqlog"
	"github.com/hostless/hostless/pkg/secret"
)

// Host is the page's host name.
const Host = appname.Own + appname.Suffix

// sessionHeader carries the session. Unlike a cookie, a page of another origin cannot send
// it without a preflight request, which this server refuses.
const sessionHeader = "X-Hostless-Session"

// Sources is what the page needs of the daemon.
type Sources interface {
	Status(ctx context.Context) (control.Status, error)
	// Apps lists the routes, with the last lines of their apps' output.
	Apps(ctx context.Context) ([]App, error)
	// InFlight lists the AI requests in flight, oldest first.
	InFlight() []inflight.Request
	// Budgets lists the budgets.
	Budgets(ctx context.Context) ([]budget.Budget, error)
	// Keys lists the stored keys with their states, without the keys themselves.
	Keys(ctx context.Context) ([]control.KeyInfo, error)
	// Aliases lists the model aliases.
	Aliases(ctx context.Context) ([]control.Alias, error)
}

// App is one route.
type App struct {
	Name, URL, Target string
	State             string // for a run: starting, listening, exited, idle; else ""
	Command           string
	Directory         string
	Since             time.Time
	Exit              *int
	Log               []string // the last lines, oldest first
}

// Config is the configuration of New. Log, AppLog, Sources and Owned are required.
type Config struct {
	Log     *reqlog.Log  // requests to models
	AppLog  *reqlog.Apps // requests to apps
	Sources Sources
	// Owned reports whether a request's connection is of the daemon's own user, as far as
	// the kernel reports it.
	Owned func(*http.Request) bool
	// Run returns the name of the run that contains the program at the other end of a
	// request's connection, or ""; nil is never.
	Run    func(*http.Request) string
	Guide  string           // the content of /llms.txt, for coding agents
	Now    func() time.Time // nil is time.Now
	Logger *slog.Logger     // nil discards
}

// Dashboard is the page's handler. It is safe for concurrent use.
type Dashboard struct {
	cfg      Config
	log      *slog.Logger
	sessions *sessions
	spending spending
	mux      *http.ServeMux
	closing  context.Context // ends streams
	end      context.CancelFunc
}

// New returns the page's handler.
func New(cfg Config) (*Dashboard, error) {
	if cfg.Log == nil || cfg.AppLog == nil || cfg.Sources == nil || cfg.Owned == nil {
		return nil, errors.New("dashboard: Log, AppLog, Sources and Owned are required")
	}
	if cfg.Run == nil {
		cfg.Run = func(*http.Request) string { return "" }
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	d := &Dashboard{cfg: cfg, log: cfg.Logger, sessions: newSessions(cfg.Now), mux: http.NewServeMux()}
	d.spending.rows, d.spending.now = cfg.Log, cfg.Now
	d.closing, d.end = context.WithCancel(context.Background())
	d.mux.HandleFunc("GET /{$}", d.page)
	d.mux.HandleFunc("GET /llms.txt", d.guide)
	for name, kind := range assets {
		d.mux.Handle("GET /"+name, newAsset(name, kind))
	}
	d.mux.HandleFunc("POST /session", d.postSession)
	d.mux.HandleFunc("GET /rows", d.withSession(d.rows))
	d.mux.HandleFunc("GET /rows/{id}", d.withSession(d.row))
	d.mux.HandleFunc("GET /parts", d.withSession(d.parts))
	d.mux.HandleFunc("/", d.withSession(func(w http.ResponseWriter, r *http.Request) {
		writeError(w, fault.New(fault.NotFound, "there is nothing at this path"))
	}))
	return d, nil
}

// Close ends all open streams.
func (d *Dashboard) Close() error {
	d.end()
	return nil
}

// Export returns the valid links and sessions, as hashes, for the successor of this daemon,
// so that open tabs keep their sessions.
func (d *Dashboard) Export() json.RawMessage { return d.sessions.export() }

// Import adds the links and sessions of the predecessor's Export.
func (d *Dashboard) Import(data json.RawMessage) error { return d.sessions.adopt(data) }

// NewLink returns the secret of a new link, and its lifetime.
func (d *Dashboard) NewLink() (secret.String, time.Duration) { return d.sessions.newLink(), linkLife }

// ServeHTTP serves one request. The front has checked the Host, and refuse checks it again.
func (d *Dashboard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	protect(w.Header())
	if err := d.refuse(r); err != nil {
		writeError(w, err)
		return
	}
	d.mux.ServeHTTP(w, r)
}

// protect sets the security headers of every response: only the page's own files are loaded,
// no page can frame it, no other origin can read it, and nothing is cached.
func protect(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	h.Set("X-Frame-Options", "DENY")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
}

// refuse checks Host, owner, Origin and Fetch Metadata. Only a top-level navigation that
// opens the page may come from another site.
func (d *Dashboard) refuse(r *http.Request) error {
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	host, _, _ := strings.Cut(r.Host, ":")
	switch {
	case host != Host:
		return fault.New(fault.Forbidden, "this page is at "+Host+" alone")
	case !d.cfg.Owned(r):
		return fault.New(fault.Forbidden, "this page belongs to another user of this machine")
	case r.Method != http.MethodGet && r.Method != http.MethodHead && r.Method != http.MethodPost:
		return fault.New(fault.Method, "this page is read-only")
	}
	for _, origin := range r.Header["Origin"] {
		if origin != scheme+"://"+r.Host {
			return fault.New(fault.Origin, "requests of other pages are refused")
		}
	}
	site, dest := r.Header.Get("Sec-Fetch-Site"), r.Header.Get("Sec-Fetch-Dest")
	if site == "" || site == "same-origin" {
		return nil
	}
	opened := dest == "document" && r.Header.Get("Sec-Fetch-Mode") == "navigate" && (r.URL.Path == "/" || r.URL.Path == "/llms.txt")
	if !opened && (site != "none" || r.Method == http.MethodPost) {
		return fault.New(fault.Origin, "requests of other pages are refused")
	}
	return nil
}

// withSession wraps the handlers of data. Without a session they respond with 401.
func (d *Dashboard) withSession(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if sent := r.Header[sessionHeader]; len(sent) != 1 || !d.sessions.valid(sent[0]) {
			writeError(w, &fault.Error{Kind: fault.Unauthenticated, Message: "there is no session, or it has ended", Next: "hostless dashboard"})
			return
		}
		next(w, r)
	}
}

// postSession exchanges a link for a session.
func (d *Dashboard) postSession(w http.ResponseWriter, r *http.Request) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		writeError(w, fault.New(fault.Invalid, "the body must be JSON"))
		return
	}
	var body struct{ Link string }
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 4<<10))
	if err != nil || json.Unmarshal(data, &body) != nil {
		writeError(w, fault.New(fault.Invalid, `the body must be {"link": "…"}`))
		return
	}
	if run := d.cfg.Run(r); run != "" {
		d.log.Warn("a program inside a run tried to open the page", "run", run)
		writeError(w, &fault.Error{Kind: fault.Forbidden, Message: "a program that `hostless run` started (" + run + ") may not open this page", Next: "hostless dashboard, in a terminal outside of hostless run"})
		return
	}
	session, ok := d.sessions.exchange(body.Link)
	if !ok {
		d.log.Info("a link to the page was refused: it is unknown, expired or already used")
		writeError(w, &fault.Error{Kind: fault.Unauthenticated, Message: "this link has already been used, or has expired", Next: "hostless dashboard"})
		return
	}
	writeJSON(w, http.StatusOK, map[string]string{"session": session.Reveal()})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v)
}

func writeError(w http.ResponseWriter, err error) {
	f := fault.From(err)
	if f.Kind == fault.Method {
		w.Header().Set("Allow", "GET, HEAD, POST")
	}
	w.Header().Set("Connection", "close")
	writeJSON(w, f.Kind.Status(), map[string]any{"error": map[string]any{"message": f.Message, "type": f.Kind.Type(), "next": f.Next}})
}
