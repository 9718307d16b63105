package gateway

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/hostless/hostless/pkg/gateway/access"
	"github.com/hostless/hostless/pkg/gateway/pipeline"
	"github.com/hostless/hostless/pkg/gateway/plan"
	"github.com/hostless/hostless/pkg/prices"
)

// Tokens verifies bridge tokens. *token.Store implements it.
type Tokens = access.Tokens

// Credential is what the user stored for a provider.
type Credential = pipeline.Credential

// Keys gives access to the stored credentials.
type Keys = plan.Keys

// Settings are the settings of the gateway from config.json.
type Settings = plan.Settings

// OllamaModel is a model that config.json adds to Ollama's lists.
type OllamaModel = plan.OllamaModel

// Config is the configuration for New.
type Config struct {
	Tokens   Tokens          // required
	Keys     Keys            // required
	Settings func() Settings // called for each request, so it must be fast; nil means defaults
	Version  string          // reported by /health

	// DevMode allows requests without a token from processes of Owner that have no Origin
	// or a bare-localhost one.
	DevMode bool
	// Owner reports whether the peer of a request's connection is the user that the daemon
	// runs as; nil means never.
	Owner func(*http.Request) bool
	// Pages serves paths outside of the AI plane: POST /auth/register, for which the
	// gateway handles CORS, and /callback, /connect and the SDK's modules, which set their
	// own CORS headers. If it is nil, they do not exist (404).
	Pages http.Handler

	// Planner wraps the gateway's own planner, which routes a model name to the stored
	// credential of its provider. It is called for each target of an alias. Nil uses the
	// gateway's own planner.
	Planner func(own pipeline.Planner) pipeline.Planner
	// Admitters are called in order, before the rate limit of the token.
	Admitters []pipeline.Admitter
	// Stopped reports whether an Admitter currently refuses all calls, so that providers
	// must not be asked for their model lists either. Nil means never.
	Stopped func() bool
	// Facts returns what is known about a provider's model; nil uses prices.FactsOf. It is
	// called for each request, so it must be fast.
	Facts func(provider, model string) prices.Facts
	// Observers receive the outcome of every call.
	Observers []pipeline.Observer

	Logger *slog.Logger     // nil discards logs
	Now    func() time.Time // nil means time.Now

	// Dial connects to a resolved address; nil uses a net.Dialer. Resolve looks up host
	// names; nil uses the system's resolver.
	Dial    func(ctx context.Context, network, address string) (net.Conn, error)
	Resolve func(ctx context.Context, host string) ([]net.IPAddr, error)
	TLS     *tls.Config // root certificates for providers; nil uses the system's

	ConnectTimeout time.Duration // for the TLS handshake; 0 means 10 s
	HeaderTimeout  time.Duration // how long to wait for a provider's response header; 0 means 15 min
	MaxBody        int64         // limit of a JSON body in bytes; 0 means 64 MiB
	BodyMemory     int64         // limit of all bodies in memory in bytes; 0 means 256 MiB
	BodyWait       time.Duration // how long a body waits for memory before it is refused with 503; 0 means 2 s
}

func (c *Config) withDefaults() error {
	if c.Tokens == nil || c.Keys == nil {
		return fmt.Errorf("gateway: Tokens and Keys are required")
	}
	if c.Settings == nil {
		c.Settings = func() Settings { return Settings{} }
	}
	if c.Facts == nil {
		c.Facts = prices.FactsOf
	}
	if c.Owner == nil {
		c.Owner = func(*http.Request) bool { return false }
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Resolve == nil {
		c.Resolve = net.DefaultResolver.LookupIPAddr
	}
	if c.ConnectTimeout <= 0 {
		c.ConnectTimeout = 10 * time.Second
	}
	if c.HeaderTimeout <= 0 {
		c.HeaderTimeout = 15 * time.Minute
	}
	if c.MaxBody <= 0 {
		c.MaxBody = 64 << 20
	}
	if c.BodyMemory <= 0 {
		c.BodyMemory = 256 << 20
	}
	if c.BodyWait <= 0 {
		c.BodyWait = 2 * time.Second
	}
	return nil
}
