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
	"github.com/hostless/hostless/pkg/provider"
)

// Tokens lets callers in; *token.Store is one.
type Tokens = access.Tokens

// Credential is what the user stored for a provider.
type Credential = pipeline.Credential

// Keys are the stored credentials.
type Keys interface {
	// Get gives a provider's credential by its canonical name. ok is false where
	// nothing is stored; an error is a fault such as fault.Locked.
	Get(ctx context.Context, provider string) (cred Credential, ok bool, err error)
	// Stored names the providers that something is stored for, sorted. An error
	// says that this cannot be known now: callers must not take it for none.
	Stored() ([]string, error)
}

// Settings are what config.json says to the gateway. The zero value is the
// default of each.
type Settings struct {
	StreamUsageOff bool                // never ask providers for the usage of a stream
	EchoOff        bool                // the built-in provider does not exist
	Origins        []string            // the origins list, normalised
	Models         map[string][]string // per provider, where it has no live list, and for routing
	OllamaModels   []OllamaModel       // ollama_api_models: further models for Ollama's lists
}

// OllamaModel is a model that config.json adds to Ollama's lists.
type OllamaModel struct {
	Name         string   // as a caller names it: provider/id
	Context      int      // the most tokens of a prompt; 0 is as known
	Capabilities []string // nil is as known
}

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
	// stored credential of its provider; nil uses that one as it is.
	Planner func(own pipeline.Planner) pipeline.Planner
	// Admitters are asked in order, before the token's own rate limit.
	Admitters []pipeline.Admitter
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

// catalogue is the one that is built in; no other is configurable.
func catalogue() *provider.Catalogue { return provider.Default() }
