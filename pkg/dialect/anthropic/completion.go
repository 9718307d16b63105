package anthropic

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/openai"
	"github.com/hostless/hostless/pkg/jsonscan"
)

// chunk is a chat completion (Message) or a chunk of its stream (Delta).
type chunk struct {
	Model   string `json:"model"`
	Choices []struct {
		Index   int            `json:"index"`
		Message spoken         `json:"message"`
		Delta   spoken         `json:"delta"`
		Finish  *string        `json:"finish_reason"`
		Native  string         `json:"native_finish_reason"`
		Stop    jsonscan.Value `json:"stop_sequence"` // of the intermediate form
		Reason  jsonscan.Value `json:"stop_reason"`   // vLLM's name for it
	} `json:"choices"`
	Usage *chatUsage      `json:"usage"`
	Error json.RawMessage `json:"error"`
	dialect.Sourced
}

type spoken struct {
	openai.MessageText
	dialect.Searched
	dialect.Pictured
	Refusal          jsonscan.String   `json:"refusal"`
	ReasoningDetails []json.RawMessage `json:"reasoning_details"`
	ToolCalls        []chatCall        `json:"tool_calls"`
	FunctionCall     *chatCalled       `json:"function_call"`
}

// calls returns the tool calls, including one in the older form.
func (s *spoken) calls() []chatCall {
	if s.FunctionCall != nil && len(s.ToolCalls) == 0 {
		return []chatCall{{Function: *s.FunctionCall}}
	}
	return s.ToolCalls
}

type chatUsage struct {
	Prompt     int64 `json:"prompt_tokens"`
	Completion int64 `json:"completion_tokens"`
	Details    struct {
		Cached  int64 `json:"cached_tokens"`
		Written int64 `json:"cache_write_tokens"`
	} `json:"prompt_tokens_details"`
	OutputDetails struct {
		Reasoning int64 `json:"reasoning_tokens"`
	} `json:"completion_tokens_details"`
	Tools dialect.ToolUse `json:"server_tool_use"`
}

// appendMessages appends the usage in the form of Messages, where the input does
// not include cache reads and writes. searches is the number of searches in the
// response, for providers that do not count them.
func (u *chatUsage) appendMessages(b []byte, searches int) []byte {
	if u == nil {
		u = &chatUsage{}
	}
	input := max(u.Prompt-u.Details.Cached-u.Details.Written, 0)
	b = strconv.AppendInt(append(b, `{"input_tokens":`...), input, 10)
	b = strconv.AppendInt(append(b, `,"cache_creation_input_tokens":`...), u.Details.Written, 10)
	b = strconv.AppendInt(append(b, `,"cache_read_input_tokens":`...), u.Details.Cached, 10)
	b = strconv.AppendInt(append(b, `,"output_tokens":`...), u.Completion, 10)
	if u.OutputDetails.Reasoning > 0 {
		b = strconv.AppendInt(append(b, `,"output_tokens_details":{"thinking_tokens":`...), u.OutputDetails.Reasoning, 10)
		b = append(b, '}')
	}
	if n := max(u.Tools.Searches, int64(searches)); n > 0 {
		b = strconv.AppendInt(append(b, `,"server_tool_use":{"web_search_requests":`...), n, 10)
		b = append(b, '}')
	}
	return append(b, '}')
}

// ended returns the stop reason and the stop sequence (null if there is none) of a
// response.
func (r *messageReply) ended(finish, native string, stopSequence, stopReason jsonscan.Value, calls, refused bool) (stop string, sequence jsonscan.Value) {
	for _, v := range [...]jsonscan.Value{stopSequence, stopReason} {
		if s := v.String(); !s.Empty() && finish == "stop" && !calls && slices.Contains(r.stops, s.Text()) {
			return "stop_sequence", jsonscan.Str(s)
		}
	}
	return stopOf(finish, native, calls, refused), jsonscan.Lit("null")
}

// stopOf returns the stop reason for a finish reason. It prefers native, if that is
// one of Anthropic's, because it is more exact.
func stopOf(finish, native string, calls, refused bool) string {
	switch native {
	case "end_turn", "max_tokens", "stop_sequence", "pause_turn", "model_context_window_exceeded":
		if finishOf(native) == finish {
			return native
		}
	}
	switch {
	case finish == "content_filter", refused && !calls:
		return "refusal"
	case finish == "length":
		return "max_tokens"
	case calls:
		return "tool_use" // some providers send the reason stop with calls
	}
	return "end_turn"
}

// callID returns the id of a call in Messages. The id includes Gemini's thought
// signature, because a Messages client sends no other part of a call back.
func callID(c *chatCall, fallback func() string) string {
	id := c.ID
	if id == "" {
		id = "call_" + fallback()
	}
	if len(c.Extra) > 0 && !strings.Contains(id, thoughtMark) {
		var extra struct {
			Google struct {
				Signature string `json:"thought_signature"`
			} `json:"google"`
		}
		if jsonscan.Decode(c.Extra, &extra) == nil && extra.Google.Signature != "" {
			id += thoughtMark + extra.Google.Signature
		}
	}
	return safeID(id)
}

// inputOf returns a call's input. If the arguments are not a JSON object, ok is
// false, and they are still passed on, so that the tool refuses them and the model
// sees the reason.
func inputOf(arguments jsonscan.String) (input jsonscan.Value, ok bool) {
	if arguments.Blank() {
		return jsonscan.Lit("{}"), true
	}
	raw := jsonscan.AppendUnquoted(make([]byte, 0, len(arguments)), arguments)
	if isObject(raw) {
		return jsonscan.Raw(raw).Compact(), true
	}
	return jsonscan.Obj(member("invalid_arguments", jsonscan.Str(arguments))), false
}
