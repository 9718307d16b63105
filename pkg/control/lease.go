package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/hostless/hostless/pkg/fault"
)

// maxLine limits one line of a lease's stream, in bytes.
const maxLine = 1 << 20

// ErrEvicted is the error of a lease whose name another lease took with --force.
var ErrEvicted = errors.New("another run took the name with --force")

// Lease is a route with its token that exists while a connection to the daemon is open. It
// ends with Close, with its context, or with the daemon. It is safe for concurrent use.
type Lease struct {
	client     *Client
	registered Registered
	events     chan LeaseEvent
	cancel     context.CancelFunc
	done       chan struct{}
	mu         sync.Mutex
	closed     bool
	err        error
}

// Lease registers a route for the lifetime of the lease and returns when the daemon has
// confirmed it. ctx applies to the whole lease, not only to the registration. A client
// whose lease ended with the daemon calls Lease again with the token of Registered in
// req.Token, so that its child's token keeps working.
func (c *Client) Lease(ctx context.Context, req RouteRequest) (*Lease, error) {
	ctx, cancel := context.WithCancel(ctx)
	resp, err := c.send(ctx, http.MethodPost, "/routes/lease", req)
	if err != nil {
		cancel()
		return nil, err
	}
	fail := func(err error) (*Lease, error) {
		cancel()
		resp.Body.Close()
		return nil, err
	}
	if resp.StatusCode >= 400 {
		raw, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
		return fail(decodeError(resp, raw))
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(make([]byte, 0, 4096), maxLine)
	if !lines.Scan() {
		return fail(c.unreachable(errors.Join(io.ErrUnexpectedEOF, lines.Err())))
	}
	var first leaseLine
	if err := json.Unmarshal(lines.Bytes(), &first); err != nil || first.Registered == nil {
		return fail(&fault.Error{Kind: fault.Internal, Message: "the daemon's response to a lease cannot be parsed", Err: err})
	}
	l := &Lease{
		client: c, registered: *first.Registered, cancel: cancel,
		events: make(chan LeaseEvent, 16), done: make(chan struct{}),
	}
	go l.read(ctx, resp.Body, lines)
	return l, nil
}

// read forwards the events of the stream until it ends.
func (l *Lease) read(ctx context.Context, body io.Closer, lines *bufio.Scanner) {
	defer close(l.done)
	defer close(l.events)
	defer l.cancel()
	defer body.Close()
	var evicted bool
	for lines.Scan() {
		var line leaseLine
		if json.Unmarshal(lines.Bytes(), &line) != nil || line.Event == "" || line.Event == EventPing {
			continue
		}
		evicted = evicted || line.Event == EventEvicted
		select {
		case l.events <- line.LeaseEvent:
		case <-ctx.Done():
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closed:
	case evicted:
		l.err = ErrEvicted
	case ctx.Err() != nil:
		l.err = context.Cause(ctx)
	default:
		l.err = &fault.Error{Kind: fault.Unreachable, Message: "the daemon ended", Next: startHint, Err: lines.Err()}
	}
}

// Registered returns the route, its token and the lease's id.
func (l *Lease) Registered() Registered { return l.registered }

// Events returns a channel with the daemon's events, which the caller must read. It is
// closed when the lease has ended.
func (l *Lease) Events() <-chan LeaseEvent { return l.events }

// Done returns a channel that is closed when the lease has ended. Err then returns why.
func (l *Lease) Done() <-chan struct{} { return l.done }

// Err returns nil during the lease and after Close, otherwise ErrEvicted, the context's
// error, or fault.Unreachable if the daemon ended; the client should then register again.
func (l *Lease) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// Update sends the state of the child to the daemon. It may also be called after an
// eviction, until Close.
func (l *Lease) Update(ctx context.Context, u LeaseUpdate) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	_, err := l.client.Do(ctx, http.MethodPatch, "/routes/lease/"+url.PathEscape(l.registered.LeaseID), u, nil)
	return err
}

// Release ends the lease and returns when the daemon has removed the route and the token,
// or when ctx ends. It is no error if the lease has already ended. It may be called after
// the lease's own context has ended.
func (l *Lease) Release(ctx context.Context) error {
	_, err := l.client.Do(ctx, http.MethodDelete, "/routes/lease/"+url.PathEscape(l.registered.LeaseID), nil, nil)
	l.Close()
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	return err
}

// Close ends the lease by closing its connection; the daemon then removes the route and the
// token. It waits for the reading goroutine, and may be called twice.
func (l *Lease) Close() error {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.cancel()
	<-l.done
	return nil
}
