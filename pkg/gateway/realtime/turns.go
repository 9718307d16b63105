package realtime

import (
	"encoding/json"
	"slices"

	"github.com/hostless/hostless/pkg/gateway/pipeline"
	"github.com/hostless/hostless/pkg/gateway/usage"
)

// serverEvent has the members of a Realtime API event that are used
// (https://platform.openai.com/docs/api-reference/realtime-server-events).
type serverEvent struct {
	Response struct {
		ID     string `json:"id"`
		Status string `json:"status"`
	} `json:"response"`
	Error struct {
		Code    string `json:"code"`
		EventID string `json:"event_id"`
	} `json:"error"`
}

// accountRealtime accounts for a session of the Realtime API. Each response is a call,
// whether the caller requested it or the provider started it because the user stopped
// speaking.
//
// Usage outside of responses, such as transcripts, belongs to the call of the session,
// which is settled at its close. No message requests such usage, so it cannot be refused.
func (s *duplex) accountRealtime(data []byte) {
	switch eventType(data) {
	case "response.created":
		s.responseCreated(readServerEvent(data).Response.ID)
		return
	case "response.done":
		e := readServerEvent(data)
		kind := pipeline.ErrorKind("")
		if e.Response.Status == "failed" {
			kind = pipeline.ProviderError
		}
		if t := s.takeTurn(func(t *turn) bool { return t.response == e.Response.ID }); t != nil {
			report, ok := usage.Parse(data)
			t.end(report, ok, kind)
			return
		}
	case "error":
		e := readServerEvent(data).Error
		refused := func(t *turn) bool {
			return t.response == "" && (t.event == e.EventID && t.event != "" || e.EventID == "" && e.Code == "conversation_already_has_active_response")
		}
		if t := s.takeTurn(refused); t != nil {
			t.end(usage.Report{}, false, pipeline.ProviderRejected)
		}
		return
	}
	if report, ok := usage.Parse(data); ok {
		s.Outcome.Usage.Tokens.Add(report.Tokens)
		s.Outcome.Reported = true
	}
}

// responseCreated assigns a response ID to the oldest turn that has none. If there is no
// such turn, the provider started the response by itself; it is then admitted now, or
// cancelled.
func (s *duplex) responseCreated(id string) {
	if id == "" {
		return
	}
	s.turning.Lock()
	for _, t := range s.turns {
		if t.response == "" {
			t.response = id
			s.turning.Unlock()
			return
		}
	}
	s.turning.Unlock()
	t, err := s.beginTurn(s.HTTP.Context(), "", nil)
	if err != nil {
		s.caller.SendText(ErrorEvent(err, ""))
		cancel, _ := json.Marshal(map[string]string{"type": "response.cancel", "response_id": id})
		s.provider.SendText(cancel)
		return
	}
	t.response = id
	s.turning.Lock()
	s.turns = append(s.turns, t)
	s.turning.Unlock()
}

// takeTurn removes and returns the first pending turn for which meant is true, or nil.
func (s *duplex) takeTurn(meant func(*turn) bool) *turn {
	s.turning.Lock()
	defer s.turning.Unlock()
	i := slices.IndexFunc(s.turns, meant)
	if i < 0 {
		return nil
	}
	t := s.turns[i]
	s.turns = slices.Delete(s.turns, i, i+1)
	return t
}

func readServerEvent(data []byte) (e serverEvent) {
	if json.Unmarshal(data, &e) != nil {
		return serverEvent{}
	}
	return e
}
