package control

import (
	"encoding/json"
	"time"

	"github.com/hostless/hostless/pkg/secret"
)

// Secret is a secret that is sent over the control socket. fmt and slog redact it like any
// secret.String; only JSON has its text. Only wire types contain it.
type Secret struct{ secret.String }

// NewSecret returns a Secret with the text.
func NewSecret(text string) Secret { return Secret{secret.New(text)} }

// MarshalText returns the text itself, unlike secret.String.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.Reveal()), nil }

// Status is the response to GET /status.
type Status struct {
	Version     string           `json:"version"`
	PID         int              `json:"pid"`
	Port        int              `json:"port"`
	TLS         bool             `json:"tls"`
	Web         bool             `json:"web"` // whether ports 80 and, with TLS, 443 are served too
	StartedAt   time.Time        `json:"started_at"`
	Activation  string           `json:"activation"`   // systemd, launchd or self
	IdleTimeout int64            `json:"idle_timeout"` // seconds; 0 is never
	Routes      int              `json:"routes"`
	Tokens      int              `json:"tokens"`
	Providers   []ProviderStatus `json:"providers"`
	InFlight    int              `json:"in_flight"`
	Killed      bool             `json:"killed"`        // all AI traffic is stopped
	URL         string           `json:"url,omitempty"` // the gateway's address on bare localhost
	Home        string           `json:"home,omitempty"`
	Binary      string           `json:"binary,omitempty"`            // the path of the daemon's program
	Persistence string           `json:"token_persistence,omitempty"` // off, file or keychain: the value in use
	DevMode     bool             `json:"dev_mode,omitempty"`
	Warnings    []string         `json:"warnings,omitempty"` // what is degraded, a sentence each
}

// Restarted is the response to POST /restart: the daemon with this process id takes over.
type Restarted struct {
	Status string `json:"status"` // restarting
	PID    int    `json:"pid"`
}

// ProviderStatus is a provider of which the daemon has a key or base URL.
type ProviderStatus struct {
	Provider string `json:"provider"`
	BaseURL  string `json:"base_url"`
	Storage  string `json:"storage"`
	Locked   bool   `json:"locked"`
}

// Scope is what a bridge token may use; empty lists mean everything.
type Scope struct {
	AllowedProviders []string `json:"allowed_providers"`
	AllowedModels    []string `json:"allowed_models"`
	RateLimit        int      `json:"rate_limit"` // requests per hour; 0 is unlimited
}

// TokenRequest is the body of POST /auth/token.
type TokenRequest struct {
	Origin string `json:"origin,omitempty"` // exact, or "*" (the default)
	Name   string `json:"name,omitempty"`
	TTL    int64  `json:"ttl,omitempty"` // seconds; 0 is the default, a day
	MCP    bool   `json:"mcp,omitempty"` // only for the MCP server at /mcp, and no model
	Scope
}

// Token is the response to POST /auth/token: the only time that the whole token is shown.
type Token struct {
	Token     Secret `json:"token"`
	Origin    string `json:"origin"`
	Name      string `json:"name"`
	ExpiresIn int64  `json:"expires_in"`    // seconds
	MCP       bool   `json:"mcp,omitempty"` // only for /mcp
	Scope
}

// TokenRef is the body of POST /auth/refresh and /auth/revoke: a whole token or
// a unique prefix of at least sk_local_ and eight characters.
type TokenRef struct {
	Token Secret `json:"token"`
}

// Refreshed is the response to POST /auth/refresh.
type Refreshed struct {
	Status    string `json:"status"` // "refreshed"
	ExpiresIn int64  `json:"expires_in"`
}

// Outcome is the response to requests whose only result is that they were done.
type Outcome struct {
	Status string `json:"status"`
}

// TokenInfo is one row of GET /auth/tokens.
type TokenInfo struct {
	Prefix    string `json:"token_prefix"`
	Origin    string `json:"origin"`
	AppName   string `json:"app_name"`
	ExpiresIn int64  `json:"expires_in_secs"`
	MCP       bool   `json:"mcp,omitempty"` // only for /mcp
	Scope
}

// TokenList is the response to GET /auth/tokens.
type TokenList struct {
	Tokens []TokenInfo `json:"tokens"`
}

// RouteRequest is the body of POST /routes/register and POST /routes/lease.
// Port or Target is where it leads. With Reserve and without Port the daemon chooses a
// free port, reserves it for this route and returns it in the response.
type RouteRequest struct {
	Name       string `json:"name"`
	Port       int    `json:"port,omitempty"`
	Target     string `json:"target,omitempty"`      // host:port, http(s)://…, unix:PATH
	PID        int    `json:"pid,omitempty"`         // the owner; the name is free when it ends
	Reserve    bool   `json:"reserve,omitempty"`     // choose and reserve a port
	Force      bool   `json:"force,omitempty"`       // take the name from its current owner
	KeepHost   bool   `json:"keep_host,omitempty"`   // send the client's Host to a URL target
	Insecure   bool   `json:"insecure,omitempty"`    // do not verify the target's certificate
	Wildcard   bool   `json:"wildcard,omitempty"`    // serve every name below this one too
	PathPrefix string `json:"path_prefix,omitempty"` // serve only paths below it
	Alias      bool   `json:"alias,omitempty"`       // a permanent route that the user has named
	Lazy       bool   `json:"lazy,omitempty"`        // lease: started by the first request
	Command    string `json:"command,omitempty"`     // the command line, for pages and errors
	Directory  string `json:"directory,omitempty"`   // its working directory, for pages and errors
	Output     string `json:"output,omitempty"`      // lease: where the app's output is: terminal, log

	AutoToken bool   `json:"auto_token,omitempty"` // create a bridge token bound to the app
	Token     Secret `json:"token,omitzero"`       // lease: restore this token
	TTL       int64  `json:"ttl,omitempty"`        // seconds; 0 is the default
	Scope
}

// Where the output of a leased app is, for pages. "" is any other place.
const (
	OutputTerminal = "terminal" // the terminal in which it was started
	OutputLog      = "log"      // the log that `hostless logs NAME` shows
)

// BoundToken is the bridge token of a route.
type BoundToken struct {
	Token     Secret `json:"token"`
	Origin    string `json:"origin"`
	ExpiresIn int64  `json:"expires_in"`
	// Scope is the token's scope, which may be narrower than the requested one.
	Scope
	// Fixed means that the token expires after ExpiresIn, even during its lease.
	Fixed bool `json:"fixed,omitempty"`
}

// Registered is the response to POST /routes/register and opens a lease's stream.
type Registered struct {
	Hostname   string      `json:"hostname"`
	URL        string      `json:"url"`
	Target     string      `json:"target,omitempty"`
	TargetPort int         `json:"target_port"`
	PID        int         `json:"pid"`
	Token      *BoundToken `json:"token"` // null without auto_token, or if the old one was revoked
	LeaseID    string      `json:"lease_id,omitempty"`
	Resting    string      `json:"resting,omitempty"` // the target of the alias that is suspended while the run holds its name
}

// RouteName is the body of POST /routes/deregister.
type RouteName struct {
	Name       string `json:"name"`
	PathPrefix string `json:"path_prefix,omitempty"`
}

// Removed is the response to POST /routes/deregister.
type Removed struct {
	Removed  bool   `json:"removed"`
	Hostname string `json:"hostname"`
	AppName  string `json:"app_name"`
}

// Route is one row of GET /routes.
type Route struct {
	Hostname   string   `json:"hostname"`
	Target     string   `json:"target"`
	TargetPort int      `json:"target_port"`
	PID        int      `json:"pid"`
	AppName    string   `json:"app_name"`
	URL        string   `json:"url"`
	Hosts      []string `json:"hosts,omitempty"`  // every name of the app, hostname first
	Shares     []Share  `json:"shares,omitempty"` // how it is reachable from outside
	Leased     bool     `json:"leased"`
	State      string   `json:"state,omitempty"` // of a lease: starting, listening, exited, idle
	PathPrefix string   `json:"path_prefix,omitempty"`
	Wildcard   bool     `json:"wildcard,omitempty"`
	KeepHost   bool     `json:"keep_host,omitempty"`
	Insecure   bool     `json:"insecure,omitempty"`
	Command    string   `json:"command,omitempty"`
	Directory  string   `json:"directory,omitempty"`
	Output     string   `json:"output,omitempty"` // of a run: terminal, log
}

// RouteList is the response to GET /routes.
type RouteList struct {
	Routes []Route `json:"routes"`
}

// The states of a leased app, as its client reports them.
const (
	StateStarting  = "starting"
	StateListening = "listening"
	StateExited    = "exited"
	StateIdle      = "idle" // lazy: started by the next request
)

// LeaseUpdate is the body of PATCH /routes/lease/{id}. Absent fields are not changed.
type LeaseUpdate struct {
	Port  int      `json:"port,omitempty"`  // the port that the child opened
	PID   int      `json:"pid,omitempty"`   // the child
	State string   `json:"state,omitempty"` // starting, listening, exited, idle
	Exit  *int     `json:"exit,omitempty"`  // the child's exit code; 128+n after signal n
	Log   []string `json:"log,omitempty"`   // the last lines of its output
}

// The events of a lease's stream.
const (
	EventEvicted = "evicted" // another run took the name with --force: end the tree
	EventStart   = "start"   // a lazy app was requested: start it
	EventStop    = "stop"    // the user stopped the app, or it is idle: end it
	EventLines   = "lines"   // send the last lines of the output
	EventPing    = "ping"    // keepalive of the connection; not passed to the client's caller
)

// LeaseEvent is one line of a lease's stream after the first.
type LeaseEvent struct {
	Event  string `json:"event"`
	Reason string `json:"reason,omitempty"` // a sentence for the user
}

// OriginRequest is the body of PUT and DELETE /origins.
type OriginRequest struct {
	Origin string `json:"origin"`
}

// OriginList is the response to every request for /origins.
type OriginList struct {
	Origins []string      `json:"origins"`
	Grants  []OriginGrant `json:"grants"` // the remembered approvals
}

// ConfigValues is the body of GET and PATCH /config: each setting by its kebab-case name,
// with its JSON value. In a PATCH null resets a setting to its default.
type ConfigValues map[string]json.RawMessage

// wireError is the body of every error response.
type wireError struct {
	Error errorBody `json:"error"`
}

type errorBody struct {
	Message    string `json:"message"`
	Type       string `json:"type"`
	Next       string `json:"next,omitempty"`
	Code       string `json:"code,omitempty"`
	Param      string `json:"param,omitempty"`
	RetryAfter int64  `json:"retry_after,omitempty"` // seconds
}

// leaseLine is one line of a lease's stream, as the client reads it.
type leaseLine struct {
	Registered *Registered `json:"registered"`
	LeaseEvent
}
