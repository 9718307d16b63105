package gateway_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"testing"
	"time"
)

// TestRedirectOfTranslatedRequest checks that a redirect in response to a translated
// request is forwarded unchanged and not followed.
func TestRedirectOfTranslatedRequest(t *testing.T) {
	w := newWorld(t)
	asked := 0
	w.upstream("anthropic", func(w http.ResponseWriter, r *http.Request) {
		asked++
		w.Header().Set("Location", "https://elsewhere.example/v1/messages")
		w.WriteHeader(http.StatusTemporaryRedirect)
		fmt.Fprint(w, "moved")
	})
	a := w.do("POST", "/v1/chat/completions", `{"model":"claude-x","messages":[{"role":"user","content":"x"}]}`)
	a.want(t, http.StatusTemporaryRedirect, "moved")
	if got := a.header.Get("Location"); got != "https://elsewhere.example/v1/messages" || asked != 1 {
		t.Errorf("got Location %q after %d requests, want it unchanged after one request", got, asked)
	}
}

// TestGeminiListIsCallable checks that an OpenAI model without a telling name can be used
// under the name in Gemini's list.
func TestGeminiListIsCallable(t *testing.T) {
	w := newWorld(t)
	w.upstream("google", func(w http.ResponseWriter, r *http.Request) {
		if r.Method != "GET" {
			t.Error("the request for OpenAI's model was sent to Google")
		}
		fmt.Fprint(w, `{"models":[]}`)
	})
	w.upstream("openai", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.Method == "GET" {
			fmt.Fprint(w, `{"data":[{"id":"odd-name"},{"id":"gpt-4o"}]}`)
			return
		}
		fmt.Fprint(w, `{"id":"x","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"pong"},"finish_reason":"stop"}]}`)
	})
	w.do("GET", "/v1beta/models", "").want(t, 200, `"models/openai/odd-name"`)
	w.do("GET", "/v1beta/models", "").want(t, 200, `"models/gpt-4o"`)
	for _, name := range []string{"openai/odd-name", "gpt-4o"} {
		w.do("POST", "/v1beta/models/"+name+":generateContent", `{"contents":[{"role":"user","parts":[{"text":"x"}]}]}`).want(t, 200, "pong")
	}
	w.do("GET", "/v1/models", "").want(t, 200, `"id":"odd-name"`)
}

// TestAdministrationInDisguise checks that administration paths are refused in every
// spelling.
func TestAdministrationInDisguise(t *testing.T) {
	w := newWorld(t)
	w.upstream("openai", func(w http.ResponseWriter, r *http.Request) { t.Errorf("the provider was asked for %s", r.URL) })
	for _, path := range []string{
		"/v1/organization/users", "/v1/Organization/users", "/v1/organization%2Fusers", "/v1/ORGANI%7AATION%2fusers", "/v1/organization;x/users", "/v1/organization%20/users", "/v1/projects%3Fx",
	} {
		w.do("GET", path, "").want(t, http.StatusForbidden, "scope_error")
	}
}

// TestBrokenChunks checks that a body with broken framing is the caller's error, not the
// gateway's.
func TestBrokenChunks(t *testing.T) {
	w := newWorld(t)
	conn, err := net.Dial("tcp", w.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprintf(conn, "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}", w.token)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusBadRequest {
		t.Errorf("got %d, want 400", resp.StatusCode)
	}
}
