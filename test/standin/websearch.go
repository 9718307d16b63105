package standin

import (
	"fmt"
	"regexp"
	"strings"
)

// The stand-ins search the web if asked to: with a query of the model, and one result
// that the first three characters of the answer cite.
const (
	SearchQuery = "tide table brest harbour"
	SearchURL   = "https://tides.example/brest"
	SearchTitle = "Tides at Brest"
)

// searchModel matches OpenAI's models that accept web_search_options in chat completions.
var searchModel = regexp.MustCompile(`-search-(preview|api)`)

// badSearchOptions checks the web_search_options of a chat completion.
func badSearchOptions(req map[string]any) string {
	if req["web_search_options"] == nil {
		return ""
	}
	if !searchModel.MatchString(str(req, "model")) {
		return "Web search options not supported with this model."
	}
	for name := range object(req["web_search_options"]) {
		if name != "search_context_size" && name != "user_location" {
			return fmt.Sprintf("Unknown parameter: 'web_search_options.%s'.", name)
		}
	}
	return ""
}

// serverTools matches the tools that Anthropic runs, or whose schema it knows.
var serverTools = regexp.MustCompile(`^(web_search|web_fetch|code_execution|bash|text_editor|memory|computer|tool_search_tool_[a-z0-9]+)_\d{8}$`)

// badServerTools checks the tools in a Messages request that have no schema from the
// client, and their results in the history, which must be Anthropic's own.
func badServerTools(req map[string]any) string {
	names := map[string]bool{}
	for i, t := range objects(req["tools"]) {
		if names[str(t, "name")] {
			return "tools: Tool names must be unique."
		}
		names[str(t, "name")] = true
		kind := str(t, "type")
		if kind == "" || kind == "custom" {
			continue
		}
		if !serverTools.MatchString(kind) {
			return fmt.Sprintf("tools.%d: Input tag '%s' found using 'type' does not match any of the expected tags", i, kind)
		}
		if strings.HasPrefix(kind, "web_search_") && str(t, "name") != "web_search" {
			return fmt.Sprintf("tools.%d.%s.name: Input should be 'web_search'", i, kind)
		}
		if t["allowed_domains"] != nil && t["blocked_domains"] != nil {
			return fmt.Sprintf("tools.%d: allowed_domains and blocked_domains cannot be used together", i)
		}
	}
	for i, m := range objects(req["messages"]) {
		for j, b := range objects(m["content"]) {
			for _, c := range objects(b["citations"]) {
				if strings.HasPrefix(str(c, "encrypted_index"), "hostless") {
					return fmt.Sprintf("messages.%d.content.%d: Invalid `encrypted_index` in `citations`", i, j)
				}
			}
			for _, r := range objects(b["content"]) {
				if str(b, "type") == "web_search_tool_result" && strings.HasPrefix(str(r, "encrypted_content"), "hostless") {
					return fmt.Sprintf("messages.%d.content.%d: Invalid `encrypted_content` in `search_result` block", i, j)
				}
			}
		}
	}
	return ""
}

// searchBlocks returns Anthropic's blocks for a search and the cited text after it; none
// if the request has no search tool.
func searchBlocks(req map[string]any, answer string) []any {
	for _, t := range objects(req["tools"]) {
		if !strings.HasPrefix(str(t, "type"), "web_search_") {
			continue
		}
		result := map[string]any{"type": "web_search_result", "url": SearchURL, "title": SearchTitle, "encrypted_content": "ZW5jcnlwdGVk", "page_age": nil}
		cited := map[string]any{"type": "web_search_result_location", "url": SearchURL, "title": SearchTitle, "encrypted_index": "aW5kZXg=", "cited_text": "High water at four."}
		return []any{
			map[string]any{"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": map[string]any{"query": SearchQuery}},
			map[string]any{"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []any{result}},
			map[string]any{"type": "text", "text": answer, "citations": []any{cited}},
		}
	}
	return nil
}

// badGrounding checks Google's own tools, which it does not accept together with
// functions.
func badGrounding(req map[string]any) string {
	functions, own := false, ""
	for i, t := range objects(req["tools"]) {
		for name := range t {
			switch name {
			case "functionDeclarations":
				functions = true
			case "googleSearch", "urlContext", "codeExecution":
				own = name
			default:
				return fmt.Sprintf("Invalid JSON payload received. Unknown name %q at 'tools[%d]': Cannot find field.", name, i)
			}
		}
	}
	if functions && own != "" {
		return "Built-in tools ({" + own + "}) and Function Calling cannot be combined in the same request. Please choose one of them."
	}
	return ""
}

// groundingOf returns Gemini's information about its search; nil if none was requested.
func groundingOf(req map[string]any) map[string]any {
	for _, t := range objects(req["tools"]) {
		if t["googleSearch"] != nil {
			return map[string]any{
				"webSearchQueries":  []any{SearchQuery},
				"groundingChunks":   []any{map[string]any{"web": map[string]any{"uri": SearchURL, "title": SearchTitle}}},
				"groundingSupports": []any{map[string]any{"segment": map[string]any{"startIndex": 0, "endIndex": 3, "text": "You"}, "groundingChunkIndices": []any{0}}},
			}
		}
	}
	return nil
}

// hostedTool matches the tool types in the Responses API other than functions.
var hostedTool = regexp.MustCompile(`^(custom|namespace|web_search(_preview)?(_\d{4}_\d{2}_\d{2})?|file_search|code_interpreter|image_generation|computer(_use_preview)?|local_shell|shell|apply_patch|mcp|tool_search)$`)

// search creates a search item if the request has a tool for one, and returns the
// annotations for the following text.
func (r *responding) search() []any {
	for _, t := range objects(r.req["tools"]) {
		if !strings.HasPrefix(str(t, "type"), "web_search") {
			continue
		}
		action := map[string]any{"type": "search", "query": SearchQuery}
		for _, name := range list(r.req["include"]) {
			if name == "web_search_call.action.sources" {
				action["sources"] = []any{map[string]any{"type": "url", "url": SearchURL}}
			}
		}
		r.open(map[string]any{"id": "ws_1", "type": "web_search_call", "status": "in_progress"})
		for _, state := range []string{"in_progress", "searching", "completed"} {
			r.emit("response.web_search_call."+state, map[string]any{"item_id": "ws_1", "output_index": len(r.output)})
		}
		r.done(map[string]any{"id": "ws_1", "type": "web_search_call", "status": "completed", "action": action})
		return []any{map[string]any{"type": "url_citation", "start_index": 0, "end_index": 3, "url": SearchURL, "title": SearchTitle}}
	}
	return nil
}
