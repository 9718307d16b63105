package gateway_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
)

// TestPictures checks that an image that Gemini generated reaches each caller in its own
// format, or is at least mentioned.
func TestPictures(t *testing.T) {
	w := newWorld(t)
	var asked string
	w.upstream("google", func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		asked = string(body)
		answer := `{"candidates":[{"index":0,"content":{"role":"model","parts":[{"text":"Here."},{"inlineData":{"mimeType":"image/png","data":"iVBORw0KGgo="}}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":9}}`
		if strings.Contains(r.URL.Path, "stream") {
			rw.Header().Set("Content-Type", "text/event-stream")
			answer = "data: " + answer + "\n\n"
		}
		io.WriteString(rw, answer)
	})
	const item = `"type":"image_generation_call","status":"completed","output_format":"png","result":"iVBORw0KGgo="`
	for _, c := range []struct{ name, path, body, want string }{
		{"Responses", "/v1/responses", `{"model":"gemini-2.5-flash-image","input":"draw"}`, item},
		{"Responses with its tool", "/v1/responses", `{"model":"gemini-2.5-flash-image","input":"draw","tools":[{"type":"image_generation"}],"tool_choice":{"type":"image_generation"}}`, item},
		{"Responses, streamed", "/v1/responses", `{"model":"gemini-2.5-flash-image","stream":true,"input":"draw","tools":[{"type":"image_generation"}]}`, item},
		{"Messages", "/v1/messages", `{"model":"gemini-2.5-flash-image","max_tokens":9,"messages":[{"role":"user","content":"draw"}]}`, `[The model made a picture (image/png, 1 KB), which this API cannot carry.`},
		{"Messages, streamed", "/v1/messages", `{"model":"gemini-2.5-flash-image","stream":true,"max_tokens":9,"messages":[{"role":"user","content":"draw"}]}`, `[The model made a picture (image/png, 1 KB), which this API cannot carry.`},
		{"chat", "/v1/chat/completions", `{"model":"gemini-2.5-flash-image","messages":[{"role":"user","content":"draw"}]}`, `"url":"data:image/png;base64,iVBORw0KGgo="`},
		{"chat, streamed", "/v1/chat/completions", `{"model":"gemini-2.5-flash-image","stream":true,"messages":[{"role":"user","content":"draw"}]}`, `"url":"data:image/png;base64,iVBORw0KGgo="`},
		{"Ollama", "/api/chat", `{"model":"gemini/gemini-2.5-flash-image","stream":false,"messages":[{"role":"user","content":"draw"}]}`, `"images":["iVBORw0KGgo="]`},
		{"Ollama, streamed", "/api/chat", `{"model":"gemini/gemini-2.5-flash-image","messages":[{"role":"user","content":"draw"}]}`, `"images":["iVBORw0KGgo="]`},
		{"Ollama's generate", "/api/generate", `{"model":"gemini/gemini-2.5-flash-image","prompt":"draw","stream":false}`, `"image":"iVBORw0KGgo="`},
	} {
		a := w.do("POST", c.path, c.body)
		if a.status != 200 || !strings.Contains(a.body, c.want) {
			t.Errorf("%s: no %s in %d %s", c.name, c.want, a.status, a.body)
		}
		if strings.Contains(c.body, "image_generation") && !strings.Contains(asked, `"responseModalities":["TEXT","IMAGE"]`) {
			t.Errorf("%s: Google was asked %s", c.name, asked)
		}
	}
	// The image is sent back to a model that continues with it.
	w.survive([]session{
		{"Responses", "/v1/responses", `{"model":"gemini-2.5-flash-image","input":[{"role":"user","content":"draw"},{"type":"image_generation_call","id":"ig_1","status":"completed","result":"iVBORw0KGgo="},{"role":"user","content":"bluer"}]}`, ""},
	})
	if !strings.Contains(asked, `"data":"iVBORw0KGgo="`) {
		t.Errorf("the image was not sent back: %s", asked)
	}
	w.survive([]session{
		{"chat", "/v1/chat/completions", `{"model":"gemini-2.5-flash-image","messages":[{"role":"user","content":"draw"},{"role":"assistant","content":"Here.","images":[{"type":"image_url","image_url":{"url":"data:image/png;base64,iVBORw0KGgo="}}]},{"role":"user","content":"bluer"}]}`, ""},
	})
	if !strings.Contains(asked, `{"text":"Here."},{"inlineData":{"mimeType":"image/png","data":"iVBORw0KGgo="}}`) {
		t.Errorf("the image was not sent back: %s", asked)
	}
}

// TestOwnPictureOnOthers continues a Gemini client's session with another model after an
// image.
func TestOwnPictureOnOthers(t *testing.T) {
	w := newWorld(t)
	w.strictProviders()
	for _, model := range []string{"claude-sonnet-4-5", "gpt-4o", "deepseek/deepseek-chat"} {
		w.survive([]session{{model, "/v1beta/models/" + model + ":generateContent", `{"contents":[{"role":"user","parts":[{"text":"draw"}]},{"role":"model","parts":[{"inlineData":{"mimeType":"image/png","data":"iVBORw0KGgo="}}]},{"role":"user","parts":[{"text":"thanks"}]}]}`, "contents.inlineData"}})
	}
}

// TestEmptyAnswer checks that an empty response is an error that clients retry, and not the
// end of an agent's work.
func TestEmptyAnswer(t *testing.T) {
	w := newWorld(t)
	for _, answer := range []string{
		`{"candidates":[{"index":0,"content":{"role":"model"},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":9}}`,
		`{"candidates":[{"index":0,"content":{"role":"model","parts":[{"text":"Hm.","thought":true},{"text":"","thoughtSignature":"c2ln"}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":9}}`,
	} {
		w.upstream("google", func(rw http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.Path, "stream") {
				rw.Header().Set("Content-Type", "text/event-stream")
				io.WriteString(rw, "data: "+answer+"\n\n")
				return
			}
			io.WriteString(rw, answer)
		})
		for path, body := range map[string]string{
			"/v1/chat/completions": `{"model":"gemini-2.5-flash","messages":[{"role":"user","content":"x"}]`,
			"/v1/messages":         `{"model":"gemini-2.5-flash","max_tokens":9,"messages":[{"role":"user","content":"x"}]`,
			"/v1/responses":        `{"model":"gemini-2.5-flash","input":"x"`,
			"/api/chat":            `{"model":"gemini/gemini-2.5-flash","messages":[{"role":"user","content":"x"}]`,
		} {
			plain, streamed := body+"}", body+`,"stream":true}`
			if path == "/api/chat" {
				plain, streamed = body+`,"stream":false}`, body+"}"
			}
			if a := w.do("POST", path, plain); a.status != 502 || !strings.Contains(a.body, "the model returned an empty response") {
				t.Errorf("%s: %d %s", path, a.status, a.body)
			}
			if a := w.do("POST", path, streamed); !strings.Contains(a.body, "the model returned an empty response") || strings.Contains(a.body, `"done":true`) {
				t.Errorf("%s as a stream: %s", path, a.body)
			}
		}
		// A stop sequence may end a response at once.
		w.do("POST", "/v1/messages", `{"model":"gemini-2.5-flash","max_tokens":9,"stop_sequences":["</b>"],"messages":[{"role":"user","content":"x"}]}`).want(t, 200, `"end_turn"`)
	}
}

// TestOverflowInEachDialect checks that a prompt that is too long is reported in the words
// of the caller's dialect.
func TestOverflowInEachDialect(t *testing.T) {
	w := newWorld(t)
	for provider, message := range map[string]string{
		"openai":    `{"error":{"message":"Your input exceeds the context window of this model.","type":"invalid_request_error","param":"input","code":"context_length_exceeded"}}`,
		"anthropic": `{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 210000 tokens > 200000 maximum"}}`,
		"deepseek":  `{"error":{"message":"This model's maximum context length is 32768 tokens. However, you requested 40000 tokens","type":"invalid_request_error"}}`,
	} {
		w.upstream(provider, func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Content-Type", "application/json")
			rw.WriteHeader(400)
			io.WriteString(rw, message)
		})
		w.do("POST", "/v1beta/models/"+provider+"/m:generateContent", `{"contents":[{"role":"user","parts":[{"text":"x"}]}]}`).want(t, 400, `"message":"The input token count exceeds the maximum number of tokens allowed: `)
		w.do("POST", "/v1beta/models/"+provider+"/m:streamGenerateContent?alt=sse", `{"contents":[{"role":"user","parts":[{"text":"x"}]}]}`).want(t, 400, `"message":"The input token count exceeds the maximum number of tokens allowed: `)
		w.do("POST", "/api/chat", `{"model":"`+provider+`/m","messages":[{"role":"user","content":"x"}]}`).want(t, 400, `{"error":"the input length exceeds the context length: `)
	}
}

// TestAnswerOfAList requests one value of an enum, in Gemini's dialect, from models whose
// schemas must be objects.
func TestAnswerOfAList(t *testing.T) {
	w := newWorld(t)
	var got map[string]any
	w.upstream("deepseek", func(rw http.ResponseWriter, r *http.Request) {
		got = nil
		json.NewDecoder(r.Body).Decode(&got)
		if got["stream"] == true {
			rw.Header().Set("Content-Type", "text/event-stream")
			for _, piece := range []string{`{\"val`, `ue\":\"re`, `d\"}`} {
				io.WriteString(rw, `data: {"choices":[{"index":0,"delta":{"content":"`+piece+`"}}]}`+"\n\n")
			}
			io.WriteString(rw, `data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`+"\n\ndata: [DONE]\n\n")
			return
		}
		io.WriteString(rw, `{"choices":[{"index":0,"message":{"role":"assistant","content":"{\"value\":\"red\"}"},"finish_reason":"stop"}]}`)
	})
	const body = `{"contents":[{"role":"user","parts":[{"text":"red or blue?"}]}],"generationConfig":{"responseMimeType":"text/x.enum","responseSchema":{"type":"STRING","enum":["red","blue"]}}}`
	w.do("POST", "/v1beta/models/deepseek/deepseek-chat:generateContent", body).want(t, 200, `"parts":[{"text":"red"}]`)
	w.do("POST", "/v1beta/models/deepseek/deepseek-chat:streamGenerateContent?alt=sse", body).want(t, 200, `"parts":[{"text":"red"}]`)
	if format, _ := json.Marshal(got["response_format"]); !strings.Contains(string(format), `"properties":{"value":{"enum":["red","blue"],"type":"string"}}`) {
		t.Errorf("asked for %s", format)
	}
}

// TestSmallRefusals checks that an empty embeddings request has an empty result, and that
// errors name the path as sent.
func TestSmallRefusals(t *testing.T) {
	w := newWorld(t)
	w.strictProviders()
	w.do("POST", "/api/embed", `{"model":"openai/text-embedding-3-small","input":[]}`).want(t, 200, `"embeddings":[]`)
	if a := w.do("POST", "/v1beta/models/claude-sonnet-4-5:embedContent", `{"content":{"parts":[{"text":"x"}]}}`); a.status != 400 || strings.Contains(a.body, "*") || !strings.Contains(a.body, "claude-sonnet-4-5:embedContent") {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := w.do("POST", "/v1/images/generations", `{"model":"claude-sonnet-4-5","prompt":"x"}`); a.status != 400 || strings.Contains(a.body, "*") {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// TestSignaturesOfParallelCalls checks two parallel calls, of which Gemini 3 signs the
// first. It is sent back signed; after a restart, a placeholder is sent.
func TestSignaturesOfParallelCalls(t *testing.T) {
	var asked string
	run := func(w *world) {
		w.upstream("google", func(rw http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			asked = string(body)
			if strings.Contains(asked, "functionResponse") {
				io.WriteString(rw, `{"candidates":[{"index":0,"content":{"role":"model","parts":[{"text":"Done."}]},"finishReason":"STOP"}]}`)
				return
			}
			io.WriteString(rw, `{"candidates":[{"index":0,"content":{"role":"model","parts":[{"functionCall":{"name":"f","args":{}},"thoughtSignature":"c2lnLWY="},{"functionCall":{"name":"g","args":{}}}]},"finishReason":"STOP"}]}`)
		})
	}
	w := newWorld(t)
	run(w)
	const tools = `"include":["reasoning.encrypted_content"],"tools":[{"type":"function","name":"f","parameters":{"type":"object","properties":{}}},{"type":"function","name":"g","parameters":{"type":"object","properties":{}}}]`
	a := w.do("POST", "/v1/responses", `{"model":"gemini-3-pro","input":"go",`+tools+`}`)
	var first struct{ Output []map[string]any }
	if err := json.Unmarshal([]byte(a.body), &first); err != nil || len(first.Output) != 2 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	items := []any{map[string]any{"type": "message", "role": "user", "content": "go"}}
	for _, it := range first.Output {
		items = append(items, it)
	}
	for _, it := range first.Output {
		items = append(items, map[string]any{"type": "function_call_output", "call_id": it["call_id"], "output": "ok"})
	}
	input, _ := json.Marshal(items)
	second := `{"model":"gemini-3-pro","input":` + string(input) + `,` + tools + `}`
	w.do("POST", "/v1/responses", second).want(t, 200, "Done.")
	if strings.Count(asked, `"thoughtSignature"`) != 1 || !strings.Contains(asked, `"thoughtSignature":"c2lnLWY="`) {
		t.Errorf("the signature was not sent back: %s", asked)
	}
	again := newWorld(t)
	run(again)
	again.do("POST", "/v1/responses", second).want(t, 200, "Done.")
	if strings.Count(asked, `"thoughtSignature"`) != 1 || !strings.Contains(asked, `"thoughtSignature":"skip_thought_signature_validator"`) {
		t.Errorf("after a restart: %s", asked)
	}
}
