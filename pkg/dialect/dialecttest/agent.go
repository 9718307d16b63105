package dialecttest

import (
	"encoding/json"
	"fmt"
	"strings"
)

// source is what agents' tools typically return: code, with tabs, quotes,
// backslashes and a few non-ASCII characters.
const source = `package store

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
)

var name = regexp.MustCompile("^[a-z][a-z0-9-]{0,62}$") // \d is not \w

// Load reads the record "id" – or says why it cannot – from dir.
func Load(dir, id string) (*Record, error) {
	if !name.MatchString(id) {
		return nil, fmt.Errorf("load %q: not a name\n", id)
	}
	data, err := os.ReadFile(filepath.Join(dir, id+".json"))
	if err != nil {
		return nil, fmt.Errorf("load %q: %w", id, err)
	}
	var r Record
	if err := json.Unmarshal(data, &r); err != nil {
		return nil, fmt.Errorf("load %q: %w", id, err)
	}
	return &r, nil // größer als nötig
}
`

// step is one round of an agent: its text, the tool that it calls, and the result.
type step struct{ says, tool, input, result string }

// turn returns a conversation of an agent, of about size bytes.
func turn(size int) (tools []map[string]any, steps []step) {
	count := min(max(size/8192, 2), 24)
	for i := range count {
		tools = append(tools, map[string]any{
			"name":        fmt.Sprintf("tool_%d", i),
			"description": "Reads a part of a file. Lines are numbered from 1; `offset` and `limit` count lines.\nUse it before any edit, and do not guess at \"content\".",
			"schema": map[string]any{
				"type": "object", "required": []string{"path", "options"}, "additionalProperties": false,
				"properties": map[string]any{
					"path":   map[string]any{"type": "string", "description": "An absolute path, e.g. \"/src/store.go\""},
					"offset": map[string]any{"type": "integer", "minimum": 1},
					"options": map[string]any{"type": "object", "properties": map[string]any{
						"format": map[string]any{"type": "string", "enum": []string{"text", "hex", "base64"}},
						"lines":  map[string]any{"type": "array", "items": map[string]any{"type": "integer"}},
					}},
				},
			},
		})
	}
	for n := 0; n < size; {
		i := len(steps)
		result := strings.Repeat(source, 1+i%7)
		input, _ := json.Marshal(map[string]any{"path": fmt.Sprintf("/src/store_%d.go", i), "old": source[:200], "options": map[string]any{"lines": []int{1, 200}}})
		steps = append(steps, step{"I look at the next file, and then run the tests.", fmt.Sprintf("tool_%d", i%count), string(input), result})
		n += len(result) + 600
	}
	return tools, steps
}

// Agent returns a request of an agent of about size bytes in a dialect:
// "anthropic", "openai" (chat completions), "responses" or "gemini". It contains
// tools with schemas, calls, and results that are code.
func Agent(dialect string, size int) []byte {
	guess := size
	for range 4 { // escapes make the request larger than its texts
		body := agent(dialect, guess)
		if miss := len(body) - size; miss > -size/20 && miss < size/20 {
			return body
		}
		guess = max(guess*size/len(body), 1024)
	}
	return agent(dialect, guess)
}

func agent(dialect string, size int) []byte {
	tools, steps := turn(size)
	const task = "Find out why Load fails for names with an \"ä\", and mend it.\n\nKeep the error texts as they are."
	type object = map[string]any
	var body object
	var list []any
	switch dialect {
	case "anthropic":
		content := []any{object{"type": "text", "text": task}}
		for i, s := range steps {
			id := fmt.Sprintf("toolu_%d", i)
			list = append(list, object{"role": "user", "content": content},
				object{"role": "assistant", "content": []any{
					object{"type": "text", "text": s.says}, object{"type": "tool_use", "id": id, "name": s.tool, "input": json.RawMessage(s.input)}}})
			content = []any{object{"type": "tool_result", "tool_use_id": id, "content": []any{object{"type": "text", "text": s.result}}}}
		}
		list = append(list, object{"role": "user", "content": content})
		var declared []any
		for _, t := range tools {
			declared = append(declared, object{"name": t["name"], "description": t["description"], "input_schema": t["schema"]})
		}
		body = object{"model": "m", "max_tokens": 8192, "stream": true, "system": []any{object{"type": "text", "text": task, "cache_control": object{"type": "ephemeral"}}}, "messages": list, "tools": declared}
	case "openai":
		list = append(list, object{"role": "system", "content": task}, object{"role": "user", "content": task})
		for i, s := range steps {
			id := fmt.Sprintf("call_%d", i)
			list = append(list, object{"role": "assistant", "content": s.says, "tool_calls": []any{object{"id": id, "type": "function", "function": object{"name": s.tool, "arguments": s.input}}}},
				object{"role": "tool", "tool_call_id": id, "content": s.result})
		}
		var declared []any
		for _, t := range tools {
			declared = append(declared, object{"type": "function", "function": object{"name": t["name"], "description": t["description"], "parameters": t["schema"]}})
		}
		body = object{"model": "m", "max_completion_tokens": 8192, "stream": true, "messages": list, "tools": declared}
	case "responses":
		list = append(list, object{"role": "user", "content": []any{object{"type": "input_text", "text": task}}})
		for i, s := range steps {
			id := fmt.Sprintf("call_%d", i)
			list = append(list, object{"type": "message", "role": "assistant", "content": []any{object{"type": "output_text", "text": s.says}}},
				object{"type": "function_call", "call_id": id, "name": s.tool, "arguments": s.input},
				object{"type": "function_call_output", "call_id": id, "output": s.result})
		}
		var declared []any
		for _, t := range tools {
			declared = append(declared, object{"type": "function", "name": t["name"], "description": t["description"], "parameters": t["schema"]})
		}
		body = object{"model": "m", "max_output_tokens": 8192, "stream": true, "instructions": task, "input": list, "tools": declared}
	case "gemini":
		list = append(list, object{"role": "user", "parts": []any{object{"text": task}}})
		for _, s := range steps {
			list = append(list, object{"role": "model", "parts": []any{object{"text": s.says}, object{"functionCall": object{"name": s.tool, "args": json.RawMessage(s.input)}}}},
				object{"role": "user", "parts": []any{object{"functionResponse": object{"name": s.tool, "response": object{"content": s.result}}}}})
		}
		var declared []any
		for _, t := range tools {
			declared = append(declared, object{"name": t["name"], "description": t["description"], "parametersJsonSchema": t["schema"]})
		}
		body = object{"contents": list, "systemInstruction": object{"parts": []any{object{"text": task}}}, "tools": []any{object{"functionDeclarations": declared}}, "generationConfig": object{"maxOutputTokens": 8192}}
	}
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(body); err != nil {
		panic(err) // cannot happen: the body is made above
	}
	return []byte(strings.TrimSuffix(b.String(), "\n"))
}
