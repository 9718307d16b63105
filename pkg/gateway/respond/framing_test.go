package respond

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/sse"
)

func TestPingsWhileNothingComes(t *testing.T) {
	for speaks, ping := range map[dialect.Name]string{
		dialect.Anthropic: "event: ping\ndata: {\"type\": \"ping\"}\n\n", dialect.OpenAI: ": ping\n\n", dialect.Gemini: "", dialect.Ollama: "",
	} {
		t.Run(string(speaks), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := httptest.NewRecorder()
				s := newEventWriter(NewWriter(w), framingFor(speaks, httptest.NewRequest(http.MethodPost, "/x", nil)))
				defer s.stop()
				taken := func() string {
					s.mu.Lock()
					defer s.mu.Unlock()
					defer w.Body.Reset()
					return w.Body.String()
				}
				silence := func(d time.Duration) int {
					time.Sleep(d)
					synctest.Wait()
					sent := taken()
					if ping == "" && sent != "" {
						t.Errorf("sent %q into a stream that has no pings", sent)
					}
					return strings.Count(sent+" ", ping)
				}
				first := silence(61 * time.Second)
				if ping == "" {
					return
				}
				if least := int(time.Minute / s.framing.every); first < least {
					t.Errorf("%d pings in the minute before the first event, want %d", first, least)
				}
				for range 20 { // busy, so no pings
					s.emit(sse.Event{Data: []byte("{}")})
					if err := s.send(); err != nil {
						t.Fatal(err)
					}
					time.Sleep(time.Second)
				}
				synctest.Wait()
				if sent := taken(); strings.Contains(sent, ping) {
					t.Errorf("a ping among events: %q", sent)
				}
				if n := silence(time.Minute); n < 3 {
					t.Errorf("%d pings in a silent minute", n)
				}
			})
		})
	}
}
