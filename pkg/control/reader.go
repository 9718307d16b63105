package control

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"

	"github.com/hostless/hostless/pkg/peer"
)

// Reader is a client within this process that asks on behalf of a process of the
// daemon's own user, or of nobody known where pid is 0. It gets what that process would
// get over the socket, and can ask for nothing but GETs: what would change something
// fails before the server sees it.
func (s *Server) Reader(pid int) *Client {
	return &Client{
		socket: "this process", version: "hostlessd", suspect: answerWait,
		http: &http.Client{Transport: reader{s, peer.Cred{UID: s.uid, PID: pid}}},
	}
}

// reader has the server answer in the caller's goroutine.
type reader struct {
	server *Server
	caller peer.Cred
}

var errReadOnly = errors.New("this client only reads")

// RoundTrip implements http.RoundTripper.
func (r reader) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Method != http.MethodGet || req.Body != nil {
		return nil, errReadOnly
	}
	req = req.Clone(context.WithValue(req.Context(), peerKey, peerResult{Cred: r.caller}))
	req.Body = http.NoBody
	w := &recorder{header: http.Header{}, status: http.StatusOK}
	r.server.ServeHTTP(w, req)
	return &http.Response{StatusCode: w.status, Status: http.StatusText(w.status), Header: w.header, Body: io.NopCloser(&w.body), Request: req}, nil
}

// recorder keeps an answer.
type recorder struct {
	header  http.Header
	body    bytes.Buffer
	status  int
	started bool
}

func (w *recorder) Header() http.Header { return w.header }

func (w *recorder) WriteHeader(status int) {
	if !w.started {
		w.started, w.status = true, status
	}
}

func (w *recorder) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(p)
}
