package realtime

import (
	"context"
	"io"
	"net/http"

	"github.com/gorilla/websocket"
	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/gateway/pipeline"
	"github.com/hostless/hostless/pkg/gateway/respond"
	"github.com/hostless/hostless/pkg/gateway/upstream"
)

// dial opens a WebSocket to the first candidate that takes it. A refusal that is the
// caller's comes back as resp, its body to be closed by who called, and has not been
// noted as an attempt. Neither a connection nor a response means that the candidate has
// HTTP alone.
func (s *duplex) dial(ctx context.Context, query func() string) (*websocket.Conn, *http.Response, error) {
	for {
		if s.responses && !s.speaksSockets() {
			return nil, nil, nil
		}
		e, err := s.socketEndpoint()
		if err != nil {
			return nil, nil, err
		}
		conn, resp, err := s.dialProvider(ctx, e, query())
		switch {
		case conn != nil:
			return conn, resp, nil
		case err != nil:
			err = respond.Canceled(ctx, upstream.Error(s.to.Provider.Name, err))
			s.attempted(respond.Result{}, err)
			next := s.after(ctx, s.Outcome)
			if next == nil {
				return nil, nil, err
			}
			s.to = *next
			continue
		case s.responses && s.hasNone(resp):
			resp.Body.Close()
			return nil, nil, nil
		}
		kind := pipeline.KindOfStatus(resp.StatusCode)
		next := s.after(ctx, pipeline.Outcome{
			Candidate: s.to, Status: resp.StatusCode, Kind: kind, RetryAfter: upstream.RetryAfter(resp.Header, s.Now()), Start: s.Call.Start, End: s.Now(),
		})
		if next == nil {
			return nil, resp, nil
		}
		io.CopyN(io.Discard, resp.Body, 64<<10) // so that the connection is kept
		resp.Body.Close()
		s.attempted(respond.Result{Status: resp.StatusCode, Kind: kind}, nil)
		s.to = *next
	}
}

// after gives the candidate that is tried after the outcome of the one before; nil for
// none.
func (s *Session) after(ctx context.Context, o pipeline.Outcome) *pipeline.Candidate {
	if ctx.Err() != nil || len(s.others) == 0 || s.to.Retry == nil || !s.to.Retry(o) {
		return nil
	}
	for len(s.others) > 1 && s.others[0].Usable != nil && !s.others[0].Usable() {
		s.others = s.others[1:]
	}
	next := &s.others[0]
	s.others = s.others[1:]
	return next
}

// socketEndpoint is where the candidate has WebSockets.
func (s *duplex) socketEndpoint() (*upstream.Endpoint, error) {
	e, err := s.Endpoint(&s.to, dialect.OpenAI)
	if err == nil && (e == nil || e.Builtin) {
		err = s.Unsupported(&s.to)
	}
	return e, err
}

// upstreamQuery is the caller's query for the candidate.
func (s *duplex) upstreamQuery() string {
	query := upstream.Query(s.HTTP.URL.RawQuery, false)
	if s.named {
		query = renamedQuery(query, s.to.Model)
	}
	return query
}
