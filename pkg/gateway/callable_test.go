package gateway_test

import (
	"fmt"
	"net/http"
	"testing"
)

// A redirect comes as it is on translated ways too, and is not followed.
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
		t.Errorf("got Location %q after %d requests, want it as it came after one", got, asked)
	}
}

// A model of openai's that its name does not give away leads to openai under the
// name that Gemini's list has for it.
func TestGeminiListIsCallable(t *testing.T) {
	w := newWorld(t)
	w.upstream("google", func(w http.ResponseWriter, r *http.Request) {
		if r.Method != "GET" {
			t.Error("google was asked for the model of openai")
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
