package anthropic

import (
	"bytes"
	"slices"
	"strconv"

	"github.com/hostless/hostless/pkg/jsonscan"
)

// newest are the members of a Messages request that only Anthropic's own API
// supports, and not every compatible server. A request still makes sense without
// them.
var newest = []string{"context_management", "output_config", "service_tier", "inference_geo", "speed", "cache_control"}

// newestOfTool are such members of a tool.
var newestOfTool = []string{"defer_loading", "eager_input_streaming", "allowed_callers", "input_examples", "strict", "type"}

// Lean returns the edits that adapt a Messages request to servers that do not
// support the newest fields. They remove these fields, reduce marks for the prompt
// cache to their type, and replace adaptive thinking by thinking with a token
// budget. Tool inputs and schemas stay unchanged. names lists the affected fields.
func Lean(data []byte) (edits []jsonscan.Edit, names []string) {
	l := lean{data: data}
	whole := jsonscan.Span{End: len(bytes.TrimRight(data, " \t\r\n"))}
	f := jsonscan.Fields(data, whole, "system", "messages", "tools", "thinking", "max_tokens")
	l.blocks(f[0])
	for _, m := range jsonscan.Spans(data, f[1]) {
		for _, block := range l.blocks(jsonscan.Fields(data, m, "content")[0]) {
			l.blocks(jsonscan.Fields(data, block, "content")[0]) // of a tool's result
		}
	}
	for _, tool := range jsonscan.Spans(data, f[2]) {
		l.mark(tool)
		l.cut(tool, "tools.", func(name string, value []byte) bool {
			return slices.Contains(newestOfTool, name) && (name != "type" || string(value) == `"custom"`)
		})
	}
	l.thinking(f[3], f[4])
	l.cut(whole, "", func(name string, _ []byte) bool { return slices.Contains(newest, name) })
	return l.edits, l.names
}

type lean struct {
	data  []byte
	edits []jsonscan.Edit
	notes
}

// blocks reduces the marks in a list of content blocks, and returns the blocks.
func (l *lean) blocks(at jsonscan.Span) []jsonscan.Span {
	all := jsonscan.Spans(l.data, at)
	for _, block := range all {
		l.mark(block)
	}
	return all
}

func (l *lean) mark(block jsonscan.Span) {
	at := jsonscan.Fields(l.data, block, "cache_control")[0]
	for name := range jsonscan.Members(at.Of(l.data)) {
		if string(name) != "type" {
			l.edits = append(l.edits, jsonscan.Edit{At: at, Text: []byte(`{"type":"ephemeral"}`)})
			l.ignore("cache_control." + string(name))
			return
		}
	}
}

// cut removes members from an object.
func (l *lean) cut(at jsonscan.Span, prefix string, chosen func(name string, value []byte) bool) {
	l.edits = append(l.edits, jsonscan.CutMembers(l.data, at, func(name string) bool {
		if !chosen(name, jsonscan.Fields(l.data, at, name)[0].Of(l.data)) {
			return false
		}
		if name != "type" {
			l.ignore(prefix + name)
		}
		return true
	})...)
}

// thinking replaces adaptive thinking by a budget of half of the tokens.
func (l *lean) thinking(at, most jsonscan.Span) {
	kind := jsonscan.Fields(l.data, at, "type")[0].Of(l.data)
	if string(kind) != `"adaptive"` {
		return
	}
	text := `{"type":"disabled"}`
	if n, err := strconv.ParseInt(string(most.Of(l.data)), 10, 64); err == nil && n/2 >= leastBudget {
		text = `{"type":"enabled","budget_tokens":` + strconv.FormatInt(min(n/2, budgets["max"]), 10) + `}`
	}
	l.edits = append(l.edits, jsonscan.Edit{At: at, Text: []byte(text)})
	l.ignore("thinking.type")
}

// WithThinking returns the edits that change the type of thinking of a Messages request
// to way, "adaptive" or "enabled" (with a budget), if it has the other one.
func WithThinking(data []byte, way string) (edits []jsonscan.Edit, names []string) {
	whole := jsonscan.Span{End: len(bytes.TrimRight(data, " \t\r\n"))}
	f := jsonscan.Fields(data, whole, "thinking", "max_tokens", "output_config")
	l := lean{data: data}
	switch kind := string(jsonscan.Fields(data, f[0], "type")[0].Of(data)); {
	case way == "enabled" && kind == `"adaptive"`:
		l.thinking(f[0], f[1])
		l.cut(f[2], "output_config.", func(name string, _ []byte) bool { return name == "effort" })
	case way == "adaptive" && kind == `"enabled"`:
		l.edits = append(l.edits, jsonscan.Edit{At: f[0], Text: []byte(`{"type":"adaptive"}`)})
		l.ignore("thinking.type")
	}
	return l.edits, l.names
}

// WithoutThinking returns the edits that remove the thinking whose signature, or
// sealed data, refused selects from a Messages request. If a tool result then
// follows a turn that does not begin with thinking, thinking with a budget is
// switched off, because Anthropic refuses it there.
func WithoutThinking(data []byte, refused func(signature []byte) bool) (edits []jsonscan.Edit, names []string) {
	whole := jsonscan.Span{End: len(bytes.TrimRight(data, " \t\r\n"))}
	f := jsonscan.Fields(data, whole, "messages", "thinking")
	chosen := func(block jsonscan.Span) string {
		b := jsonscan.Fields(data, block, "type", "signature", "data")
		switch string(b[0].Of(data)) {
		case `"thinking"`:
			if refused(b[1].Of(data)) {
				return "thinking"
			}
		case `"redacted_thinking"`:
			if refused(b[2].Of(data)) {
				return "redacted_thinking"
			}
		}
		return ""
	}
	edits, names = cutBlocks(data, f[0], chosen)
	kind := jsonscan.Fields(data, f[1], "type")[0].Of(data)
	if turns := jsonscan.Spans(data, f[0]); len(edits) > 0 && string(kind) == `"enabled"` && len(turns) > 0 {
		for _, block := range jsonscan.Spans(data, jsonscan.Fields(data, turns[len(turns)-1], "content")[0]) {
			if string(jsonscan.Fields(data, block, "type")[0].Of(data)) == `"tool_result"` {
				return append(edits, jsonscan.Edit{At: f[1], Text: []byte(`{"type":"disabled"}`)}), names
			}
		}
	}
	return edits, names
}

// picture replaces an image that a model cannot read.
const picture = `{"type":"text","text":"[picture left out: this model reads text only]"}`

// WithoutPictures returns the edits that replace each image of a Messages request
// by a line of text, also in tool results.
func WithoutPictures(data []byte) (edits []jsonscan.Edit, names []string) {
	whole := jsonscan.Span{End: len(bytes.TrimRight(data, " \t\r\n"))}
	var blocks func(at jsonscan.Span, depth int)
	blocks = func(at jsonscan.Span, depth int) {
		for _, block := range jsonscan.Spans(data, at) {
			f := jsonscan.Fields(data, block, "type", "content")
			switch string(f[0].Of(data)) {
			case `"image"`:
				edits = append(edits, jsonscan.Edit{At: block, Text: []byte(picture)})
				names = []string{"messages.image"}
			case `"tool_result"`:
				if depth == 0 {
					blocks(f[1], depth+1)
				}
			}
		}
	}
	for _, m := range jsonscan.Spans(data, jsonscan.Fields(data, whole, "messages")[0]) {
		blocks(jsonscan.Fields(data, m, "content")[0], 0)
	}
	return edits, names
}
