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

// dial opens a WebSocket to the first candidate that accepts it. If a refusal is to be
// passed to the caller, it is returned as resp: the caller of dial must close its body and
// record the attempt. If both the connection and the response are nil, the candidate
// supports HTTP only.
func (s *duplex) dial(ctx context.Context, query func() string) (*websocket.Conn, *http.Response, error) {
	for {
		if s.responses && !s.mayHaveWebSockets() {
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
			next := s.nextCandidate(ctx, s.Outcome)
			if next == nil {
				return nil, nil, err
			}
			s.to = *next
			continue
		case s.responses && s.lacksWebSockets(resp):
			resp.Body.Close()
			return nil, nil, nil
		}
		kind := pipeline.KindOfStatus(resp.StatusCode)
		next := s.nextCandidate(ctx, pipeline.Outcome{
			Candidate: s.to, Status: resp.StatusCode, Kind: kind, RetryAfter: upstream.RetryAfter(resp.Header, s.Now()), Start: s.Call.Start, End: s.Now(),
		})
		if next == nil {
			return nil, resp, nil
		}
		io.CopyN(io.Discard, resp.Body, 64<<10) // so that the connection can be reused
		resp.Body.Close()
		s.attempted(respond.Result{Status: resp.StatusCode, Kind: kind}, nil)
		s.to = *next
	}
}

// nextCandidate returns the candidate to try after the given outcome of the current one, or
// nil.
func (s *Session) nextCandidate(ctx context.Context, o pipeline.Outcome) *pipeline.Candidate {
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

// socketEndpoint returns the endpoint of the candidate's WebSockets.
func (s *duplex) socketEndpoint() (*upstream.Endpoint, error) {
	e, err := s.Endpoint(&s.to, dialect.OpenAI)
	if err == nil && (e == nil || e.Builtin) {
		err = s.Unsupported(&s.to)
	}
	return e, err
}

// upstreamQuery returns the caller's query, adapted to the candidate.
func (s *duplex) upstreamQuery() string {
	query := upstream.Query(s.HTTP.URL.RawQuery, false)
	if s.named {
		query = renamedQuery(query, s.to.Model)
	}
	return query
}
