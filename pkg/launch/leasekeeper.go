package launch

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/hostless/hostless/pkg/control"
	"github.com/hostless/hostless/pkg/fault"
)

const (
	retryFirst  = 50 * time.Millisecond
	retryMost   = 2 * time.Second
	updateLimit = 2 * time.Second
)

// leaseKeeper keeps a run's route and token alive across restarts of the daemon. Its
// methods are safe for concurrent use.
type leaseKeeper struct {
	client *control.Client
	req    control.RouteRequest
	// events has the daemon's requests, for the supervisor. It is buffered.
	events chan control.LeaseEvent
	// onReacquired is called when the daemon has accepted the route again.
	onReacquired func(control.Registered)
	// onRefused is called with the daemon's error if it does not accept the route, once
	// for each new error.
	onRefused func(error)

	changed chan struct{} // capacity 1: the state must be sent

	mu    sync.Mutex
	lease *control.Lease
	state control.LeaseUpdate
	token control.Secret
	until time.Time // the token's expiry if it is fixed
}

// takeLease registers the route. It does not retry: the user sees the error.
func takeLease(ctx context.Context, client *control.Client, req control.RouteRequest) (*leaseKeeper, error) {
	lease, err := leaseDetached(ctx, client, req)
	if err != nil {
		return nil, err
	}
	h := &leaseKeeper{
		client: client, req: req, lease: lease,
		events: make(chan control.LeaseEvent, 16), changed: make(chan struct{}, 1),
	}
	got := lease.Registered()
	h.state.Port = got.TargetPort
	h.rememberToken(got.Token)
	h.req.AutoToken = got.Token != nil
	return h, nil
}

// rememberToken records the token's scope and expiry, so that no more is requested when
// it is registered again. A restarted daemon may learn of this run before it learns of
// the enclosing one, which limits the scope.
func (h *leaseKeeper) rememberToken(t *control.BoundToken) {
	if t == nil {
		return
	}
	h.token = t.Token
	if t.AllowedProviders != nil { // an older daemon does not send it
		h.req.Scope = t.Scope
	}
	if t.Fixed && h.until.IsZero() {
		h.until = time.Now().Add(time.Duration(t.ExpiresIn) * time.Second)
	}
}

// leaseDetached takes a lease that does not end with ctx, so that the child's exit code
// can still be reported on it. ctx limits only the registration.
func leaseDetached(ctx context.Context, client *control.Client, req control.RouteRequest) (*control.Lease, error) {
	own, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, cancel)
	lease, err := client.Lease(own, req)
	if err != nil {
		cancel()
		return nil, err
	}
	stop()
	return lease, nil
}

// registered returns the route as last confirmed by the daemon.
func (h *leaseKeeper) registered() control.Registered { return h.current().Registered() }

func (h *leaseKeeper) current() *control.Lease {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.lease
}

// update sends an update to the daemon, now or after it is back. Zero fields are not
// changed; of several states only the last is sent.
func (h *leaseKeeper) update(u control.LeaseUpdate) {
	h.mu.Lock()
	if u.Port != 0 {
		h.state.Port = u.Port
	}
	if u.PID != 0 {
		h.state.PID = u.PID
	}
	if u.State != "" {
		h.state.State, h.state.Exit, h.state.Log = u.State, u.Exit, nil
	}
	if u.Log != nil {
		h.state.Log = u.Log
	}
	h.mu.Unlock()
	select {
	case h.changed <- struct{}{}:
	default:
	}
}

// run holds the lease until ctx ends, then sends the last state and releases the lease,
// and returns.
func (h *leaseKeeper) run(ctx context.Context) {
	for {
		lease := h.current()
		err := h.hold(ctx, lease)
		if ctx.Err() != nil {
			h.sendState(context.WithoutCancel(ctx), lease, updateLimit/4)
			h.release(ctx, lease)
			return
		}
		lease.Close()
		if errors.Is(err, control.ErrEvicted) || !h.reacquire(ctx) {
			<-ctx.Done()
			h.release(ctx, h.current())
			return
		}
	}
}

// release releases a lease. When it returns the name is free and the token is revoked, so
// that the next command can take the name. A daemon that does not respond notices the
// closed connection.
func (h *leaseKeeper) release(ctx context.Context, lease *control.Lease) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), updateLimit/4)
	defer cancel()
	_ = lease.Release(ctx)
}

// hold sends updates and receives events on one lease until it ends.
func (h *leaseKeeper) hold(ctx context.Context, lease *control.Lease) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-h.changed:
			// Not cancelled with ctx: a cancelled update might still arrive, after the last one.
			h.sendState(context.WithoutCancel(ctx), lease, updateLimit)
		case e, ok := <-lease.Events():
			if !ok {
				return lease.Err()
			}
			select {
			case h.events <- e:
			default: // the buffer is full; the earlier events are enough
			}
		}
	}
}

// sendState sends the state. A daemon that does not accept it gets it again when it is
// back.
func (h *leaseKeeper) sendState(ctx context.Context, lease *control.Lease, limit time.Duration) {
	h.mu.Lock()
	state := h.state
	h.mu.Unlock()
	if state.State == "" {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	_ = lease.Update(ctx, state)
}

// requestAgain returns the request that registers the route again with its current port.
// A token with a fixed expiry keeps it.
func (h *leaseKeeper) requestAgain() control.RouteRequest {
	h.mu.Lock()
	defer h.mu.Unlock()
	req := h.req
	req.Port, req.Reserve, req.Force = h.state.Port, false, false
	req.PID = h.state.PID
	req.Token = h.token
	if !h.until.IsZero() {
		req.TTL = max(1, int64(time.Until(h.until).Seconds()))
	}
	return req
}

// reacquire registers the route again, with the child's port and token, until that
// succeeds or ctx ends.
func (h *leaseKeeper) reacquire(ctx context.Context) bool {
	wait := retryFirst
	lastError := ""
	for {
		req := h.requestAgain()
		// No timeout: a daemon that accepts the connection may respond late.
		lease, err := leaseDetached(ctx, h.client, req)
		if err == nil {
			h.mu.Lock()
			h.lease = lease
			h.rememberToken(lease.Registered().Token)
			h.mu.Unlock()
			select {
			case h.changed <- struct{}{}:
			default:
			}
			h.onReacquired(lease.Registered())
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		if !fault.Is(err, fault.Unreachable) && err.Error() != lastError {
			lastError = err.Error()
			h.onRefused(err)
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(wait + rand.N(wait/4)):
		}
		wait = min(wait*3/2, retryMost)
	}
}
