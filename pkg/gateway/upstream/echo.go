package upstream

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/hostless/hostless/pkg/dialect/openai"
	"github.com/hostless/hostless/pkg/jsonscan"
)

// echo is the built-in provider: an OpenAI-compatible upstream inside the process, so that
// a first request needs neither a key nor the network. The model `text` returns the last
// user message at once, `slow` word by word. It is an http.RoundTripper, safe for
// concurrent use.
type echo struct {
	now  func() time.Time
	wait func(ctx context.Context, d time.Duration) error
	id   func() string
}

// echoPace is the delay between two words of `slow`.
const echoPace = 120 * time.Millisecond

// sleep waits for d, or until ctx is done.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// RoundTrip implements http.RoundTripper.
func (e *echo) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Path != "/chat/completions" || r.Method != http.MethodPost {
		return echoError(http.StatusNotFound, "the built-in provider echo supports chat completions only", ""), nil
	}
	data, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	var req struct {
		Model    string `json:"model"`
		Stream   bool   `json:"stream"`
		Messages []struct {
			Role    string          `json:"role"`
			Content json.RawMessage `json:"content"`
		} `json:"messages"`
		Options struct {
			Usage bool `json:"include_usage"`
		} `json:"stream_options"`
	}
	if err := json.Unmarshal(data, &req); err != nil {
		return echoError(http.StatusBadRequest, "the request is not a chat completion", ""), nil
	}
	if req.Model != "text" && req.Model != "slow" {
		return echoError(http.StatusNotFound, fmt.Sprintf("the built-in provider echo has no model %q: use text or slow", req.Model), "model"), nil
	}
	if len(req.Messages) == 0 {
		return echoError(http.StatusBadRequest, "messages must not be empty", "messages"), nil
	}
	answer, promptTokens := "", 0
	for _, m := range req.Messages {
		text := contentText(m.Content)
		promptTokens += len(strings.Fields(text))
		if m.Role == "user" {
			answer = text
		}
	}
	a := echoAnswer{
		id: "chatcmpl-" + e.id(), model: "echo/" + req.Model, created: e.now().Unix(),
		words: splitWords(answer), promptTokens: promptTokens,
	}
	if req.Model == "slow" {
		a.pace = echoPace
	}
	resp := &http.Response{
		StatusCode: http.StatusOK, Status: "200 OK", Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, ContentLength: -1, Request: r,
		Header: http.Header{"X-Request-Id": {"echo-" + a.id}},
	}
	if req.Stream {
		resp.Header.Set("Content-Type", "text/event-stream; charset=utf-8")
		reader, writer := io.Pipe()
		go func() { writer.CloseWithError(a.stream(r.Context(), writer, e.wait, req.Options.Usage)) }()
		resp.Body = reader
		return resp, nil
	}
	for range a.words {
		if a.pace > 0 {
			if err := e.wait(r.Context(), a.pace); err != nil {
				return nil, err
			}
		}
	}
	body := a.whole()
	resp.Header.Set("Content-Type", "application/json")
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return resp, nil
}

// echoAnswer is a response in progress.
type echoAnswer struct {
	id, model    string
	created      int64
	words        []string
	promptTokens int
	pace         time.Duration
}

func (a *echoAnswer) usage() string {
	return fmt.Sprintf(`{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d}`, a.promptTokens, len(a.words), a.promptTokens+len(a.words))
}

func (a *echoAnswer) head(object string) string {
	return `"id":"` + a.id + `","object":"` + object + `","created":` + strconv.FormatInt(a.created, 10) + `,"model":"` + a.model + `"`
}

func (a *echoAnswer) whole() []byte {
	return fmt.Appendf(nil, `{%s,"choices":[{"index":0,"message":{"role":"assistant","content":%s,"refusal":null},"logprobs":null,"finish_reason":"stop"}],"usage":%s}`,
		a.head("chat.completion"), jsonscan.Quote(strings.Join(a.words, "")), a.usage())
}

func (a *echoAnswer) stream(ctx context.Context, w io.Writer, wait func(context.Context, time.Duration) error, usage bool) error {
	head := a.head("chat.completion.chunk")
	send := func(delta, finish string) error {
		_, err := fmt.Fprintf(w, "data: {%s,\"choices\":[{\"index\":0,\"delta\":%s,\"finish_reason\":%s}]}\n\n", head, delta, finish)
		return err
	}
	if err := send(`{"role":"assistant","content":""}`, "null"); err != nil {
		return err
	}
	for _, word := range a.words {
		if a.pace > 0 {
			if err := wait(ctx, a.pace); err != nil {
				return err
			}
		}
		if err := send(`{"content":`+string(jsonscan.Quote(word))+`}`, "null"); err != nil {
			return err
		}
	}
	if err := send("{}", `"stop"`); err != nil {
		return err
	}
	if usage {
		if _, err := fmt.Fprintf(w, "data: {%s,\"choices\":[],\"usage\":%s}\n\n", head, a.usage()); err != nil {
			return err
		}
	}
	_, err := io.WriteString(w, "data: [DONE]\n\n")
	return err
}

// splitWords splits a text into words, each with the space after it.
func splitWords(s string) []string {
	var words []string
	from := 0
	for i := 1; i < len(s); i++ {
		if s[i] != ' ' && s[i] != '\n' && (s[i-1] == ' ' || s[i-1] == '\n') {
			words = append(words, s[from:i])
			from = i
		}
	}
	if from < len(s) {
		words = append(words, s[from:])
	}
	return words
}

// contentText returns the text of a message's content, which is a string or a list of
// parts.
func contentText(raw json.RawMessage) string {
	if s, ok := jsonscan.Text(raw); ok {
		return s
	}
	var parts []struct {
		Text string `json:"text"`
	}
	if json.Unmarshal(raw, &parts) != nil {
		return ""
	}
	texts := make([]string, 0, len(parts))
	for _, p := range parts {
		if p.Text != "" {
			texts = append(texts, p.Text)
		}
	}
	return strings.Join(texts, "\n")
}

func echoError(status int, message, param string) *http.Response {
	e := openai.Error{Message: message, Type: "invalid_request_error"}
	if param != "" {
		e.Param = jsonscan.Quoted(param)
	}
	body := e.Body()
	return &http.Response{
		StatusCode: status, Status: http.StatusText(status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)),
	}
}
