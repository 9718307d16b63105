package anthropic

import (
	"fmt"
	"net/http"
	"strconv"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/rawjson"
	"github.com/hostless/hostless/pkg/jsonscan"
)

// chatReply translates a Messages response into a chat completion.
type chatReply struct {
	options Options
	model   string // as the client requested it
	hidden  string // the tool whose input is the response's text
	legacy  bool   // calls are returned as function_call
	usage   bool   // the stream ends with the usage
}

// Body translates one message.
func (r *chatReply) Body(body []byte) ([]byte, error) {
	var m message
	if err := jsonscan.Decode(body, &m); err != nil {
		return nil, fmt.Errorf("read message: %w", err)
	}
	if m.Content == nil {
		return nil, fmt.Errorf("read message: no content")
	}
	if m.Model == "" {
		m.Model = r.model
	}
	if m.ID == "" {
		m.ID = "chatcmpl-" + r.options.NewID()
	}
	var texts, thoughts []jsonscan.String
	var details, annotations, calls []jsonscan.Value
	hasText, answered := false, false
	var after dialect.Gap
	var searches []dialect.Search
	running := map[string]*search{}
	for i := range m.Content {
		b := &m.Content[i]
		switch b.Type {
		case "text":
			hasText = true
			if len(b.Citations) > 0 {
				from := countAll(texts)
				for _, c := range b.Citations {
					annotations = appendSet(annotations, annotation(c, from, from+chars(b.Text)))
				}
			}
			texts = append(texts, b.Text)
			after.Text(chars(b.Text))
		case "server_tool_use":
			running[b.ID] = &search{name: b.Name, input: b.Input}
		case "web_search_tool_result", "web_fetch_tool_result":
			if s := running[b.ToolUseID]; s != nil {
				searches = append(searches, s.entry(b.Content))
			}
		case "thinking":
			thoughts = append(thoughts, b.Thinking)
			details = append(details, jsonscan.Raw(appendThinking(nil, b.Thinking, b.Signature, after)))
			after = nil
		case "redacted_thinking":
			details = append(details, jsonscan.Raw(appendRedacted(nil, b.Data, after)))
			after = nil
		case "tool_use":
			arguments := jsonscan.String(`"{}"`)
			if input := rawjson.Set(b.Input); input != nil {
				arguments = jsonscan.AppendCompactQuoted(make([]byte, 0, len(input)+len(input)/8+16), input)
			}
			if r.hidden != "" && b.Name == r.hidden {
				answered, hasText = true, true
				texts = append(texts, arguments)
				after.Text(chars(arguments))
				continue
			}
			call := jsonscan.Obj(member("id", text(b.ID)), member("type", text("function")), member("function", called(b.Name, arguments)))
			if r.legacy {
				call = called(b.Name, arguments)
			}
			calls = append(calls, call)
			after.Call()
		}
	}
	finish := finishOf(m.StopReason)
	if answered && len(calls) == 0 && finish == "tool_calls" {
		finish = "stop"
	}

	message := jsonscan.Obj(member("role", text("assistant")), member("content", jsonscan.Lit("null")), member("refusal", jsonscan.Lit("null")))
	if hasText || len(calls) == 0 {
		message.Put("content", jsonscan.Join("", texts...))
	}
	if m.StopReason == "refusal" {
		if m.StopDetails.Explanation == "" {
			m.StopDetails.Explanation = declined
		}
		message.PutText("refusal", m.StopDetails.Explanation)
	}
	if annotations != nil {
		message.Put("annotations", jsonscan.Arr(annotations))
	}
	if searches != nil {
		message.Put("web_searches", jsonscan.Raw(rawjson.Must(searches)))
	}
	if details != nil {
		message.Put("reasoning_content", jsonscan.Join("", thoughts...))
		message.Put("reasoning_details", jsonscan.Arr(details))
	}
	switch {
	case calls != nil && r.legacy:
		message.Put("function_call", calls[0])
		if finish == "tool_calls" {
			finish = "function_call"
		}
	case calls != nil:
		message.Put("tool_calls", jsonscan.Arr(calls))
	}
	out := append(make([]byte, 0, message.Size()+1024), `{"id":`...)
	out = jsonscan.AppendQuote(out, m.ID)
	out = strconv.AppendInt(append(out, `,"object":"chat.completion","created":`...), r.options.Now().Unix(), 10)
	out = jsonscan.AppendQuote(append(out, `,"model":`...), m.Model)
	out = message.Append(append(out, `,"choices":[{"index":0,"message":`...))
	out = append(out, `,"logprobs":null,"finish_reason":`...)
	out = rawjson.AppendString(out, finish)
	out = append(out, `,"native_finish_reason":`...)
	out = rawjson.AppendString(out, m.StopReason)
	out = append(out, `}],"usage":`...)
	out = m.Usage.appendChat(out)
	return append(out, '}'), nil
}

// called returns a function's call.
func called(name string, arguments jsonscan.String) jsonscan.Value {
	return jsonscan.Obj(member("name", text(name)), member("arguments", jsonscan.Raw(arguments)))
}

func appendSet(list []jsonscan.Value, raw []byte) []jsonscan.Value {
	if raw == nil {
		return list
	}
	return append(list, jsonscan.Raw(raw))
}

func countAll(texts []jsonscan.String) (n int) {
	for _, s := range texts {
		n += chars(s)
	}
	return n
}

// Error translates Anthropic's error into OpenAI's envelope.
func (r *chatReply) Error(status int, _ http.Header, body []byte) []byte {
	return chatError(status, body)
}

// Stream starts the translation of Messages events into chat chunks.
func (r *chatReply) Stream() dialect.Stream {
	return &chatStream{r: r, created: r.options.Now().Unix(), model: r.model, id: "chatcmpl-" + r.options.NewID()}
}
