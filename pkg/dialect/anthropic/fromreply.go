package anthropic

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/rawjson"
)

// chatReply turns a Messages answer into a chat completion.
type chatReply struct {
	options Options
	model   string // as it was asked for
	hidden  string // the tool whose input is the answer's text
	legacy  bool   // calls go back as function_call
	usage   bool   // the stream closes with its usage
}

// Body translates one message.
func (r *chatReply) Body(body []byte) ([]byte, error) {
	var m message
	if err := json.Unmarshal(body, &m); err != nil {
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
	var text, thought strings.Builder
	var details, calls, annotations []json.RawMessage
	hasText, answered, at := false, false, 0
	for i := range m.Content {
		b := &m.Content[i]
		switch b.Type {
		case "text":
			hasText = true
			end := at + chars(b.Text)
			for _, c := range b.Citations {
				if a := annotation(c, at, end); a != nil {
					annotations = append(annotations, a)
				}
			}
			at = end
			text.WriteString(b.Text)
		case "thinking":
			thought.WriteString(b.Thinking)
			details = append(details, appendThinking(nil, b.Thinking, b.Signature))
		case "redacted_thinking":
			details = append(details, appendRedacted(nil, b.Data))
		case "tool_use":
			arguments := "{}"
			if rawjson.Set(b.Input) != nil {
				arguments = string(rawjson.Compact(b.Input))
			}
			if r.hidden != "" && b.Name == r.hidden {
				answered, hasText = true, true
				text.WriteString(arguments)
				continue
			}
			calls = append(calls, appendCall(nil, -1, b.ID, b.Name, arguments))
		}
	}
	finish := finishOf(m.StopReason)
	if answered && len(calls) == 0 && finish == "tool_calls" {
		finish = "stop"
	}

	out := rawjson.AppendString([]byte(`{"id":`), m.ID)
	out = strconv.AppendInt(append(out, `,"object":"chat.completion","created":`...), r.options.Now().Unix(), 10)
	out = rawjson.AppendString(append(out, `,"model":`...), m.Model)
	out = append(out, `,"choices":[{"index":0,"message":{"role":"assistant","content":`...)
	if hasText || len(calls) == 0 {
		out = rawjson.AppendString(out, text.String())
	} else {
		out = append(out, "null"...)
	}
	out = append(out, `,"refusal":`...)
	if m.StopReason == "refusal" {
		if m.StopDetails.Explanation == "" {
			m.StopDetails.Explanation = declined
		}
		out = rawjson.AppendString(out, m.StopDetails.Explanation)
	} else {
		out = append(out, "null"...)
	}
	if annotations != nil {
		out = append(append(out, `,"annotations":`...), rawjson.Array(annotations)...)
	}
	if details != nil {
		out = rawjson.AppendString(append(out, `,"reasoning_content":`...), thought.String())
		out = append(append(out, `,"reasoning_details":`...), rawjson.Array(details)...)
	}
	switch {
	case calls != nil && r.legacy:
		var c chatCall
		json.Unmarshal(calls[0], &c)
		out = appendCalled(append(out, `,"function_call":`...), c.Function.Name, c.Function.Arguments)
		if finish == "tool_calls" {
			finish = "function_call"
		}
	case calls != nil:
		out = append(append(out, `,"tool_calls":`...), rawjson.Array(calls)...)
	}
	out = append(out, `},"logprobs":null,"finish_reason":`...)
	out = rawjson.AppendString(out, finish)
	out = append(out, `,"native_finish_reason":`...)
	out = rawjson.AppendString(out, m.StopReason)
	out = append(out, `}],"usage":`...)
	out = m.Usage.appendChat(out)
	return append(out, '}'), nil
}

// appendCall writes a tool call; a negative index is that of an answer that is
// no stream, which has none.
func appendCall(b []byte, index int, id, name, arguments string) []byte {
	b = append(b, '{')
	if index >= 0 {
		b = append(strconv.AppendInt(append(b, `"index":`...), int64(index), 10), ',')
	}
	b = rawjson.AppendString(append(b, `"id":`...), id)
	b = append(b, `,"type":"function","function":`...)
	return append(appendCalled(b, name, arguments), '}')
}

func appendCalled(b []byte, name, arguments string) []byte {
	b = rawjson.AppendString(append(b, `{"name":`...), name)
	b = rawjson.AppendString(append(b, `,"arguments":`...), arguments)
	return append(b, '}')
}

// Error words Anthropic's error in OpenAI's envelope.
func (r *chatReply) Error(status int, _ http.Header, body []byte) []byte {
	return chatError(status, body)
}

// Stream begins the translation of Messages events into chat chunks.
func (r *chatReply) Stream() dialect.Stream {
	return &chatStream{r: r, created: r.options.Now().Unix(), model: r.model, id: "chatcmpl-" + r.options.NewID()}
}
