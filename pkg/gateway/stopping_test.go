package gateway_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/gateway"
	"github.com/hostless/hostless/pkg/gateway/pipeline"
)

// TestStopEndsStreams checks that a stream which the daemon's shutdown cuts off ends with
// an error event, and never looks complete.
func TestStopEndsStreams(t *testing.T) {
	w := newWorld(t)
	sent := make(chan struct{}, 1)
	w.upstream("mistral", func(rw http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		if !strings.Contains(r.Header.Get("Accept"), "nothing") {
			events(rw)(`data: {"id":"c","choices":[{"index":0,"delta":{"role":"assistant","content":"pong"}}]}` + "\n\n")
		}
		sent <- struct{}{}
		<-r.Context().Done()
	})
	turns := `"messages":[{"role":"user","content":"x"}]`
	for _, tt := range []struct{ what, path, body, accept string }{
		{"as it is", "/v1/chat/completions", `{"model":"mistral/m","stream":true,` + turns + `}`, ""},
		{"translated", "/v1/messages", `{"model":"mistral/m","max_tokens":9,"stream":true,` + turns + `}`, ""},
		{"before an answer", "/v1/chat/completions", `{"model":"mistral/m","stream":true,` + turns + `}`, "nothing"},
	} {
		t.Run(tt.what, func(t *testing.T) {
			stopping := &fault.Error{Kind: fault.Internal, Message: "about to stop"}
			ctx, stop := context.WithCancelCause(t.Context())
			req := w.request("POST", tt.path, tt.body, "Accept", tt.accept).WithContext(ctx)
			req.Host, req.RemoteAddr = "localhost", "127.0.0.1:1"
			answer := httptest.NewRecorder()
			done := make(chan struct{})
			go func() { w.gw.ServeHTTP(answer, req); close(done) }()
			<-sent
			stop(stopping)
			<-done
			text := answer.Body.String()
			if !strings.Contains(text, stopping.Message) || strings.Contains(text, "[DONE]") || strings.Contains(text, "message_stop") {
				t.Errorf("%d: %s", answer.Code, text)
			}
			if tt.accept != "" && answer.Code != http.StatusInternalServerError {
				t.Errorf("status %d", answer.Code)
			}
		})
	}
}

// TestEndWhileAdmitted checks that End ends a call that was admitted but not sent yet, and
// no later one.
func TestEndWhileAdmitted(t *testing.T) {
	var once sync.Once
	var w *world
	w = newWorld(t, func(c *gateway.Config) {
		c.Admitters = []pipeline.Admitter{pipeline.AdmitterFunc(func(context.Context, *pipeline.Call, []pipeline.Candidate) (func(pipeline.Outcome), error) {
			once.Do(func() { w.gw.End(&fault.Error{Kind: fault.Killed, Code: pipeline.CodeKilled, Message: "stopped"}) })
			return nil, nil
		})}
	})
	w.upstream("openai", func(rw http.ResponseWriter, r *http.Request) { io.WriteString(rw, `{"choices":[]}`) })
	body := `{"model":"gpt-x","messages":[]}`
	w.do("POST", "/v1/chat/completions", body).want(t, 403, `"code":"killed"`)
	w.do("POST", "/v1/chat/completions", body).want(t, 200, "choices")
}
