package control

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/hostless/hostless/pkg/fault"
)

// Approvals is what the server needs of the token requests of web apps.
type Approvals interface {
	// Pending lists the requests that wait for a decision.
	Pending(ctx context.Context) ([]Approval, error)
	// Decide decides a request. The error is fault.NotFound if there is none of that id,
	// and fault.Invalid for a scope wider than the requested one.
	Decide(ctx context.Context, id string, d Decision) (Decided, error)
	// Grants lists the remembered approvals.
	Grants(ctx context.Context) ([]OriginGrant, error)
	// Forget removes the remembered approval of an origin and revokes its tokens. It
	// reports whether there was any.
	Forget(ctx context.Context, origin string) (bool, error)
}

// Approval is one row of GET /approvals.
type Approval struct {
	ID       string `json:"id"`
	Origin   string `json:"origin"`
	Callback string `json:"callback"`
	Scope
	Process   string    `json:"process"` // the calling program and its pid, "" if the kernel does not report it
	Run       string    `json:"run,omitempty"`
	CreatedAt time.Time `json:"created_at"`
	ExpiresAt time.Time `json:"expires_at"`
}

// ApprovalList is the response to GET /approvals.
type ApprovalList struct {
	Approvals []Approval `json:"approvals"`
}

// Decision is the body of POST /approvals/{id}. For absent members the request's own values
// apply.
type Decision struct {
	Decision string `json:"decision"` // approve or deny
	Scope
	TTL      int64  `json:"ttl,omitempty"`      // lifetime of the token in seconds; 0 is an hour
	Remember string `json:"remember,omitempty"` // a duration such as "720h", or "forever"
}

// The values of Decision.Decision and Decided.Status.
const (
	DecisionApprove = "approve"
	DecisionDeny    = "deny"
	RememberForever = "forever"
)

// Decided is the response to POST /approvals/{id}: what was allowed.
type Decided struct {
	Status string `json:"status"` // approved or denied
	ID     string `json:"id"`
	Origin string `json:"origin"`
	Scope
	TTL        int64      `json:"ttl,omitempty"` // seconds
	Remembered bool       `json:"remembered"`
	ExpiresAt  *time.Time `json:"expires_at"` // end of the remembered approval; null is never
}

// OriginGrant is a remembered approval of an origin.
type OriginGrant struct {
	Origin string `json:"origin"`
	Scope
	ExpiresAt *time.Time `json:"expires_at"` // null is never
}

func (s *Server) getApprovals(w http.ResponseWriter, r *http.Request) {
	list, err := s.approvals.Pending(r.Context())
	if err != nil {
		s.fail(w, r, err)
		return
	}
	out := ApprovalList{Approvals: []Approval{}}
	for _, a := range list {
		a.Scope = filled(a.Scope)
		out.Approvals = append(out.Approvals, a)
	}
	answer(w, out)
}

func (s *Server) postApproval(w http.ResponseWriter, r *http.Request) {
	var d Decision
	err := decode(w, r, &d)
	if err == nil && d.Decision != DecisionApprove && d.Decision != DecisionDeny {
		err = &fault.Error{Kind: fault.Invalid, Message: "decision is approve or deny", Param: "decision"}
	}
	if err == nil {
		err = checkTTL(d.TTL)
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	decided, err := s.approvals.Decide(r.Context(), r.PathValue("id"), d)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	decided.Scope = filled(decided.Scope)
	answer(w, decided)
}

// originList returns the allowed origins and the remembered approvals.
func (s *Server) originList(ctx context.Context) (OriginList, error) {
	origins, err := s.settings.Origins(ctx)
	list := OriginList{Origins: append([]string{}, origins...), Grants: []OriginGrant{}}
	if err != nil || s.approvals == nil {
		return list, err
	}
	grants, err := s.approvals.Grants(ctx)
	for _, g := range grants {
		g.Scope = filled(g.Scope)
		list.Grants = append(list.Grants, g)
	}
	return list, err
}

// removeOrigin removes an origin from the list, and its remembered approval.
func (s *Server) removeOrigin(ctx context.Context, origin string) error {
	forgot := false
	if s.approvals != nil {
		var err error
		if forgot, err = s.approvals.Forget(ctx, origin); err != nil {
			return err
		}
	}
	err := s.settings.RemoveOrigin(ctx, origin)
	if forgot && fault.Is(err, fault.NotFound) {
		return nil
	}
	return err
}

// Approvals lists the requests of web apps that wait for a decision.
func (c *Client) Approvals(ctx context.Context) (l ApprovalList, err error) {
	_, err = c.Do(ctx, http.MethodGet, "/approvals", nil, &l)
	return l, err
}

// Decide approves or denies a request of a web app.
func (c *Client) Decide(ctx context.Context, id string, d Decision) (out Decided, err error) {
	_, err = c.Do(ctx, http.MethodPost, "/approvals/"+url.PathEscape(id), d, &out)
	return out, err
}
