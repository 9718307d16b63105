package daemon

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"runtime"
	"time"

	"github.com/hostless/hostless/pkg/approval"
	"github.com/hostless/hostless/pkg/audit"
	"github.com/hostless/hostless/pkg/config"
	"github.com/hostless/hostless/pkg/control"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/procinfo"
	"github.com/hostless/hostless/pkg/token"
)

// connectName is the name of the tokens that web apps get after an approval.
const connectName = "connect"

// openApprovals creates the queue of the token requests of web apps.
func (d *daemon) openApprovals() error {
	q, found, err := approval.New(approval.Config{
		Path: d.cfg.Paths.Approvals(), Asker: d.asker(), OnDialog: d.auditDialog, Logger: d.log.With("component", "approval"),
	})
	d.approvals = q
	d.warnings.set("approval", found)
	return err
}

// auditDialog writes a decision that the user made in a desktop dialog to the audit log, in
// the form of a decision over the control socket.
func (d *daemon) auditDialog(a approval.Approval, allowed bool) {
	decision := control.DecisionDeny
	if allowed {
		decision = control.DecisionApprove
	}
	err := d.audit.Append(audit.Entry{
		Time: time.Now().UTC(), UID: d.uid, PID: os.Getpid(), Program: "dialog on the desktop", Action: "POST /approvals/" + a.ID + " " + decision, Target: a.ID, Result: "ok",
	})
	if err != nil {
		d.log.Error("a decision cannot be written to the audit log", "id", a.ID, "error", err)
	}
}

// asker returns the user's desktop, unless dialogs are turned off.
func (d *daemon) asker() approval.Asker {
	return settingAsker{&approval.Desktop{GOOS: runtime.GOOS, Getenv: d.cfg.Getenv}, d.settings.ApprovalDialog}
}

type settingAsker struct {
	approval.Asker
	on func() bool
}

func (a settingAsker) Available(ctx context.Context) bool { return a.on() && a.Asker.Available(ctx) }

// mintForApp creates the token of an approved request.
func (d *daemon) mintForApp(ctx context.Context, origin string, t approval.Terms) (approval.Minted, error) {
	m, err := d.tokens.MintForOrigin(ctx, token.Request{Origin: origin, Name: connectName, Scope: t.Scope, RateLimit: t.RateLimit, TTL: t.TTL})
	return approval.Minted{Secret: m.Secret, ExpiresIn: m.ExpiresIn}, err
}

// caller returns the program that sent a request over TCP, and the run that contains it.
func (d *daemon) caller(r *http.Request) (process, run string) {
	pid, program := sender(r)
	if pid == 0 {
		return "", ""
	}
	return approval.ProcessName(program, pid), d.control.RunOf(pid)
}

// sender returns the process at the other end of a request's connection, or 0 if the
// kernel does not report it.
func sender(r *http.Request) (pid int, program string) {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		return 0, ""
	}
	near, err1 := netip.ParseAddrPort(local.String())
	far, err2 := netip.ParseAddrPort(r.RemoteAddr)
	if err1 != nil || err2 != nil {
		return 0, ""
	}
	pid, program, err := procinfo.SocketHolder(far, near)
	if err != nil || pid == os.Getpid() {
		return 0, ""
	}
	return pid, program
}

// controlApprovals adapts the queue to control.Approvals.
type controlApprovals struct {
	queue  *approval.Queue
	tokens *token.Store
}

func (c controlApprovals) Pending(context.Context) ([]control.Approval, error) {
	var out []control.Approval
	for _, a := range c.queue.Pending() {
		out = append(out, control.Approval{
			ID: a.ID, Origin: a.Origin, Callback: a.Callback, Scope: scope(a.Scope, a.RateLimit), Process: a.Process, Run: a.Run,
			CreatedAt: a.CreatedAt.UTC(), ExpiresAt: a.ExpiresAt.UTC(),
		})
	}
	return out, nil
}

func (c controlApprovals) Decide(_ context.Context, id string, d control.Decision) (control.Decided, error) {
	decision := approval.Decision{
		Approve: d.Decision == control.DecisionApprove, RateLimit: d.RateLimit, TTL: time.Duration(d.TTL) * time.Second,
		Scope: token.Scope{Providers: d.AllowedProviders, Models: d.AllowedModels},
	}
	if !decision.Approve && (d.Remember != "" || d.TTL != 0 || d.RateLimit != 0 || len(d.AllowedModels)+len(d.AllowedProviders) > 0) {
		return control.Decided{}, fault.New(fault.Invalid, "a denial takes no providers, models, limits or remember")
	}
	switch {
	case d.Remember == control.RememberForever:
		decision.Forever = true
	case d.Remember != "":
		remember, err := config.ParseDays(d.Remember)
		if err != nil || remember < time.Second {
			return control.Decided{}, &fault.Error{Kind: fault.Invalid, Message: fmt.Sprintf("remember is a duration such as 720h, or forever, not %.32q", d.Remember), Param: "remember"}
		}
		decision.Remember = remember
	}
	a, t, err := c.queue.Decide(id, decision)
	if err != nil {
		return control.Decided{}, err
	}
	if !decision.Approve {
		return control.Decided{Status: "denied", ID: a.ID, Origin: a.Origin}, nil
	}
	out := control.Decided{
		Status: "approved", ID: a.ID, Origin: a.Origin, Scope: scope(t.Scope, t.RateLimit), TTL: int64(t.TTL / time.Second),
		Remembered: decision.Forever || decision.Remember > 0,
	}
	for _, g := range c.queue.Grants() {
		if out.Remembered && g.Origin == a.Origin {
			out.ExpiresAt = expiry(g.ExpiresAt)
		}
	}
	return out, nil
}

// expiry returns nil for a zero time, which never expires.
func expiry(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

func (c controlApprovals) Grants(context.Context) ([]control.OriginGrant, error) {
	var out []control.OriginGrant
	for _, g := range c.queue.Grants() {
		out = append(out, control.OriginGrant{Origin: g.Origin, Scope: scope(g.Scope, g.RateLimit), ExpiresAt: expiry(g.ExpiresAt)})
	}
	return out, nil
}

func (c controlApprovals) Forget(ctx context.Context, origin string) (bool, error) {
	origin, err := config.NormalizeOrigin(origin)
	if err != nil {
		return false, err
	}
	found, err := c.queue.Forget(origin)
	if err != nil {
		return found, err
	}
	n, err := c.tokens.RevokeOrigin(ctx, origin, connectName)
	return found || n > 0, err
}
