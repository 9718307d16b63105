package control

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/reqlog"
	"github.com/hostless/hostless/pkg/spend"
)

// RequestList is the response to GET /log.
type RequestList struct {
	Requests []*reqlog.Row `json:"requests"` // newest last
	Dropped  int64         `json:"dropped"`  // rows that this daemon could not write
}

// AppRequestList is the response to GET /log?plane=apps.
type AppRequestList struct {
	Requests []*reqlog.AppRow `json:"requests"` // newest last
	Dropped  int64            `json:"dropped"`  // rows that this daemon could not write
}

// RequestDetail is the response to GET /log/{id}.
type RequestDetail struct {
	Request *reqlog.Row `json:"request"`
	URL     string      `json:"url"` // the URL at which it can be repeated
	// Bodies is null if the log has none.
	Bodies *reqlog.Bodies `json:"bodies"`
}

// appsFor returns the apps whose requests a client may see: those of the runs that contain
// it, or nil for all. It is an error to ask for another app.
func (s *Server) appsFor(r *http.Request, asked string) ([]string, error) {
	above, err := s.enclosingRuns(callerOf(r))
	if err != nil || len(above) == 0 {
		return nil, err
	}
	apps := []string{}
	for _, run := range above {
		apps = append(apps, strings.TrimSuffix(run.hostname, ".localhost"))
	}
	slices.Sort(apps)
	if asked != "" && !slices.Contains(apps, asked) {
		return nil, &fault.Error{Kind: fault.Forbidden, Param: "app",
			Message: "a program that `hostless run` started (" + strings.Join(apps, ", ") + ") may see only the requests of its own app",
			Next:    "type it in a terminal outside of hostless run"}
	}
	return apps, nil
}

// getLog returns the last rows of the request log that match the query. With follow=1 it
// returns one per line, and then each new one.
func (s *Server) getLog(w http.ResponseWriter, r *http.Request) {
	filter, n, err := reqlog.ParseQuery(r.URL.Query(), time.Now())
	if err == nil {
		filter.Apps, err = s.appsFor(r, filter.App)
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	follow := r.URL.Query().Get("follow") == "1"
	if r.URL.Query().Get("plane") == reqlog.PlaneApps {
		s.getAppLog(w, r, n, filter, follow)
		return
	}
	if !follow {
		rows, err := s.requests.Last(n, filter)
		if err != nil {
			s.fail(w, r, err)
			return
		}
		answer(w, RequestList{Requests: append([]*reqlog.Row{}, rows...), Dropped: s.requests.Dropped()})
		return
	}
	s.streamLines(w, r, "request log", func(ctx context.Context, yield func(any) error) error {
		return s.requests.Follow(ctx, n, filter, func(row *reqlog.Row) error { return yield(row) })
	})
}

// getAppLog is getLog for the apps plane.
func (s *Server) getAppLog(w http.ResponseWriter, r *http.Request, n int, filter reqlog.Filter, follow bool) {
	if s.appRows == nil {
		answer(w, AppRequestList{Requests: []*reqlog.AppRow{}})
		return
	}
	if !follow {
		rows, err := s.appRows.Last(n, filter)
		if err != nil {
			s.fail(w, r, err)
			return
		}
		answer(w, AppRequestList{Requests: append([]*reqlog.AppRow{}, rows...), Dropped: s.appRows.Dropped()})
		return
	}
	s.streamLines(w, r, "request log of the apps", func(ctx context.Context, yield func(any) error) error {
		return s.appRows.Follow(ctx, n, filter, func(row *reqlog.AppRow) error { return yield(row) })
	})
}

// getRequest returns one row.
func (s *Server) getRequest(w http.ResponseWriter, r *http.Request) {
	apps, err := s.appsFor(r, "")
	if err != nil {
		s.fail(w, r, err)
		return
	}
	row, err := s.requests.Find(r.PathValue("id"))
	if err == nil && (row == nil || apps != nil && !slices.Contains(apps, row.App)) {
		err = &fault.Error{Kind: fault.NotFound, Message: "no such request in the log", Next: "hostless log"}
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	status, err := s.daemon.Status(r.Context())
	if err != nil {
		s.fail(w, r, err)
		return
	}
	bodies, err := s.requests.BodiesOf(row)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	answer(w, RequestDetail{Request: row, URL: status.URL + (&url.URL{Path: row.Path}).EscapedPath(), Bodies: bodies})
}

// getSpend returns the spend that the request log adds up to.
func (s *Server) getSpend(w http.ResponseWriter, r *http.Request) {
	query, err := spend.Parse(r.URL.Query(), time.Now(), time.Local)
	if err == nil {
		query.Apps, err = s.appsFor(r, "")
	}
	var report spend.Report
	if err == nil {
		report, err = spend.Of(s.requests, query)
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	answer(w, report)
}

// streamLines responds with one line of JSON for each value that follow yields, until
// either side ends the stream.
func (s *Server) streamLines(w http.ResponseWriter, r *http.Request, what string, follow func(context.Context, func(any) error) error) {
	rc := http.NewResponseController(w)
	w.Header().Set("Content-Type", "application/jsonl")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
	rc.Flush()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	if closing, ok := ctx.Value(closingKey).(<-chan struct{}); ok {
		go func() { // ends with ctx
			select {
			case <-closing:
				cancel()
			case <-ctx.Done():
			}
		}()
	}
	err := follow(ctx, func(v any) error {
		line, err := json.Marshal(v)
		if err != nil {
			return err
		}
		rc.SetWriteDeadline(time.Now().Add(writeTimeout)) // not every ResponseWriter supports deadlines
		if _, err := w.Write(append(line, '\n')); err != nil {
			return err
		}
		return rc.Flush()
	})
	if err != nil {
		s.log.Debug("log stream ended", "of", what, "error", err)
	}
}

// Log returns rows of the request log. query is that of GET /log.
func (c *Client) Log(ctx context.Context, query url.Values) (l RequestList, err error) {
	_, err = c.Do(ctx, http.MethodGet, "/log?"+query.Encode(), nil, &l)
	return l, err
}

// AppLog returns rows of the apps plane's log. query is that of GET /log.
func (c *Client) AppLog(ctx context.Context, query url.Values) (l AppRequestList, err error) {
	query.Set("plane", reqlog.PlaneApps)
	_, err = c.Do(ctx, http.MethodGet, "/log?"+query.Encode(), nil, &l)
	return l, err
}

// FollowAppLog is FollowLog for the apps plane.
func (c *Client) FollowAppLog(ctx context.Context, query url.Values, yield func(reqlog.AppRow) error) error {
	query.Set("follow", "1")
	query.Set("plane", reqlog.PlaneApps)
	return followLines(ctx, c, "/log?"+query.Encode(), yield)
}

// FollowLog calls yield with matching rows and then each new one, until ctx ends, yield
// returns an error, or the daemon ends.
func (c *Client) FollowLog(ctx context.Context, query url.Values, yield func(reqlog.Row) error) error {
	query.Set("follow", "1")
	return followLines(ctx, c, "/log?"+query.Encode(), yield)
}

// Request returns one row of the request log.
func (c *Client) Request(ctx context.Context, id string) (d RequestDetail, err error) {
	if _, err = c.Do(ctx, http.MethodGet, "/log/"+url.PathEscape(id), nil, &d); err == nil && d.Request == nil {
		err = errors.New("the daemon's response has no request")
	}
	return d, err
}

// Spend returns the spend report. query is that of GET /spend.
func (c *Client) Spend(ctx context.Context, query url.Values) (r spend.Report, err error) {
	_, err = c.Do(ctx, http.MethodGet, "/spend?"+query.Encode(), nil, &r)
	return r, err
}
