package usage

import (
	"bytes"
	"strconv"

	"github.com/hostless/hostless/pkg/jsonscan"
)

var (
	// mark is a part of "usage" and of Gemini's "usageMetadata". It starts with a letter,
	// because the frequent quotes of JSON would slow the search down.
	mark     = []byte(`usage`)
	nullMark = []byte(`"usage":null`)
	metadata = []byte(`"usageMetadata"`)

	responseMark = []byte(`"resp_`)
	searchMark   = []byte(`"web_search_call"`)
)

// Parse reads the usage report in the JSON of a response, or of one event of a stream, in
// any dialect; ok is false if there is none. Nothing else is decoded. In a JSON array,
// which Gemini streams without alt=sse, the last report counts.
//
// Sources: https://platform.openai.com/docs/api-reference/chat/object,
// https://platform.openai.com/docs/api-reference/responses/object,
// https://docs.claude.com/en/api/messages,
// https://ai.google.dev/api/generate-content#UsageMetadata.
func Parse(data []byte) (r Report, ok bool) {
	if !bytes.Contains(data, mark) || bytes.Contains(data, nullMark) && bytes.Count(data, mark) == 1 {
		return r, false
	}
	if trimmed := bytes.TrimLeft(data, " \t\r\n"); len(trimmed) > 0 && trimmed[0] == '[' {
		return lastOf(data)
	}
	return parseObject(data, 0)
}

// parseObject reads the report of one response: a member of the object, or of the object in
// which an event of the Responses or Messages API wraps the response.
func parseObject(data []byte, depth int) (r Report, ok bool) {
	var usage, outer, id, output jsonscan.Span
	var tier string
	_, err := jsonscan.Object(data, func(key []byte, v jsonscan.Span) error {
		switch string(key) {
		case "usage":
			usage = v
		case "usageMetadata":
			if usage.End == 0 {
				usage = v
			}
		case "response", "message":
			if data[v.Start] == '{' && outer.End == 0 {
				outer = v
			}
		case "service_tier":
			tier, _ = jsonscan.Text(v.Of(data))
		case "id":
			id = v
		case "output":
			output = v
		}
		return nil
	})
	switch {
	case err != nil:
		return r, false
	case usage.End > 0 && data[usage.Start] == '{':
		r, ok = parseCounts(usage.Of(data))
		if bytes.HasPrefix(id.Of(data), responseMark) {
			r.Response, _ = jsonscan.Text(id.Of(data))
		}
		if r.Tier == "" {
			r.Tier = tier
		}
		r.Tokens.WebSearches += searches(output.Of(data))
		return r, ok
	case outer.End > 0 && depth == 0:
		return parseObject(outer.Of(data), 1)
	}
	return r, false
}

// lastOf reads the last report in an array of responses, which may be truncated after it.
func lastOf(data []byte) (r Report, ok bool) {
	i := bytes.LastIndex(data, metadata)
	if i < 0 {
		return r, false
	}
	rest := bytes.TrimLeft(data[i+len(metadata):], ": \t\r\n")
	if len(rest) == 0 || rest[0] != '{' {
		return r, false
	}
	depth := 0
	for n := 0; n < len(rest); n++ {
		switch rest[n] {
		case '"':
			end := bytes.IndexByte(rest[n+1:], '"') // names and modalities have no escapes
			if end < 0 {
				return r, false
			}
			n += end + 1
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				return parseCounts(rest[:n+1])
			}
		}
	}
	return r, false
}

// counts has the members of a usage object in all dialects.
type counts struct {
	prompt, completion, total int64 // Chat Completions
	input, output             int64 // Responses, Messages, transcription
	cacheRead, cacheWrite     int64 // Messages
	cacheWrite1h              int64
	cached, written           int64 // parts of the prompt
	reasoning                 int64
	audioIn, audioOut         int64
	gPrompt, gCandidates      int64 // Gemini
	gThoughts, gCached, gTool int64
	searches                  int64 // web searches
}

// parseCounts maps a provider's usage object to the token classes.
func parseCounts(text []byte) (r Report, ok bool) {
	var c counts
	_, err := jsonscan.Object(text, func(key []byte, v jsonscan.Span) error {
		raw := v.Of(text)
		switch string(key) {
		case "prompt_tokens":
			c.prompt = number(raw)
		case "completion_tokens":
			c.completion = number(raw)
		case "total_tokens":
			c.total = number(raw)
		case "input_tokens":
			c.input = number(raw)
		case "output_tokens":
			c.output = number(raw)
		case "cache_read_input_tokens":
			c.cacheRead = number(raw)
		case "cache_creation_input_tokens":
			c.cacheWrite = number(raw)
		case "cache_creation":
			c.cacheWrite1h = member(raw, "ephemeral_1h_input_tokens")
		case "prompt_cache_hit_tokens", "cached_tokens": // DeepSeek, Moonshot
			c.cached = max(c.cached, number(raw))
		case "prompt_tokens_details", "input_tokens_details", "input_token_details":
			c.inputDetails(raw)
		case "completion_tokens_details", "output_tokens_details", "output_token_details":
			c.outputDetails(raw)
		case "promptTokenCount":
			c.gPrompt = number(raw)
		case "candidatesTokenCount":
			c.gCandidates = number(raw)
		case "thoughtsTokenCount":
			c.gThoughts = number(raw)
		case "cachedContentTokenCount":
			c.gCached = number(raw)
		case "toolUsePromptTokenCount":
			c.gTool = number(raw)
		case "promptTokensDetails":
			c.audioIn = audioOf(raw)
		case "candidatesTokensDetails":
			c.audioOut = audioOf(raw)
		case "service_tier":
			r.Tier, _ = jsonscan.Text(raw)
		case "server_tool_use": // Messages
			c.searches = member(raw, "web_search_requests")
		}
		return nil
	})
	if err != nil {
		return Report{}, false
	}
	r.Tokens = c.tokens()
	return r, true
}

func (c *counts) inputDetails(raw []byte) {
	if len(raw) == 0 || raw[0] != '{' {
		return
	}
	jsonscan.Object(raw, func(key []byte, v jsonscan.Span) error {
		switch n := number(v.Of(raw)); string(key) {
		case "cached_tokens":
			c.cached = max(c.cached, n)
		case "cache_write_tokens":
			c.written = n
		case "audio_tokens":
			c.audioIn = n
		}
		return nil
	})
}

func (c *counts) outputDetails(raw []byte) {
	if len(raw) == 0 || raw[0] != '{' {
		return
	}
	jsonscan.Object(raw, func(key []byte, v jsonscan.Span) error {
		switch n := number(v.Of(raw)); string(key) {
		case "reasoning_tokens", "thinking_tokens":
			c.reasoning = max(c.reasoning, n)
		case "audio_tokens":
			c.audioOut = n
		}
		return nil
	})
}

func (c *counts) tokens() Tokens {
	t := Tokens{
		Input: c.prompt + c.gPrompt + c.gTool, Cached: max(c.cached, c.gCached), CacheWrite: c.written,
		AudioInput: c.audioIn, Output: c.completion + c.output + c.gCandidates + c.gThoughts,
		Reasoning: max(c.reasoning, c.gThoughts), AudioOutput: c.audioOut, WebSearches: c.searches,
	}
	if c.reasoning > 0 && c.completion > 0 && c.total == c.prompt+c.completion+c.reasoning {
		t.Output += c.reasoning // xAI's completion_tokens exclude reasoning
	}
	switch {
	case c.prompt > 0:
		// Gateways that serve Anthropic's models as chat completions repeat its cache
		// counts, although prompt_tokens includes them.
		t.Cached, t.CacheWrite = max(t.Cached, c.cacheRead), max(t.CacheWrite, c.cacheWrite)
	default:
		// The Messages API excludes cached and written tokens from input_tokens.
		t.Input += c.input + c.cacheRead + c.cacheWrite
		t.Cached += c.cacheRead
		t.CacheWrite += c.cacheWrite
	}
	t.CacheWrite1h = min(c.cacheWrite1h, t.CacheWrite)
	t.Input = max(t.Input, t.Cached+t.CacheWrite, t.AudioInput)
	t.Output = max(t.Output, t.Reasoning, t.AudioOutput)
	return t
}

// audioOf returns the audio count of a list of Gemini's ModalityTokenCount.
func audioOf(list []byte) (n int64) {
	rest := list
	for {
		i := bytes.IndexByte(rest, '{')
		if i < 0 {
			return n
		}
		end := bytes.IndexByte(rest[i:], '}') // the entries have no nested objects
		if end < 0 {
			return n
		}
		entry := rest[i : i+end+1]
		rest = rest[i+end+1:]
		if span, ok := jsonscan.Member(entry, "modality"); ok {
			if name, _ := jsonscan.Text(span.Of(entry)); name == "AUDIO" {
				n += member(entry, "tokenCount")
			}
		}
	}
}

// searches counts the web searches among the output items of a response of the Responses
// API. Opening a page and searching in it are items too, but are not charged for
// (https://platform.openai.com/docs/guides/tools-web-search).
func searches(output []byte) (n int64) {
	if !bytes.Contains(output, searchMark) {
		return 0
	}
	for _, item := range jsonscan.Elements(output) {
		if textOf(item, "type") != "web_search_call" {
			continue
		}
		action, ok := jsonscan.Member(item, "action")
		if !ok || textOf(action.Of(item), "type") == "search" {
			n++
		}
	}
	return n
}

// textOf returns a string member of an object, or "".
func textOf(object []byte, name string) string {
	span, ok := jsonscan.Member(object, name)
	if !ok {
		return ""
	}
	text, _ := jsonscan.Text(span.Of(object))
	return text
}

func member(object []byte, name string) int64 {
	span, ok := jsonscan.Member(object, name)
	if !ok {
		return 0
	}
	return number(span.Of(object))
}

// number parses a count; 0 if it is not one.
func number(raw []byte) int64 {
	n, err := strconv.ParseInt(string(raw), 10, 64)
	if err != nil {
		f, err := strconv.ParseFloat(string(raw), 64)
		if err != nil || f > 1<<53 {
			return 0
		}
		n = int64(f)
	}
	return max(n, 0)
}
