package mcp

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/secret"
	"github.com/hostless/hostless/pkg/token"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// Path is the path of the MCP server on the gateway's address.
const Path = "/mcp"

// Limits of one request.
const (
	maxBody   = 1 << 20
	callLimit = 2 * time.Minute
)

// Tokens authenticates clients of Path; *token.Store implements it.
type Tokens interface {
	// VerifyMCP checks a token that was created for Path. For any other, the error is
	// fault.Unauthenticated.
	VerifyMCP(bearer secret.String) (*token.Grant, error)
	// HasMCP reports whether there is such a token.
	HasMCP() bool
}

// HTTPConfig is what NewHTTP needs. Tokens and Source are required.
type HTTPConfig struct {
	Version string
	Tokens  Tokens
	// Source returns where the tools read for the program that sent a request: only what
	// that program could read over the control socket.
	Source func(*http.Request) Source
	Logger *slog.Logger // default discards
}

// HTTP serves the tools at Path, over Streamable HTTP without sessions: each request is
// answered with one JSON document, so that a restart of the daemon loses nothing. It is
// safe for concurrent use.
//
// Bridge tokens are often in web pages. Path therefore only accepts tokens that were
// created for it, which are good for nothing else, and refuses every request of a browser,
// even with such a token. While there is no such token, the path does not exist.
type HTTP struct {
	cfg    HTTPConfig
	server *sdk.StreamableHTTPHandler
}

// NewHTTP returns the handler.
func NewHTTP(cfg HTTPConfig) (*HTTP, error) {
	if cfg.Tokens == nil || cfg.Source == nil {
		return nil, errors.New("mcp: Tokens and Source are required")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	h := &HTTP{cfg: cfg}
	h.server = sdk.NewStreamableHTTPHandler(func(r *http.Request) *sdk.Server {
		s, _ := r.Context().Value(serverKey{}).(*sdk.Server)
		return s
	}, &sdk.StreamableHTTPOptions{Stateless: true, JSONResponse: true, MaxRequestBodyBytes: maxBody, PropagateRequestCancellation: true})
	return h, nil
}

// serverKey is the context key of the server for one request.
type serverKey struct{}

// Before serves Path while there is a token for it. All other requests go to next.
func (h *HTTP) Before(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != Path || !h.cfg.Tokens.HasMCP() {
			next.ServeHTTP(w, r)
			return
		}
		if err := h.serve(w, r); err != nil {
			refuse(w, err)
		}
	})
}

// serve answers one request, or returns why it is refused.
func (h *HTTP) serve(w http.ResponseWriter, r *http.Request) error {
	if err := refuseBrowser(r.Header); err != nil {
		return err
	}
	bearer, err := bearerOf(r.Header)
	if err != nil {
		return err
	}
	grant, err := h.cfg.Tokens.VerifyMCP(bearer)
	if err != nil {
		return err
	}
	if err := grant.Admit(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), callLimit)
	defer cancel()
	ctx, end := grant.Context(ctx)
	defer end()
	h.cfg.Logger.Debug("mcp request", "token", grant.Prefix(), "name", grant.Name())
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	h.server.ServeHTTP(w, r.WithContext(context.WithValue(ctx, serverKey{}, New(h.cfg.Version, h.cfg.Source(r)))))
	return nil
}

// refuseBrowser refuses requests with headers that browsers set and that no page can
// remove: no origin may read this. Sec-Fetch-Mode alone does not count, because Node's
// fetch sends it.
func refuseBrowser(h http.Header) error {
	for name := range h {
		if name == "Origin" || name == "Referer" || name == "Cookie" || strings.HasPrefix(name, "Sec-") && name != "Sec-Fetch-Mode" {
			return fault.New(fault.Origin, "web pages cannot use this path: the request has the header "+name)
		}
	}
	return nil
}

// bearerOf returns the token. It is only accepted in the Authorization header.
func bearerOf(h http.Header) (secret.String, error) {
	sent := h["Authorization"]
	if len(sent) == 1 {
		if scheme, rest, ok := strings.Cut(strings.TrimSpace(sent[0]), " "); ok && strings.EqualFold(scheme, "bearer") {
			return secret.New(strings.TrimSpace(rest)), nil
		}
	}
	return secret.String{}, fault.New(fault.Unauthenticated, token.MessageUnknown)
}

// refuse writes an error.
func refuse(w http.ResponseWriter, err error) {
	f := fault.From(err)
	next := f.Next
	if f.Kind == fault.Unauthenticated || f.Kind == fault.Expired {
		w.Header().Set("WWW-Authenticate", "Bearer")
		next = "hostless token create --mcp"
	}
	if f.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(f.RetryAfter/time.Second)))
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Connection", "close") // its body is not read
	w.WriteHeader(f.Kind.Status())
	json.NewEncoder(w).Encode(map[string]any{"error": map[string]any{"message": f.Message, "type": f.Kind.Type(), "next": next}})
}
