package control

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/hostless/hostless/pkg/fault"
)

const (
	restartWait = time.Minute
	maxAnswer   = 16 << 20         // the largest response that the client reads, in bytes
	suspectWait = 8 * time.Second  // without a response for so long, the client probes the daemon's status, for as long again
	answerWait  = 90 * time.Second // for one response: longer than a prompt of the keychain
)

// Client is a client of the daemon on its control socket. It is safe for concurrent use.
// Its methods and the wire types are the stable API of this package: they change only by
// addition.
//
// Every error is a *fault.Error: the daemon's own with its kind, message and next step, or
// fault.Unreachable with the reason and the command to type.
type Client struct {
	socket  string
	http    *http.Client
	version string
	suspect time.Duration
	raw     *[]byte

	onVersion func(string)
}

// Option configures a Client.
type Option func(*options)

type options struct {
	dial    func(ctx context.Context, socket string) (net.Conn, error)
	version string
	suspect time.Duration

	onVersion func(string)
}

// versionHeader carries the daemon's version.
const versionHeader = "Hostless-Version"

// WithVersionHook makes the client call fn with the daemon's version after each response
// that has it. Several goroutines may call fn at once.
func WithVersionHook(fn func(version string)) Option { return func(o *options) { o.onVersion = fn } }

// WithSuspectAfter replaces the default of 8 s that a request waits before the client
// probes whether the daemon responds at all. The probe has the same timeout.
func WithSuspectAfter(d time.Duration) Option { return func(o *options) { o.suspect = d } }

// WithDialer replaces Dial.
func WithDialer(dial func(ctx context.Context, socket string) (net.Conn, error)) Option {
	return func(o *options) { o.dial = dial }
}

// WithUserAgent sets the User-Agent, as in "hostless/1.0".
func WithUserAgent(agent string) Option { return func(o *options) { o.version = agent } }

// NewClient returns a client of the daemon whose control socket is at the path. It does not
// connect before the first request. Dial describes the conditions for the socket.
func NewClient(socket string, opts ...Option) *Client {
	o := options{dial: Dial, version: "hostless", suspect: suspectWait}
	for _, opt := range opts {
		opt(&o)
	}
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return o.dial(ctx, socket)
		},
		DisableCompression: true,
		MaxIdleConns:       2,
		IdleConnTimeout:    10 * time.Second,
	}
	return &Client{
		socket:  socket,
		version: o.version,
		suspect: o.suspect, onVersion: o.onVersion,
		http: &http.Client{
			Transport:     transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// Socket returns the path of the control socket.
func (c *Client) Socket() string { return c.socket }

// Keep returns a client that also stores each response body, unchanged, in *raw, as --json
// prints it. The returned client must be used by one goroutine at a time.
func (c *Client) Keep(raw *[]byte) *Client {
	kept := *c
	kept.raw = raw
	return &kept
}

// CloseIdle closes idle connections.
func (c *Client) CloseIdle() { c.http.CloseIdleConnections() }

// Do sends one request with body as JSON (no body if nil), decodes the response into out
// (unless nil) and returns the response body unchanged. It returns an error after a while
// if the daemon hangs.
func (c *Client) Do(ctx context.Context, method, path string, body, out any) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	resp, err := c.send(ctx, method, path, body)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, c.unreachable(err)
	}
	if resp.StatusCode >= 400 {
		return raw, decodeError(resp, raw)
	}
	if c.raw != nil {
		*c.raw = raw
	}
	if out != nil {
		if err := json.Unmarshal(raw, out); err != nil {
			return raw, &fault.Error{Kind: fault.Internal, Message: fmt.Sprintf("the daemon's response to %s %s cannot be parsed", method, path), Err: err}
		}
	}
	return raw, nil
}

// send sends one request and returns the response with its body unread.
func (c *Client) send(ctx context.Context, method, path string, body any) (*http.Response, error) {
	var content io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return nil, fmt.Errorf("encode %s %s: %w", method, path, err)
		}
		content = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://hostless"+path, content)
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("User-Agent", c.version)
	stop := c.watch(ctx, &req)
	resp, err := c.http.Do(req)
	stop()
	if err != nil {
		if cause := context.Cause(req.Context()); errors.Is(cause, errUnresponsive) {
			return nil, cause
		}
		return nil, c.unreachable(err)
	}
	if version := resp.Header.Get(versionHeader); version != "" && c.onVersion != nil {
		c.onVersion(version)
	}
	return resp, nil
}

// errUnresponsive is wrapped by the error for a socket on which a daemon listens that does
// not respond, or a service manager that cannot start one.
var errUnresponsive = errors.New("no answer to a status request")

// watch cancels a request if the daemon does not respond at all. Some responses take long
// because the user is asked, but then the probe still gets its response. stop ends the
// watch.
func (c *Client) watch(ctx context.Context, req **http.Request) (stop func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	*req = (*req).WithContext(ctx)
	timer := time.AfterFunc(c.suspect, func() {
		if err := c.probe(ctx); err != nil && ctx.Err() == nil {
			cancel(&fault.Error{
				Kind: fault.Unreachable, Message: fmt.Sprintf("the daemon at %s does not answer: it hangs, or its service cannot start it", c.socket),
				Next: "hostless service status, and hostless logs", Err: errors.Join(errUnresponsive, err),
			})
		}
	})
	return func() { timer.Stop() }
}

// probe requests the daemon's status on a new connection.
func (c *Client) probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.suspect)
	defer cancel()
	transport, ok := c.http.Transport.(*http.Transport)
	if !ok {
		return nil
	}
	own := &http.Transport{DialContext: transport.DialContext, DisableKeepAlives: true}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://hostless/status", nil)
	if err != nil {
		return err
	}
	resp, err := own.RoundTrip(req)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// unreachable turns a transport's error into one for users. A context's error is not
// changed.
func (c *Client) unreachable(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return &fault.Error{Kind: fault.Unreachable, Message: fmt.Sprintf("the daemon at %s did not answer in time", c.socket), Next: "hostless logs", Err: err}
	}
	var f *fault.Error
	if errors.As(err, &f) {
		return f
	}
	return diagnose(c.socket, err)
}

// decodeError returns the daemon's error from the response.
func decodeError(resp *http.Response, raw []byte) error {
	var body wireError
	if json.Unmarshal(raw, &body) != nil || body.Error.Message == "" {
		return &fault.Error{Kind: fault.KindOf(resp.StatusCode, ""), Message: fmt.Sprintf("the daemon answered %s", resp.Status)}
	}
	return body.Error.fault(resp.StatusCode)
}

func (b errorBody) fault(status int) *fault.Error {
	return &fault.Error{
		Kind: fault.KindOf(status, b.Type), Message: b.Message, Next: b.Next, Code: b.Code, Param: b.Param,
		RetryAfter: time.Duration(b.RetryAfter) * time.Second,
	}
}

// Status returns the daemon's status.
func (c *Client) Status(ctx context.Context) (s Status, err error) {
	_, err = c.Do(ctx, http.MethodGet, "/status", nil, &s)
	return s, err
}

// Stop tells an unsupervised daemon to shut down gracefully. It does not wait for its end.
func (c *Client) Stop(ctx context.Context) error {
	_, err := c.Do(ctx, http.MethodPost, "/stop", nil, nil)
	return err
}

// Restart tells the daemon to start a successor and waits until another process responds on
// the control socket, for at most a minute.
func (c *Client) Restart(ctx context.Context) (Restarted, error) {
	ctx, cancel := context.WithTimeout(ctx, restartWait)
	defer cancel()
	var r Restarted
	before, err := c.Status(ctx)
	if err != nil {
		return r, err
	}
	if _, err := c.Do(ctx, http.MethodPost, "/restart", nil, &r); err != nil {
		return r, err
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		c.CloseIdle()
		s, err := c.Status(ctx)
		if err == nil && s.PID != before.PID {
			r.PID = s.PID
			return r, nil
		}
		select {
		case <-ctx.Done():
			return r, cmp.Or(err, ctx.Err())
		case <-tick.C:
		}
	}
}

// Reload tells the daemon to read its settings and keys again.
func (c *Client) Reload(ctx context.Context) error {
	_, err := c.Do(ctx, http.MethodPost, "/reload", nil, nil)
	return err
}

// CreateToken mints a bridge token.
func (c *Client) CreateToken(ctx context.Context, req TokenRequest) (t Token, err error) {
	_, err = c.Do(ctx, http.MethodPost, "/auth/token", req, &t)
	return t, err
}

// RefreshToken extends a token, given whole or by its prefix.
func (c *Client) RefreshToken(ctx context.Context, ref Secret) (r Refreshed, err error) {
	_, err = c.Do(ctx, http.MethodPost, "/auth/refresh", TokenRef{ref}, &r)
	return r, err
}

// RevokeToken revokes a token, given whole or by its prefix, and ends its streams.
func (c *Client) RevokeToken(ctx context.Context, ref Secret) (o Outcome, err error) {
	_, err = c.Do(ctx, http.MethodPost, "/auth/revoke", TokenRef{ref}, &o)
	return o, err
}

// Tokens lists the live tokens.
func (c *Client) Tokens(ctx context.Context) (l TokenList, err error) {
	_, err = c.Do(ctx, http.MethodGet, "/auth/tokens", nil, &l)
	return l, err
}

// Routes lists the routes.
func (c *Client) Routes(ctx context.Context) (l RouteList, err error) {
	_, err = c.Do(ctx, http.MethodGet, "/routes", nil, &l)
	return l, err
}

// Register adds a permanent route, or one that belongs to a process.
func (c *Client) Register(ctx context.Context, req RouteRequest) (r Registered, err error) {
	_, err = c.Do(ctx, http.MethodPost, "/routes/register", req, &r)
	return r, err
}

// Deregister removes a route.
func (c *Client) Deregister(ctx context.Context, name RouteName) (r Removed, err error) {
	_, err = c.Do(ctx, http.MethodPost, "/routes/deregister", name, &r)
	return r, err
}

// Origins lists the allowed origins.
func (c *Client) Origins(ctx context.Context) (l OriginList, err error) {
	_, err = c.Do(ctx, http.MethodGet, "/origins", nil, &l)
	return l, err
}

// AddOrigin allows an origin.
func (c *Client) AddOrigin(ctx context.Context, origin string) (l OriginList, err error) {
	_, err = c.Do(ctx, http.MethodPut, "/origins", OriginRequest{origin}, &l)
	return l, err
}

// RemoveOrigin removes an allowed origin.
func (c *Client) RemoveOrigin(ctx context.Context, origin string) (l OriginList, err error) {
	_, err = c.Do(ctx, http.MethodDelete, "/origins", OriginRequest{origin}, &l)
	return l, err
}

// Config returns the settings.
func (c *Client) Config(ctx context.Context) (v ConfigValues, err error) {
	_, err = c.Do(ctx, http.MethodGet, "/config", nil, &v)
	return v, err
}

// SetConfig changes settings by their names. A null value resets one to its default.
func (c *Client) SetConfig(ctx context.Context, values ConfigValues) (v ConfigValues, err error) {
	_, err = c.Do(ctx, http.MethodPatch, "/config", values, &v)
	return v, err
}
