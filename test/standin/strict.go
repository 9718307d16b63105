package standin

import (
	"encoding/base64"
	"fmt"
	"regexp"
	"strings"
)

// These checks refuse what the providers refuse, so that a wrong translation fails here
// as it would there. Each returns "" or an error message.

var toolName = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`)

func list(v any) []any            { l, _ := v.([]any); return l }
func object(v any) map[string]any { m, _ := v.(map[string]any); return m }
func objects(v any) (out []map[string]any) {
	for _, raw := range list(v) {
		out = append(out, object(raw))
	}
	return out
}

// badTool checks a tool's name and schema.
func badTool(name string, schema any) string {
	if !toolName.MatchString(name) {
		return fmt.Sprintf("Invalid tool name %q: expected a string that matches the pattern %s", name, toolName)
	}
	s := object(schema)
	if schema != nil && (s == nil || s["type"] != "object") {
		return fmt.Sprintf("Invalid schema for function %q: schema must be of type \"object\"", name)
	}
	for _, combinator := range []string{"oneOf", "allOf", "anyOf"} {
		if s[combinator] != nil {
			return "input_schema does not support oneOf, allOf, or anyOf at the top level"
		}
	}
	return ""
}

// badEffort checks that tools are not combined with a reasoning effort, which newer
// models refuse, even for their default.
func badEffort(model string, req map[string]any) string {
	if !strings.HasPrefix(model, "gpt-5.6") && !strings.HasPrefix(model, "gpt-6") || len(list(req["tools"])) == 0 || str(req, "reasoning_effort") == "none" {
		return ""
	}
	return fmt.Sprintf("Function tools with reasoning_effort are not supported for %s in /v1/chat/completions. To use function tools, use /v1/responses or set reasoning_effort to 'none'.", model)
}

// badChat checks the turns of a chat completion: each tool call is answered immediately,
// and only tool calls are answered.
func badChat(req map[string]any) string {
	open := map[string]bool{}
	for i, m := range objects(req["messages"]) {
		if m["reasoning_details"] != nil {
			return fmt.Sprintf("Unknown parameter: 'messages[%d].reasoning_details'.", i)
		}
		if str(m, "role") == "tool" {
			id := str(m, "tool_call_id")
			if !open[id] {
				return fmt.Sprintf("messages[%d]: messages with role 'tool' must be a response to a preceding message with 'tool_calls'", i)
			}
			delete(open, id)
			continue
		}
		if len(open) > 0 {
			return fmt.Sprintf("messages[%d]: an assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'", i)
		}
		calls := objects(m["tool_calls"])
		if m["content"] == nil && len(calls) == 0 && m["refusal"] == nil && m["function_call"] == nil {
			return fmt.Sprintf("messages[%d].content: expected a string, got null", i)
		}
		for _, c := range calls {
			open[str(c, "id")] = true
		}
	}
	if len(open) > 0 {
		return "the last assistant message's 'tool_calls' are not answered"
	}
	for _, t := range objects(req["tools"]) {
		name, schema := chatTool(t)
		if str(t, "type") != "function" {
			continue
		}
		if why := badTool(name, schema); why != "" {
			return why
		}
		if schema != nil && object(object(schema)["properties"]) == nil {
			return fmt.Sprintf("Invalid schema for function '%s': In context=(), object schema missing properties.", name)
		}
	}
	if why := badSearchOptions(req); why != "" {
		return why
	}
	return badEffort(str(req, "model"), req)
}

// noPrefill matches the models whose conversations must end with the user.
var noPrefill = regexp.MustCompile(`^claude-(opus|sonnet)-(4-[6-9]|5)|^claude-fable`)

// badMessages checks a Messages request: results follow their calls and come first in
// their turn; no text is empty; schemas are objects; thinking leaves room for an answer
// and is Anthropic's own; there are at most four cache marks; newer models accept no
// prefill.
func badMessages(req map[string]any) string {
	var open map[string]bool
	ids := map[string]bool{}
	marks := 0
	for i, m := range objects(req["messages"]) {
		next := map[string]bool{}
		others := false
		if !inOrder(objects(m["content"])) {
			return fmt.Sprintf("messages.%d.content.1: `thinking` or `redacted_thinking` blocks in the latest assistant message cannot be modified.", i)
		}
		for j, b := range objects(m["content"]) {
			if b["cache_control"] != nil {
				marks++
			}
			switch str(b, "type") {
			case "text":
				others = true
				if str(b, "text") == "" {
					return fmt.Sprintf("messages.%d.content.%d: text content blocks must be non-empty", i, j)
				}
			case "thinking":
				if signature := str(b, "signature"); signature == "" || strings.HasPrefix(signature, "hostless") {
					return fmt.Sprintf("messages.%d.content.%d: Invalid `signature` in `thinking` block", i, j)
				}
			case "redacted_thinking":
				if data := str(b, "data"); data == "" || strings.HasPrefix(data, "hostless") {
					return fmt.Sprintf("messages.%d.content.%d: Invalid `data` in `redacted_thinking` block", i, j)
				}
			case "tool_use":
				if ids[str(b, "id")] {
					return fmt.Sprintf("messages.%d.content.%d: `tool_use` ids must be unique", i, j)
				}
				ids[str(b, "id")], next[str(b, "id")] = true, true
				if object(b["input"]) == nil {
					return fmt.Sprintf("messages.%d.content.%d.tool_use.input: Input should be a valid dictionary", i, j)
				}
			case "tool_result":
				if !open[str(b, "tool_use_id")] {
					return fmt.Sprintf("messages.%d.content.%d: unexpected `tool_use_id` found in `tool_result` blocks: %s", i, j, str(b, "tool_use_id"))
				}
				if others {
					return fmt.Sprintf("messages.%d: tool_result blocks must come first in a turn that answers tool_use", i)
				}
				delete(open, str(b, "tool_use_id"))
			}
		}
		if text, ok := m["content"].(string); ok && text == "" {
			return fmt.Sprintf("messages.%d: user messages must have non-empty content", i)
		}
		if len(open) > 0 && str(m, "role") != "system" {
			return fmt.Sprintf("messages.%d: `tool_use` ids were found without `tool_result` blocks immediately after", i)
		}
		if str(m, "role") != "system" {
			open = next
		}
	}
	for _, b := range objects(req["system"]) {
		if b["cache_control"] != nil {
			marks++
		}
		if str(b, "text") == "" {
			return "system: text content blocks must be non-empty"
		}
	}
	for i, t := range objects(req["tools"]) {
		if t["cache_control"] != nil {
			marks++
		}
		if name, schema := messagesTool(t); name != "" {
			if why := badTool(name, schema); why != "" {
				return fmt.Sprintf("tools.%d: %s", i, why)
			}
		}
	}
	if why := badServerTools(req); why != "" {
		return why
	}
	if marks > 4 {
		return fmt.Sprintf("A maximum of 4 blocks with cache_control may be provided. Found %d.", marks)
	}
	if len(open) > 0 {
		return "messages: `tool_use` ids were found without `tool_result` blocks immediately after"
	}
	if turns := objects(req["messages"]); len(turns) == 0 {
		return "messages: at least one message is required"
	} else if str(turns[len(turns)-1], "role") == "assistant" && noPrefill.MatchString(str(req, "model")) {
		return "This model does not support assistant message prefill. The conversation must end with a user message."
	}
	if why := badThinking(req); why != "" {
		return why
	}
	budget, _ := object(req["thinking"])["budget_tokens"].(float64)
	if most, _ := req["max_tokens"].(float64); budget > 0 && budget >= most {
		return "`max_tokens` must be greater than `thinking.budget_tokens`"
	}
	return ""
}

// geminiName matches the function names that Gemini accepts.
var geminiName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.:-]{0,63}$`)

// badContents checks a Gemini request: a turn with calls follows a user's turn and is
// followed by a turn with as many responses; a call of Gemini 3 has a signature, which
// must be Google's; arguments and responses are objects; names are valid; and no turn is
// empty.
func badContents(model string, req map[string]any) string {
	calls := 0
	if contents := objects(req["contents"]); len(contents) > 0 && str(contents[0], "role") == "model" {
		for _, p := range objects(contents[0]["parts"]) {
			if p["functionCall"] != nil {
				return "Please ensure that function call turn comes immediately after a user turn or after a function response turn."
			}
		}
	}
	for i, turn := range objects(req["contents"]) {
		parts := objects(turn["parts"])
		if len(parts) == 0 {
			return fmt.Sprintf("contents[%d].parts must not be empty", i)
		}
		called, answered := 0, 0
		for j, p := range parts {
			if sealed, _ := base64.StdEncoding.DecodeString(str(p, "thoughtSignature")); strings.HasPrefix(string(sealed), "hostless") {
				return "Corrupted thought signature."
			}
			for _, kind := range []string{"functionCall", "functionResponse"} {
				f := object(p[kind])
				if f == nil {
					continue
				}
				if !geminiName.MatchString(str(f, "name")) {
					return fmt.Sprintf("GenerateContentRequest.contents[%d].parts[%d].%s.name: Invalid function name.", i, j, kind)
				}
				if value := f[map[string]string{"functionCall": "args", "functionResponse": "response"}[kind]]; value != nil && object(value) == nil {
					return fmt.Sprintf("Invalid value at 'contents[%d].parts[%d].%s' (type.googleapis.com/google.protobuf.Struct)", i, j, kind)
				}
			}
			if p["functionCall"] != nil {
				called++
				if called == 1 && str(p, "thoughtSignature") == "" && !strings.HasPrefix(model, "gemini-2") {
					return fmt.Sprintf("Function call in position %d of contents[%d] is missing a thought_signature", j, i)
				}
			}
			if p["functionResponse"] != nil {
				answered++
			}
		}
		if answered != calls {
			return "Please ensure that the number of function response parts is equal to the number of function call parts of the function call turn."
		}
		calls = called
	}
	if calls > 0 {
		return "Please ensure that function call turn is followed by a function response turn."
	}
	if why := badGrounding(req); why != "" {
		return why
	}
	if why := badGenerationConfig(model, req); why != "" {
		return why
	}
	for i, group := range objects(req["tools"]) {
		for j, f := range objects(group["functionDeclarations"]) {
			name, schema := declaration(f)
			if !geminiName.MatchString(name) {
				return fmt.Sprintf("GenerateContentRequest.tools[%d].function_declarations[%d].name: Invalid function name. Must start with a letter or an underscore.", i, j)
			}
			if s := object(schema); schema != nil && (s == nil || s["type"] != "object" && s["type"] != "OBJECT") {
				return fmt.Sprintf("GenerateContentRequest.tools[%d].function_declarations[%d].parameters: schema must be of type OBJECT", i, j)
			}
		}
	}
	for _, name := range list(object(object(req["toolConfig"])["functionCallingConfig"])["allowedFunctionNames"]) {
		if name, _ := name.(string); !geminiName.MatchString(name) {
			return "GenerateContentRequest.tool_config.function_calling_config.allowed_function_names: Invalid function name."
		}
	}
	return ""
}
