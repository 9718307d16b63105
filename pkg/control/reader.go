package control

import (
	"bytes"
	"context"
	"io"
	"net/http"

	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/peer"
)

// Reader returns a client within this process that acts for a process of the daemon's
// own user, or for an unknown one if pid is 0. It gets what that process would get over
// the socket. It can only send GET requests without a body; for others the error is
// fault.Forbidden, and the server does not see them.
func (s *Server) Reader(pid int) *Client {
	return &Client{
		socket: "this process", version: "hostlessd", suspect: answerWait,
		http: &http.Client{Transport: reader{s, peer.Cred{UID: s.uid, PID: pid}}},
	}
}

// reader is a transport to the server in the same process.
type reader struct {
	server *Server
	caller peer.Cred
}

// RoundTrip implements http.RoundTripper.
func (r reader) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Method != http.MethodGet || req.Body != nil {
		return nil, fault.New(fault.Forbidden, "this client can only read")
	}
	req = req.Clone(context.WithValue(req.Context(), peerKey, peerResult{Cred: r.caller}))
	req.Body = http.NoBody
	w := &recorder{header: http.Header{}, status: http.StatusOK}
	r.server.ServeHTTP(w, req)
	return &http.Response{StatusCode: w.status, Status: http.StatusText(w.status), Header: w.header, Body: io.NopCloser(&w.body), Request: req}, nil
}

// recorder stores a response.
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
