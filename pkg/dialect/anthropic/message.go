package anthropic

import (
	"encoding/json"
	"strconv"
	"unicode/utf8"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/jsonscan"
)

// message is a response of the Messages API.
type message struct {
	ID          string      `json:"id"`
	Model       string      `json:"model"`
	Content     []block     `json:"content"`
	StopReason  string      `json:"stop_reason"`
	StopDetails stopDetails `json:"stop_details"`
	Usage       usage       `json:"usage"`
}

type stopDetails struct {
	Explanation string `json:"explanation"`
}

type block struct {
	Type      string            `json:"type"`
	Text      jsonscan.String   `json:"text"`
	Citations []json.RawMessage `json:"citations"`
	Thinking  jsonscan.String   `json:"thinking"`
	Signature jsonscan.String   `json:"signature"`
	Data      jsonscan.String   `json:"data"`
	ID        string            `json:"id"`
	Name      string            `json:"name"`
	Input     json.RawMessage   `json:"input"`
	ToolUseID string            `json:"tool_use_id"`
	Content   json.RawMessage   `json:"content"` // of the result of a tool that Anthropic ran
}

// usage is Anthropic's usage. Pointers distinguish absent from zero, because later
// events of a stream repeat only some of the counts.
type usage struct {
	Input         *int64 `json:"input_tokens"`
	CacheRead     *int64 `json:"cache_read_input_tokens"`
	CacheCreation *int64 `json:"cache_creation_input_tokens"`
	Output        *int64 `json:"output_tokens"`
	Details       *struct {
		Thinking *int64 `json:"thinking_tokens"`
	} `json:"output_tokens_details"`
	Tools *dialect.ToolUse `json:"server_tool_use"`
}

// merge takes over the fields that a later count has.
func (u *usage) merge(later usage) {
	for _, f := range []struct{ have, got **int64 }{
		{&u.Input, &later.Input}, {&u.CacheRead, &later.CacheRead}, {&u.CacheCreation, &later.CacheCreation}, {&u.Output, &later.Output},
	} {
		if *f.got != nil {
			*f.have = *f.got
		}
	}
	if later.Details != nil {
		u.Details = later.Details
	}
	if later.Tools != nil {
		u.Tools = later.Tools
	}
}

func count(n *int64) int64 {
	if n == nil || *n < 0 {
		return 0
	}
	return *n
}

// appendChat appends the usage in the form of chat completions, where the prompt
// includes cache reads and writes.
func (u *usage) appendChat(b []byte) []byte {
	read, created, output := count(u.CacheRead), count(u.CacheCreation), count(u.Output)
	prompt := count(u.Input) + read + created
	thought := int64(0)
	if u.Details != nil {
		thought = count(u.Details.Thinking)
	}
	b = strconv.AppendInt(append(b, `{"prompt_tokens":`...), prompt, 10)
	b = strconv.AppendInt(append(b, `,"completion_tokens":`...), output, 10)
	b = strconv.AppendInt(append(b, `,"total_tokens":`...), prompt+output, 10)
	b = strconv.AppendInt(append(b, `,"prompt_tokens_details":{"cached_tokens":`...), read, 10)
	b = strconv.AppendInt(append(b, `,"cache_write_tokens":`...), created, 10)
	b = strconv.AppendInt(append(b, `,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":`...), thought, 10)
	b = append(b, `,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}`...)
	if u.Tools != nil && u.Tools.Searches > 0 {
		b = strconv.AppendInt(append(b, `,"server_tool_use":{"web_search_requests":`...), u.Tools.Searches, 10)
		b = append(b, '}')
	}
	return append(b, '}')
}

// finishOf returns the finish reason for a stop reason.
func finishOf(reason string) string {
	switch reason {
	case "max_tokens", "model_context_window_exceeded":
		return "length"
	case "tool_use":
		return "tool_calls"
	case "refusal":
		return "content_filter"
	}
	return "stop"
}

const declined = "The model declined to answer."

// annotation returns chat's annotation for a citation, or nil if it has no source.
// from and to delimit the cited text in the content, in characters.
func annotation(raw json.RawMessage, from, to int) json.RawMessage {
	var c struct {
		Type          string `json:"type"`
		URL           string `json:"url"`
		Source        string `json:"source"`
		Title         string `json:"title"`
		DocumentTitle string `json:"document_title"`
		FileID        string `json:"file_id"`
		CitedText     string `json:"cited_text"`
	}
	if jsonscan.Decode(raw, &c) != nil {
		return nil
	}
	kind := "url_citation"
	var o jsonscan.Value
	switch c.Type {
	case "web_search_result_location":
		o.PutText("url", c.URL)
		o.PutText("title", c.Title)
	case "search_result_location":
		o.PutText("url", c.Source)
		o.PutText("title", c.Title)
	case "char_location", "page_location", "content_block_location":
		kind = "file_citation"
		o.PutText("file_id", c.FileID)
		o.PutText("filename", c.DocumentTitle)
	default:
		return nil
	}
	o.Put("start_index", jsonscan.Raw(strconv.AppendInt(nil, int64(from), 10)))
	o.Put("end_index", jsonscan.Raw(strconv.AppendInt(nil, int64(to), 10)))
	if c.CitedText != "" {
		o.PutText("cited_text", c.CitedText)
	}
	return jsonscan.Obj(member("type", text(kind)), member(kind, o)).JSON()
}

// chars returns the number of characters of a text.
func chars(s jsonscan.String) int {
	text, _ := jsonscan.Unquote(s)
	return utf8.RuneCount(text)
}

// appendThinking appends the entry of the intermediate form for a block of
// thinking.
func appendThinking(b []byte, thinking, signature jsonscan.String, after dialect.Gap) []byte {
	b = appendText(append(b, `{"type":"thinking","text":`...), thinking)
	if !signature.Empty() {
		b = jsonscan.AppendString(append(b, `,"signature":`...), signature)
	}
	return append(after.Append(b), '}')
}

func appendRedacted(b []byte, data jsonscan.String, after dialect.Gap) []byte {
	return append(after.Append(appendText(append(b, `{"type":"redacted","data":`...), data)), '}')
}

// appendText appends a string, "" if there is none.
func appendText(b []byte, s jsonscan.String) []byte {
	if s == nil {
		return append(b, `""`...)
	}
	return jsonscan.AppendString(b, s)
}
