package daemon

import (
	"net/http"

	"github.com/hostless/hostless/pkg/approval"
)

// pages returns the handler for the paths of bare localhost that are not the AI gateway's.
func (d *daemon) pages() (http.Handler, error) {
	apps := approval.NewHandler(approval.HandlerConfig{
		Queue: d.approvals, Mint: d.mintForApp, Port: func() int { return d.sockets.Port }, Caller: d.caller, Logger: d.log.With("component", "approval"),
	})
	mux := http.NewServeMux()
	mux.Handle("/callback", d.logins)
	mux.Handle("/auth/register", apps)
	mux.Handle("/connect", apps)
	mux.Handle("/connect/wait", apps)
	return mux, serveSDK(mux)
}
