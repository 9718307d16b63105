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

// maxLine bounds one line of a lease's stream.
const maxLine = 1 << 20

// ErrEvicted is why a lease ended when another took its name by force.
var ErrEvicted = errors.New("another run took the name with --force")

// Lease is a route, and its token, held by an open connection to the daemon.
// It lasts until Close, the end of the context it was made with, or the end of
// the daemon. It is safe for concurrent use.
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

// Lease registers a route that lives as long as the lease and returns once the
// daemon has it. ctx bounds the whole lease, not just its beginning. A client
// whose lease ended with the daemon calls Lease again, with the token of
// Registered in req.Token: its child's token then goes on working.
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
		return fail(&fault.Error{Kind: fault.Internal, Message: "the daemon's answer to a lease cannot be read", Err: err})
	}
	l := &Lease{
		client: c, registered: *first.Registered, cancel: cancel,
		events: make(chan LeaseEvent, 16), done: make(chan struct{}),
	}
	go l.read(ctx, resp.Body, lines)
	return l, nil
}

// read passes the stream's events on until the stream ends.
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

// Registered tells the route, its token and the lease's id.
func (l *Lease) Registered() Registered { return l.registered }

// Events yields the daemon's events and is closed when the lease has ended.
// Whoever holds a lease reads it.
func (l *Lease) Events() <-chan LeaseEvent { return l.events }

// Done is closed when the lease has ended; Err then says why.
func (l *Lease) Done() <-chan struct{} { return l.done }

// Err is nil while the lease lasts and after Close; else ErrEvicted, the
// context's error, or fault.Unreachable when the daemon went: register again.
func (l *Lease) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// Update tells the daemon about the child. It may still be called after an
// eviction, until Close.
func (l *Lease) Update(ctx context.Context, u LeaseUpdate) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	_, err := l.client.Do(ctx, http.MethodPatch, "/routes/lease/"+url.PathEscape(l.registered.LeaseID), u, nil)
	return err
}

// Release ends the lease and returns when the daemon has taken its route and
// token away, at the latest when ctx ends. A lease that is gone already is no
// error. It may be called after the lease's own context has ended.
func (l *Lease) Release(ctx context.Context) error {
	_, err := l.client.Do(ctx, http.MethodDelete, "/routes/lease/"+url.PathEscape(l.registered.LeaseID), nil, nil)
	l.Close()
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	return err
}

// Close ends the lease: the route and its token are gone when the daemon has
// seen the connection close. It waits for the reader to end, and may be called
// twice.
func (l *Lease) Close() error {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.cancel()
	<-l.done
	return nil
}
