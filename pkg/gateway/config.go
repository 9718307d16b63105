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
)

// Tokens lets callers in; *token.Store is one.
type Tokens = access.Tokens

// Credential is what the user stored for a provider.
type Credential = pipeline.Credential

// Keys are the stored credentials.
type Keys = plan.Keys

// Settings are what config.json says to the gateway.
type Settings = plan.Settings

// OllamaModel is a model that config.json adds to Ollama's lists.
type OllamaModel = plan.OllamaModel

// Config is what New needs.
type Config struct {
	Tokens   Tokens          // required
	Keys     Keys            // required
	Settings func() Settings // called for each request that needs it, so cheap; nil for defaults
	Version  string          // what /health tells

	// DevMode lets callers without a token in that are Owner's and have no Origin
	// or a bare-localhost one.
	DevMode bool
	// Owner reports whether the peer of a request's connection is the daemon's
	// own user; nil means that nobody is.
	Owner func(*http.Request) bool
	// Pages serves what is no part of the AI plane: POST /auth/register, which pages
	// of allowed origins may call, and /callback, /connect and the SDK's modules, which
	// answer for their own readability; nil answers 404.
	Pages http.Handler

	// Planner wraps the gateway's own planner, which routes a model's name to the one
	// stored credential of its provider; nil uses that one as it is. It is asked for each
	// target of an alias.
	Planner func(own pipeline.Planner) pipeline.Planner
	// Admitters are asked in order, before the token's own rate limit.
	Admitters []pipeline.Admitter
	// Stopped is whether an Admitter refuses everything, so that providers are not to be
	// asked for their lists of models either; nil is never.
	Stopped func() bool
	// Observers hear of every call.
	Observers []pipeline.Observer

	Logger *slog.Logger     // nil discards
	Now    func() time.Time // nil is time.Now

	// Dial connects to an address, already resolved, in place of the network; nil
	// is a net.Dialer's. Resolve looks names up; nil is the system's.
	Dial    func(ctx context.Context, network, address string) (net.Conn, error)
	Resolve func(ctx context.Context, host string) ([]net.IPAddr, error)
	TLS     *tls.Config // roots for providers; nil is the system's

	ConnectTimeout time.Duration // 10 s where it is 0
	HeaderTimeout  time.Duration // how long a provider may think before its answer begins: 15 min where it is 0
	MaxBody        int64         // the most bytes of a JSON body: 64 MiB where it is 0
	BodyMemory     int64         // the most bytes of all bodies that are held at the same time: 256 MiB where it is 0
	BodyWait       time.Duration // how long a body waits for room in it before 503: 2 s where it is 0
}

func (c *Config) withDefaults() error {
	if c.Tokens == nil || c.Keys == nil {
		return fmt.Errorf("gateway: Tokens and Keys are required")
	}
	if c.Settings == nil {
		c.Settings = func() Settings { return Settings{} }
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
