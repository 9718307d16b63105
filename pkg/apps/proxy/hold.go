package proxy

import (
	"context"
	"errors"
	"syscall"
	"time"

	"github.com/hostless/hostless/pkg/apps/http1"
	"github.com/hostless/hostless/pkg/apps/routes"
)

const (
	pageAfter = time.Second           // before a browser is shown that an app starts
	retryWait = 40 * time.Millisecond // between attempts to reach an app that starts
	maxHold   = 2 * time.Minute       // whatever an app took before
)

// hold calls try, and again while it fails since an app that is expected to listen
// soon does not accept connections. It gives up after limit, or twice the time that
// the app took to start before where limit is Config.Hold.
func (h *Handler) hold(ctx context.Context, x *exchange, limit time.Duration, try func() error) error {
	err := try()
	if !h.expected(x.route, err) {
		if err == nil {
			x.route.Reached()
		}
		return err
	}
	if limit == h.cfg.Hold {
		limit = min(max(limit, 2*h.cfg.Table.StartTime(x.route.Name)), max(limit, maxHold))
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	look := time.NewTicker(retryWait)
	defer look.Stop()
	for h.expected(x.route, err) {
		select {
		case <-ctx.Done():
			return err
		case <-h.closing.Done():
			return err
		case <-look.C:
		}
		if x.route.CurrentState() == routes.StateIdle { // it came to rest meanwhile
			x.route.Start()
		}
		x.Target = x.route.CurrentTarget()
		if err = try(); err == nil {
			x.route.Reached()
		}
	}
	return err
}

// expected reports whether err is that of an app which will accept connections
// soon: that of a run which starts, or which lives and refuses connections since
// no longer than Config.Hold, as while a watcher restarts it.
func (h *Handler) expected(rt *routes.Entry, err error) bool {
	var dial *http1.DialError
	switch {
	case !errors.As(err, &dial):
		return false
	case rt.Starting():
		return true
	case rt.CurrentState() != routes.StateListening || !rt.Alive() || !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, syscall.ENOENT):
		return false
	}
	return h.cfg.Now().Sub(rt.Refused(h.cfg.Now())) < h.cfg.Hold
}
