package proxy

import (
	"context"
	"errors"
	"net/http"
	"syscall"
	"time"

	"github.com/hostless/hostless/pkg/apps/errpage"
	"github.com/hostless/hostless/pkg/apps/http1"
	"github.com/hostless/hostless/pkg/apps/routes"
)

const (
	pageAfter = time.Second           // until a browser gets the page for a starting app
	retryWait = 40 * time.Millisecond // between attempts to reach a starting app
	maxHold   = 2 * time.Minute       // upper limit, however long the last start took
)

// hold calls try until it succeeds, fails for good, or the limit has passed. It retries
// only while the app does not accept connections but is expected to soon. The limit is
// Config.Hold, or twice the duration of the app's last start if that is longer, but at
// most maxHold unless Config.Hold is longer. If page reports that a browser asks for a
// page, the limit is at most pageAfter: the page that is then served reloads itself, which
// would lose a submitted form.
func (h *Handler) hold(ctx context.Context, x *exchange, page func() bool, try func() error) error {
	err := try()
	if !h.expected(x.route, err) {
		if err == nil {
			x.route.Reached()
		}
		return err
	}
	limit := h.cfg.Hold
	if limit > pageAfter && page() {
		limit = pageAfter
	} else {
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
		if x.route.CurrentState() == routes.StateIdle { // a lazy app has stopped in the meantime
			x.route.Start()
		}
		x.Target = x.route.CurrentTarget()
		if err = try(); err == nil {
			x.route.Reached()
		}
	}
	return err
}

// isPage reports whether r is a browser's request for a page.
func isPage(r *http.Request) bool {
	return (r.Method == http.MethodGet || r.Method == http.MethodHead) && errpage.WantsHTML(r)
}

// expected reports whether err comes from an app that will accept connections soon: its
// run is starting, or is alive and has refused connections for less than Config.Hold, for
// example while a file watcher restarts it.
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
