package systemd

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// responsesServer is a provider that answers each turn on a Responses WebSocket by
// repeating it.
func responsesServer() *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !websocket.IsWebSocketUpgrade(r) {
			http.NotFound(w, r)
			return
		}
		c, err := (&websocket.Upgrader{}).Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer c.Close()
		for {
			var turn struct{ Input string }
			if err := c.ReadJSON(&turn); err != nil {
				return
			}
			if err := c.WriteJSON(map[string]any{"type": "response.completed", "response": map[string]any{
				"id": "resp_1", "object": "response", "status": "completed", "output": []any{}, "metadata": map[string]string{"asked": turn.Input},
				"usage": map[string]int{"input_tokens": 1, "output_tokens": 1, "total_tokens": 2},
			}}); err != nil {
				return
			}
		}
	}))
}

// agentSocket is a Responses WebSocket that an agent keeps open during its whole session.
type agentSocket struct{ *websocket.Conn }

// openAgentSocket connects through the daemon to the test's own provider, which end
// removes.
func openAgentSocket(t *testing.T) (s agentSocket, end func()) {
	t.Helper()
	provider := responsesServer()
	must(t, "keys", "add", "openai", "sk-test-0123456789abcdef", "--base-url", provider.URL+"/v1")
	token := strings.TrimSpace(must(t, "token", "create", "--name", "agent"))
	c, resp, err := websocket.DefaultDialer.Dial("ws://127.0.0.1:"+port+"/v1/responses", http.Header{"Authorization": {"Bearer " + token}})
	if err != nil {
		t.Fatalf("open the Responses socket: %v %v", err, resp)
	}
	return agentSocket{c}, func() {
		c.Close()
		closeServer(provider)
		must(t, "token", "revoke", token)
		must(t, "keys", "remove", "openai")
	}
}

// turn sends one turn and reads its answer.
func (s agentSocket) turn(input string) error {
	s.SetReadDeadline(time.Now().Add(10 * time.Second))
	if err := s.WriteJSON(map[string]any{"type": "response.create", "model": "gpt-5.2", "input": input}); err != nil {
		return err
	}
	_, data, err := s.ReadMessage()
	if err != nil {
		return err
	}
	var answer struct {
		Type     string
		Response struct{ Metadata struct{ Asked string } }
	}
	if err := json.Unmarshal(data, &answer); err != nil || answer.Type != "response.completed" || answer.Response.Metadata.Asked != input {
		return fmt.Errorf("%q was answered %s (%v)", input, data, err)
	}
	return nil
}

// coldCurl requests the health page with curl over both schemes, each time without a
// running daemon, and returns the durations.
func coldCurl(t *testing.T, gone func() bool) (took []string) {
	must(t, "config", "set", "tls", "on")
	defer must(t, "config", "set", "tls", "off")
	ca := filepath.Join(os.Getenv("HOME"), ".hostless", "ca.crt")
	for _, scheme := range []string{"http", "https"} {
		eventually(t, "no process is left", gone)
		out, err := exec.Command("curl", "-sS", "--fail", "--max-time", "20", "--cacert", ca, "--write-out", " %{time_total}", scheme+"://localhost:"+port+"/health").CombinedOutput()
		text := string(out)
		if err != nil || !strings.Contains(text, `"service":"hostless"`) {
			t.Errorf("curl %s from cold: %v\n%s", scheme, err, text)
		}
		took = append(took, scheme+text[strings.LastIndexByte(text, ' '):]+" s")
	}
	eventually(t, "no process is left", gone)
	return took
}
