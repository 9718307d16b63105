package control

import (
	"cmp"
	"context"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/hostless/hostless/pkg/fault"
)

// Share is one way to reach an app from outside of this machine.
type Share struct {
	URL  string `json:"url"`
	Tool string `json:"tool"` // tailscale, funnel, cloudflared, ngrok; lan is the local network
	PID  int    `json:"pid"`  // of hostless share, or of the run that shares its app
}

// Shared is the response to PUT /shares/{name}.
type Shared struct {
	Live bool   `json:"live"` // the app is still registered
	URL  string `json:"url"`  // where it is now; "" if only a path of its name is
}

// shareLife is how long a share is listed after its last heartbeat.
const shareLife = 5 * time.Second

// shareKey identifies a share of an app: a process may have one for each tool.
type shareKey struct {
	pid  int
	tool string
}

// keptShare is a share with its expiry.
type keptShare struct {
	Share
	until time.Time
}

// putShare records that an app is shared, for shareLife.
func (s *Server) putShare(w http.ResponseWriter, r *http.Request) {
	var share Share
	if err := decode(w, r, &share); err != nil {
		s.fail(w, r, err)
		return
	}
	if u, err := url.Parse(share.URL); err != nil || u.Host == "" || share.PID < 1 {
		s.fail(w, r, fault.New(fault.Invalid, "a share has a url and the pid of hostless share"))
		return
	}
	list, err := s.routes.List(r.Context())
	if err != nil {
		s.fail(w, r, err)
		return
	}
	name, got := r.PathValue("name"), Shared{}
	for _, route := range list {
		if route.AppName != name {
			continue
		}
		got.Live = true
		if route.PathPrefix == "" {
			got.URL = route.URL
		}
	}
	if got.Live {
		s.keepShare(w, name, share)
	}
	answer(w, got)
}

// keepShare records a share. Only its first heartbeat is written to the audit log.
func (s *Server) keepShare(w http.ResponseWriter, name string, share Share) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shares[name] == nil {
		s.shares[name] = map[shareKey]keptShare{}
	}
	key := shareKey{share.PID, share.Tool}
	if _, again := s.shares[name][key]; again {
		if a, ok := w.(*auditWriter); ok {
			a.done = true
		}
	}
	s.shares[name][key] = keptShare{share, time.Now().Add(shareLife)}
}

// deleteShare removes a share of a process, or without a tool all its shares.
func (s *Server) deleteShare(w http.ResponseWriter, r *http.Request) {
	pid, _ := strconv.Atoi(r.URL.Query().Get("pid"))
	tool := r.URL.Query().Get("tool")
	s.mu.Lock()
	maps.DeleteFunc(s.shares[r.PathValue("name")], func(k shareKey, _ keptShare) bool {
		return k.pid == pid && (tool == "" || k.tool == tool)
	})
	s.mu.Unlock()
	answer(w, Outcome{Status: "ended"})
}

// sharesOf returns the shares of a name that have not expired.
func (s *Server) sharesOf(name string) (shares []Share) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, share := range s.shares[name] {
		if time.Now().After(share.until) {
			delete(s.shares[name], key)
			continue
		}
		shares = append(shares, share.Share)
	}
	slices.SortFunc(shares, func(a, b Share) int { return cmp.Or(cmp.Compare(a.Tool, b.Tool), cmp.Compare(a.PID, b.PID)) })
	return shares
}

// KeepShare tells the daemon that an app is shared; the share expires after some seconds.
// The answer tells whether the app is still registered, and where.
func (c *Client) KeepShare(ctx context.Context, name string, share Share) (got Shared, err error) {
	_, err = c.Do(ctx, http.MethodPut, "/shares/"+url.PathEscape(name), share, &got)
	return got, err
}

// EndShare tells the daemon that a process no longer shares an app through a tool.
func (c *Client) EndShare(ctx context.Context, name string, pid int, tool string) error {
	query := url.Values{"pid": {strconv.Itoa(pid)}, "tool": {tool}}
	_, err := c.Do(ctx, http.MethodDelete, "/shares/"+url.PathEscape(name)+"?"+query.Encode(), nil, &Outcome{})
	return err
}
