package approval

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/hostless/hostless/pkg/config"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/secret"
)

// Minted is a bridge token made for an app.
type Minted struct {
	Secret    secret.String
	ExpiresIn time.Duration
}

// HandlerConfig configures a Handler. Queue, Mint and Port are required.
type HandlerConfig struct {
	Queue *Queue
	// Mint makes a token bound to an origin.
	Mint func(ctx context.Context, origin string, t Terms) (Minted, error)
	Port func() int // the daemon's TCP port
	// Caller returns the process that sent a request, and the name of the `hostless run`
	// that it is a descendant of, where the kernel tells them; nil means unknown.
	Caller func(*http.Request) (process, run string)
	Logger *slog.Logger // nil discards
}

// Handler serves POST /auth/register, GET /connect and GET /connect/wait. It sets no CORS
// headers; those are left to the caller.
type Handler struct {
	cfg HandlerConfig
	mux *http.ServeMux
}

// NewHandler returns a Handler.
func NewHandler(cfg HandlerConfig) *Handler {
	if cfg.Caller == nil {
		cfg.Caller = func(*http.Request) (string, string) { return "", "" }
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	h := &Handler{cfg: cfg, mux: http.NewServeMux()}
	h.mux.HandleFunc("/auth/register", only(http.MethodPost, h.register))
	h.mux.HandleFunc("/connect", only(http.MethodGet, h.connect))
	h.mux.HandleFunc("/connect/wait", only(http.MethodGet, h.wait))
	return h
}

// ServeHTTP serves one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.mux.ServeHTTP(w, r) }

func only(method string, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method != method {
			w.Header().Set("Allow", method)
			writeError(w, fault.New(fault.Method, fmt.Sprintf("method %.16s is not allowed for this path: use %s", r.Method, method)))
			return
		}
		next(w, r)
	}
}

// register serves POST /auth/register.
func (h *Handler) register(w http.ResponseWriter, r *http.Request) {
	req, err := h.readRegistration(w, r)
	if err != nil {
		writeError(w, err)
		return
	}
	v, err := h.cfg.Queue.Register(r.Context(), req, preferredWait(r.Header))
	if err != nil {
		writeError(w, err)
		return
	}
	switch v.State {
	case denied:
		writeJSON(w, http.StatusForbidden, map[string]any{"error": "User denied access"})
	case pending:
		writeJSON(w, http.StatusForbidden, map[string]any{
			"error": fmt.Sprintf("Nobody has answered yet. In a terminal, `hostless approvals` shows the request and `hostless approve %s` allows it; then ask again", v.ID),

			"approval_id": v.ID, "command": "hostless approve " + v.ID, "expires_in": int(approvable / time.Second),
		})
	default:
		h.grant(w, r, req, v.Terms)
	}
}

// readRegistration reads and checks the request. A browser must send JSON: any page can
// submit a form across origins without a preflight, but not JSON.
func (h *Handler) readRegistration(w http.ResponseWriter, r *http.Request) (Request, error) {
	origins := r.Header["Origin"]
	if len(origins) > 1 {
		return Request{}, fault.New(fault.Origin, "more than one Origin was sent")
	}
	if fromBrowser(r) {
		if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
			return Request{}, invalid("content-type", "a page must send Content-Type: application/json")
		}
		if mode := r.Header.Get("Sec-Fetch-Mode"); mode == "navigate" || mode == "websocket" {
			return Request{}, fault.New(fault.Forbidden, "this endpoint is for fetch, not for navigation")
		}
	}
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return Request{}, fault.New(fault.TooLarge, fmt.Sprintf("the request body is longer than %d bytes", maxBody))
	}
	if err != nil {
		return Request{}, fault.New(fault.Invalid, "the request body cannot be read")
	}
	req, err := parseBody(data)
	if err != nil {
		return Request{}, err
	}
	if len(origins) == 1 {
		if own, err := config.NormalizeOrigin(origins[0]); err != nil || own != req.Origin {
			return Request{}, &fault.Error{Kind: fault.Origin, Message: "origin differs from the Origin header of the request", Param: "origin"}
		}
	}
	req.Process, req.Run = h.cfg.Caller(r)
	return req, nil
}

// fromBrowser reports whether a request has headers that only browsers add.
func fromBrowser(r *http.Request) bool {
	return len(r.Header["Origin"]) > 0 || len(r.Header["Sec-Fetch-Site"]) > 0 || len(r.Header["Sec-Fetch-Mode"]) > 0
}

// preferredWait reads how long the client wants to wait from Prefer: wait (RFC 7240,
// section 4.3).
func preferredWait(h http.Header) time.Duration {
	for _, value := range h["Prefer"] {
		for part := range strings.SplitSeq(value, ",") {
			name, text, _ := strings.Cut(strings.TrimSpace(part), "=")
			if n, err := strconv.ParseUint(strings.Trim(text, `"`), 10, 16); err == nil && strings.EqualFold(name, "wait") {
				return time.Duration(n) * time.Second
			}
		}
	}
	return 0
}

// grant mints the token and sends it to the app, in the body or in the fragment of its
// callback.
func (h *Handler) grant(w http.ResponseWriter, r *http.Request, req Request, t Terms) {
	minted, err := h.cfg.Mint(r.Context(), req.Origin, t)
	if err != nil {
		h.cfg.Logger.Error("cannot make an app's token", "origin", req.Origin, "error", err)
		writeError(w, err)
		return
	}
	port, expires := h.cfg.Port(), int64(minted.ExpiresIn/time.Second)
	local := localURL(r, port)
	if req.Callback == "" {
		writeJSON(w, http.StatusOK, map[string]any{
			"port": port, "local_url": local, "token": minted.Secret.Reveal(), "state": req.State, "expires_in": expires,
		})
		return
	}
	query := url.Values{"port": {strconv.Itoa(port)}, "local_url": {local}, "expires_in": {strconv.FormatInt(expires, 10)}}
	if req.State != "" {
		query.Set("state", req.State)
	}
	redirect(w, withQuery(req.Callback, query)+"#token="+url.QueryEscape(minted.Secret.Reveal()))
}

// localURL returns the gateway's URL with the scheme of the request.
func localURL(r *http.Request, port int) string {
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	return fmt.Sprintf("%s://localhost:%d", scheme, port)
}

// withQuery adds parameters to a callback's query, replacing those with the same names.
func withQuery(callback string, add url.Values) string {
	base, old, _ := strings.Cut(callback, "?")
	var parts []string
	for part := range strings.SplitSeq(old, "&") {
		name, _, _ := strings.Cut(part, "=")
		if name, err := url.QueryUnescape(name); err == nil && part != "" && name != "port" && name != "local_url" && name != "state" && name != "expires_in" {
			parts = append(parts, part)
		}
	}
	for _, name := range []string{"port", "local_url", "state", "expires_in"} {
		if add.Has(name) {
			parts = append(parts, name+"="+url.QueryEscape(add.Get(name)))
		}
	}
	return base + "?" + strings.Join(parts, "&")
}

func redirect(w http.ResponseWriter, location string) {
	h := w.Header()
	h.Set("Location", location)
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	w.WriteHeader(http.StatusSeeOther)
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v)
}

// writeError writes an error in the error envelope of the AI gateway.
func writeError(w http.ResponseWriter, err error) {
	f := fault.From(err)
	if f.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.FormatInt(int64((f.RetryAfter+time.Second-1)/time.Second), 10))
	}
	nullable := func(s string) any {
		if s == "" {
			return nil
		}
		return s
	}
	message := f.Message
	if f.Next != "" {
		message += " (" + f.Next + ")"
	}
	writeJSON(w, f.Kind.Status(), map[string]any{"error": map[string]any{
		"message": message, "type": f.Kind.Type(), "param": nullable(f.Param), "code": nullable(f.Code),
	}})
}
