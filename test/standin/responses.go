package standin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// encryptedMark is the beginning of encrypted reasoning made by the stand-in.
const encryptedMark = "gAAAAstandin"

// responsesOnly matches the models that chat completions refuse.
var responsesOnly = regexp.MustCompile(`^(gpt|o[1-9])[^/]*(-codex|-pro\b|deep-research)|^codex-`)

// reasons reports whether a model thinks.
func reasons(model string) bool {
	return regexp.MustCompile(`^(gpt-[56]|o[1-9]|codex-)`).MatchString(model)
}

func responseObject(id, model, status string, output []any) map[string]any {
	o := map[string]any{"id": id, "object": "response", "created_at": 1700000000, "status": status, "model": model, "output": output, "error": nil,
		"incomplete_details": nil, "instructions": nil, "metadata": map[string]any{}, "parallel_tool_calls": true, "temperature": 1, "tool_choice": "auto", "tools": []any{}, "top_p": 1, "usage": nil}
	if status == "completed" {
		o["usage"] = map[string]any{"input_tokens": 9, "input_tokens_details": map[string]any{"cached_tokens": 0}, "output_tokens": 4, "output_tokens_details": map[string]any{"reasoning_tokens": 0}, "total_tokens": 13}
	}
	return o
}

// responsesTurn is openAITurn for the Responses API.
func responsesTurn(req map[string]any) (answer, tool, args string) {
	prompt, ok := req["input"].(string)
	if ok {
		answer = echoReply(prompt, 0)
	}
	if items, _ := req["input"].([]any); len(items) > 0 {
		last := lastTurn(items)
		if strings.HasSuffix(str(last, "type"), "_output") {
			output, _ := text(last["output"])
			return "Tool said: " + output, "", ""
		}
		var others int
		prompt, others = text(last["content"])
		answer = echoReply(prompt, others)
	}
	tools, _ := req["tools"].([]any)
	if name, schema := pick(tools, responsesTool); name != "" {
		return "", name, compact(toolArguments(prompt, name, schema))
	}
	return answer, "", ""
}

// responseEvents sends the events of a response with send. A model that thinks only does
// so if the client accepts encrypted reasoning.
func responseEvents(req map[string]any, id string, sc *scene, send func(map[string]any)) {
	r := responding{req: req, model: str(req, "model"), send: send}
	answer, tool, args := responsesTurn(req)
	if sc != nil {
		answer, tool, args, r.id = sc.text, sc.tool, compact(sc.args), sc.id
	}
	r.emit("response.created", map[string]any{"response": responseObject(id, r.model, "in_progress", []any{})})
	r.emit("response.in_progress", map[string]any{"response": responseObject(id, r.model, "in_progress", []any{})})
	if req["generate"] == false { // a WebSocket's warm-up: the request is stored without a response
		r.emit("response.completed", map[string]any{"response": responseObject(id, r.model, "completed", []any{})})
		return
	}
	if prompt, _ := text(lastTurn(list(req["input"]))["content"]); overflows(prompt) {
		failed := responseObject(id, r.model, "failed", []any{})
		failed["error"] = map[string]any{"code": "context_length_exceeded", "message": "Your input exceeds the context window of this model. Please adjust your input and try again."}
		r.emit("response.failed", map[string]any{"response": failed})
		return
	}
	if slices.ContainsFunc(objects(req["input"]), func(item map[string]any) bool { return str(item, "type") == "compaction_trigger" }) {
		r.open(map[string]any{"id": "cmp_1", "type": "compaction", "encrypted_content": encryptedMark})
		r.done(map[string]any{"id": "cmp_1", "type": "compaction", "encrypted_content": encryptedMark})
		r.emit("response.completed", map[string]any{"response": responseObject(id, r.model, "completed", r.output)})
		return
	}
	if reasons(r.model) && slices.Contains(list(req["include"]), any("reasoning.encrypted_content")) {
		r.reasoning()
	}
	if tool != "" {
		r.call(tool, args)
	} else {
		r.message(answer, r.search())
	}
	if metadata, _ := req["metadata"].(map[string]any); metadata["standin"] == "unknown event" {
		r.emit("response.standin_unknown", map[string]any{"note": "a provider may send what no client knows yet"})
	}
	r.emit("response.completed", map[string]any{"response": responseObject(id, r.model, "completed", r.output)})
}

// responding is a response in progress.
type responding struct {
	req    map[string]any
	model  string
	send   func(map[string]any)
	seq    int
	output []any
	id     int // id of the tool call in a script
}

func (r *responding) emit(kind string, fields map[string]any) {
	fields["type"], fields["sequence_number"] = kind, r.seq
	r.seq++
	r.send(fields)
}

// open announces an item; done ends it.
func (r *responding) open(item map[string]any) {
	r.emit("response.output_item.added", map[string]any{"output_index": len(r.output), "item": item})
}

func (r *responding) done(item map[string]any) {
	r.emit("response.output_item.done", map[string]any{"output_index": len(r.output), "item": item})
	r.output = append(r.output, item)
}

func (r *responding) reasoning() {
	r.open(map[string]any{"id": "rs_1", "type": "reasoning", "summary": []any{}})
	summary := []any{}
	if str(object(r.req["reasoning"]), "summary") != "" {
		at := func(m map[string]any) map[string]any {
			m["item_id"], m["output_index"], m["summary_index"] = "rs_1", len(r.output), 0
			return m
		}
		const text = "Let me think."
		r.emit("response.reasoning_summary_part.added", at(map[string]any{"part": map[string]any{"type": "summary_text", "text": ""}}))
		for _, p := range pieces(text) {
			r.emit("response.reasoning_summary_text.delta", at(map[string]any{"delta": p}))
		}
		r.emit("response.reasoning_summary_text.done", at(map[string]any{"text": text}))
		summary = []any{map[string]any{"type": "summary_text", "text": text}}
		r.emit("response.reasoning_summary_part.done", at(map[string]any{"part": summary[0]}))
	}
	r.done(map[string]any{"id": "rs_1", "type": "reasoning", "summary": summary, "encrypted_content": fmt.Sprintf("%s%d", encryptedMark, len(list(r.req["input"])))})
}

func (r *responding) call(tool, args string) {
	id := r.id
	if id == 0 {
		id = 1 + len(list(r.req["input"]))
	}
	item := func(status, args string) map[string]any {
		return map[string]any{"id": "fc_1", "type": "function_call", "status": status, "call_id": fmt.Sprintf("call_%d", id), "name": tool, "arguments": args}
	}
	r.open(item("in_progress", ""))
	for _, p := range pieces(args) {
		r.emit("response.function_call_arguments.delta", map[string]any{"item_id": "fc_1", "output_index": len(r.output), "delta": p})
	}
	r.emit("response.function_call_arguments.done", map[string]any{"item_id": "fc_1", "output_index": len(r.output), "arguments": args})
	r.done(item("completed", args))
}

func (r *responding) message(answer string, cited []any) {
	part := func(t string) map[string]any {
		annotations := []any{}
		if t != "" {
			annotations = append(annotations, cited...)
		}
		return map[string]any{"type": "output_text", "text": t, "annotations": annotations, "logprobs": []any{}}
	}
	at := func(m map[string]any) map[string]any {
		m["item_id"], m["output_index"], m["content_index"] = "msg_1", len(r.output), 0
		return m
	}
	r.open(map[string]any{"id": "msg_1", "type": "message", "status": "in_progress", "role": "assistant", "content": []any{}})
	r.emit("response.content_part.added", at(map[string]any{"part": part("")}))
	for _, p := range pieces(answer) {
		r.emit("response.output_text.delta", at(map[string]any{"delta": p, "logprobs": []any{}}))
	}
	for i, c := range cited {
		r.emit("response.output_text.annotation.added", at(map[string]any{"annotation_index": i, "annotation": c}))
	}
	r.emit("response.output_text.done", at(map[string]any{"text": answer, "logprobs": []any{}}))
	r.emit("response.content_part.done", at(map[string]any{"part": part(answer)}))
	r.done(map[string]any{"id": "msg_1", "type": "message", "status": "completed", "role": "assistant", "content": []any{part(answer)}})
}

func openAIResponses(w http.ResponseWriter, r *http.Request) {
	var req map[string]any
	json.NewDecoder(r.Body).Decode(&req)
	if failing(w, str(req, "model")) {
		return
	}
	if why := badResponses(req); why != "" {
		e := openAIError("invalid_request_error", why)
		object(e["error"])["param"] = paramOf(why, "reasoning.effort")
		if strings.Contains(why, "could not be verified") {
			object(e["error"])["code"] = "invalid_encrypted_content"
		}
		reply(w, 400, e)
		return
	}
	var said *scene
	if sc, ok := scripted(r, req, list(req["tools"]), responsesTool); ok {
		if sc.tooLong {
			reply(w, 400, tooLongHere())
			return
		}
		said = &sc
	}
	send := func(ev map[string]any, on func(map[string]any)) {
		if usage := object(object(ev["response"])["usage"]); usage != nil && cached(r) > 0 {
			object(usage["input_tokens_details"])["cached_tokens"] = cached(r)
		}
		if usage := object(object(ev["response"])["usage"]); usage != nil && said != nil && said.large {
			usage["input_tokens"], usage["total_tokens"] = largePrompt, largePrompt+4
		}
		on(ev)
	}
	if req["stream"] == true {
		s := newStream(w)
		responseEvents(req, "resp_1", said, func(ev map[string]any) { send(ev, func(ev map[string]any) { s.send(str(ev, "type"), ev) }) })
		return
	}
	responseEvents(req, "resp_1", said, func(ev map[string]any) {
		send(ev, func(ev map[string]any) {
			if ev["type"] == "response.completed" {
				reply(w, 200, ev["response"])
			}
		})
	})
}

func responsesTool(t map[string]any) (string, any) {
	if str(t, "type") != "function" {
		return "", nil
	}
	return str(t, "name"), t["parameters"]
}

// parameters lists the members that the Responses API accepts
// (https://platform.openai.com/docs/api-reference/responses/create), including those of
// Codex and of WebSocket messages.
var parameters = strings.Fields(`background client_metadata context_management conversation generate include input instructions
	max_output_tokens max_tool_calls metadata model parallel_tool_calls previous_response_id prompt prompt_cache_key prompt_cache_retention
	reasoning safety_identifier service_tier store stream stream_options temperature text tool_choice tools top_logprobs top_p truncation type user`)

// badResponses checks a request: parameters are known, outputs belong to calls and calls
// have outputs, tools are flat and their schemas complete, and reasoning is OpenAI's own.
func badResponses(req map[string]any) string {
	for name := range req {
		if !slices.Contains(parameters, name) {
			return fmt.Sprintf("Unknown parameter: '%s'.", name)
		}
	}
	if most, ok := req["max_output_tokens"].(float64); ok && most < 16 {
		return fmt.Sprintf("Invalid 'max_output_tokens': integer below minimum value. Expected a value >= 16, but got %v instead.", most)
	}
	if !reasons(str(req, "model")) && slices.Contains(list(req["include"]), any("reasoning.encrypted_content")) {
		return "Encrypted content is not supported with this model."
	}
	for _, name := range []string{"temperature", "top_p"} {
		if _, ok := req[name].(float64); ok && reasons(str(req, "model")) {
			return fmt.Sprintf("Unsupported parameter: '%s' is not supported with this model.", name)
		}
	}
	if why := badWord(str(req, "model"), "reasoning.effort", object(req["reasoning"])["effort"]); why != "" {
		return why
	}
	for _, t := range objects(req["tools"]) {
		if str(t, "type") != "function" {
			if !hostedTool.MatchString(str(t, "type")) {
				return fmt.Sprintf("Invalid value: '%s'. (tools)", str(t, "type"))
			}
			continue
		}
		if str(t, "name") == "" {
			return "Missing required parameter: 'tools[0].name'."
		}
		if why := badTool(str(t, "name"), t["parameters"]); why != "" {
			return why
		}
		if t["parameters"] != nil && object(object(t["parameters"])["properties"]) == nil {
			return fmt.Sprintf("Invalid schema for function '%s': In context=(), object schema missing properties.", str(t, "name"))
		}
		if strict, given := t["strict"]; (!given || strict == true) && object(t["parameters"])["additionalProperties"] != false {
			return fmt.Sprintf("Invalid schema for function '%s': In context=(), 'additionalProperties' is required to be supplied and to be false.", str(t, "name"))
		}
	}
	return badItems(objects(req["input"]), str(req, "previous_response_id") != "")
}

// badItems checks the items of a request.
func badItems(items []map[string]any, continued bool) string {
	open := map[string]string{}
	for i, item := range items {
		switch kind := str(item, "type"); kind {
		case "", "message":
			for j, p := range objects(item["content"]) {
				want := "input_"
				if str(item, "role") == "assistant" {
					want = "output_text refusal"
				}
				if !strings.HasPrefix(str(p, "type"), want) && !strings.Contains(want, str(p, "type")) {
					return fmt.Sprintf("Invalid value: '%s'. Supported values are: 'output_text' and 'refusal' (input[%d].content[%d])", str(p, "type"), i, j)
				}
			}
		case "function_call", "custom_tool_call":
			if !json.Valid([]byte(str(item, "arguments"))) && kind == "function_call" {
				return fmt.Sprintf("Invalid 'input[%d].arguments': not JSON", i)
			}
			open[str(item, "call_id")] = kind + "_output"
		case "function_call_output", "custom_tool_call_output":
			if open[str(item, "call_id")] != kind && !continued {
				return fmt.Sprintf("No tool call found for function call output with call_id %s (input[%d])", str(item, "call_id"), i)
			}
			delete(open, str(item, "call_id"))
		case "reasoning", "compaction":
			if content, given := item["encrypted_content"].(string); given && !strings.HasPrefix(content, encryptedMark) {
				return fmt.Sprintf("The encrypted content %s could not be verified. Reason: Encrypted content could not be decrypted or parsed.", content)
			}
		}
	}
	for id := range open {
		return fmt.Sprintf("No tool output found for function call %s.", id)
	}
	return ""
}
