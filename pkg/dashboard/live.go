package dashboard

import (
	"bytes"
	"cmp"
	"context"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hostless/hostless/pkg/inflight"
	"github.com/hostless/hostless/pkg/reqlog"
)

const (
	writeLimit   = 10 * time.Second // timeout of one write to a browser
	flightsEvery = time.Second      // between two lists of the requests in flight
	maxFlights   = 100              // listed at most; all are counted
)

// rows streams the rows of the request log that match the filters of the query, one line of
// HTML each: first the latest ones, oldest first, and then each new one. A line that starts
// with "=" is the list of the requests in flight: their number, "=", and a row for each.
func (d *Dashboard) rows(w http.ResponseWriter, r *http.Request) {
	filter, n, err := reqlog.ParseQuery(r.URL.Query(), d.cfg.Now())
	if err != nil {
		writeError(w, err)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)
	out := &lines{w: w, rc: http.NewResponseController(w)}
	if r.Method == http.MethodHead || out.rc.Flush() != nil {
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(d.closing, cancel)()
	if r.URL.Query().Get("plane") == reqlog.PlaneApps {
		err = d.cfg.AppLog.Follow(ctx, n, filter, func(row *reqlog.AppRow) error { return out.write("", "app-row", row) })
	} else {
		var listing sync.WaitGroup
		listing.Go(func() {
			defer cancel()
			d.flights(ctx, filter, out)
		})
		err = d.cfg.Log.Follow(ctx, n, filter, func(row *reqlog.Row) error { return out.write("", "row", row) })
		cancel()
		listing.Wait() // nothing may write after the handler has returned
	}
	if err != nil {
		d.log.Debug("a reader of the live rows was let go", "error", err)
	}
}

// flights writes the list of the requests in flight that match a filter whenever it has
// changed, until ctx ends or the client disconnects.
func (d *Dashboard) flights(ctx context.Context, filter reqlog.Filter, out *lines) {
	tick := time.NewTicker(flightsEvery)
	defer tick.Stop()
	shown := -1
	for {
		list := viewFlights(d.cfg.Sources.InFlight(), filter)
		if len(list) > 0 || shown != 0 { // their values change while there are any
			shown = len(list)
			if out.write("="+strconv.Itoa(shown)+"=", "flights", list[:min(shown, maxFlights)]) != nil {
				return
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// flightView is the view of a request in flight.
type flightView struct {
	inflight.Request
	Model string // with its provider
	Who   string
}

// viewFlights returns the requests that match a filter, newest first. A request in flight
// has no status yet.
func viewFlights(list []inflight.Request, filter reqlog.Filter) []flightView {
	out := []flightView{}
	for i := len(list) - 1; i >= 0; i-- {
		f := list[i]
		row := reqlog.Row{Time: f.Time, App: f.App, Token: f.Token, TokenName: f.TokenName, Model: f.Model, Provider: f.Provider}
		if filter.Status != "" || !filter.Match(&row) {
			continue
		}
		v := flightView{Request: f, Model: f.Model, Who: cmp.Or(f.App, f.TokenName, f.Token, "no token")}
		if f.Provider != "" && !strings.HasPrefix(f.Model, f.Provider+"/") {
			v.Model = f.Provider + "/" + f.Model
		}
		out = append(out, v)
	}
	return out
}

// lines writes a stream of lines of HTML. It is safe for concurrent use.
type lines struct {
	mu sync.Mutex
	w  http.ResponseWriter
	rc *http.ResponseController
}

// write writes the result of a template as one line after a prefix.
func (l *lines) write(prefix, name string, data any) error {
	b := bytes.NewBufferString(prefix)
	if err := templates.ExecuteTemplate(b, name, data); err != nil {
		return err
	}
	line := bytes.ReplaceAll(b.Bytes(), []byte("\n"), []byte(" "))
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rc.SetWriteDeadline(time.Now().Add(writeLimit)) // not every ResponseWriter supports deadlines
	if _, err := l.w.Write(append(line, '\n')); err != nil {
		return err
	}
	return l.rc.Flush()
}
