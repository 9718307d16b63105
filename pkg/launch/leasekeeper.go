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

// leaseKeeper keeps a run's route and token alive over the daemon's restarts.
// Its methods are safe for concurrent use.
type leaseKeeper struct {
	client *control.Client
	req    control.RouteRequest
	// events carries what the daemon asks for. It is buffered; the
	// supervisor reads it.
	events chan control.LeaseEvent
	// again is called when the daemon has the route again.
	onReacquired func(control.Registered)
	// refused is called once for each new reason why it does not take it.
	onRefused func(error)

	changed chan struct{} // capacity 1: the state is to be sent

	mu    sync.Mutex
	lease *control.Lease
	state control.LeaseUpdate
	token control.Secret
	until time.Time // the token's end where it has one of its own
}

// takeLease registers the route, once: what is wrong now is the person's to see.
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

// rememberToken notes what the token is good for: no more is asked for when it is taken
// up again. The daemon that comes back may know of our run before it knows of the
// one that ours is within.
func (h *leaseKeeper) rememberToken(t *control.BoundToken) {
	if t == nil {
		return
	}
	h.token = t.Token
	if t.AllowedProviders != nil { // an older daemon does not say
		h.req.Scope = t.Scope
	}
	if t.Fixed && h.until.IsZero() {
		h.until = time.Now().Add(time.Duration(t.ExpiresIn) * time.Second)
	}
}

// leaseDetached takes a lease that stays when ctx has ended, so that how the child
// ended can still be reported on it; ctx bounds only the taking.
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

// registered tells the route as the daemon last confirmed it.
func (h *leaseKeeper) registered() control.Registered { return h.current().Registered() }

func (h *leaseKeeper) current() *control.Lease {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.lease
}

// update tells the daemon, now or after it has come back. Fields that are zero
// stay as they are; the last state wins.
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

// run holds the lease until ctx ends; then it tells the last state and gives
// the lease up. It returns after that.
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
		if errors.Is(err, control.ErrEvicted) || !h.retake(ctx) {
			<-ctx.Done()
			h.release(ctx, h.current())
			return
		}
	}
}

// release gives a lease up. The name is free, and the token dead, when it returns,
// so that the next command may take the name; a daemon that does not answer
// sees the connection end.
func (h *leaseKeeper) release(ctx context.Context, lease *control.Lease) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), updateLimit/4)
	defer cancel()
	_ = lease.Release(ctx)
}

// hold serves one lease until it ends.
func (h *leaseKeeper) hold(ctx context.Context, lease *control.Lease) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-h.changed:
			// To its end: one that is cancelled may still arrive, after the last one.
			h.sendState(context.WithoutCancel(ctx), lease, updateLimit)
		case e, ok := <-lease.Events():
			if !ok {
				return lease.Err()
			}
			select {
			case h.events <- e:
			default: // the buffer is full: the events before this one are acted on
			}
		}
	}
}

// sendState sends the state; a daemon that does not take it gets it again when
// it has come back.
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

// requestAgain is the request that takes the route up where it is now: a token
// with an end of its own keeps that end.
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

// retake registers again, with the port that the child has and the token that
// it knows, until it works or ctx ends.
func (h *leaseKeeper) retake(ctx context.Context) bool {
	wait := retryFirst
	lastError := ""
	for {
		req := h.requestAgain()
		// A daemon that accepts and never answers is no reason to give up early.
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
