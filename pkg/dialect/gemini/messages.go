package gemini

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/rawjson"
	"github.com/hostless/hostless/pkg/jsonscan"
)

// message is one of a chat request's.
type message struct {
	Role         string          `json:"role"`
	Content      jsonscan.Value  `json:"content"`
	Name         string          `json:"name"`
	Refusal      jsonscan.String `json:"refusal"`
	ToolCalls    []toolCall      `json:"tool_calls"`
	FunctionCall *chatFunction   `json:"function_call"`
	ToolCallID   string          `json:"tool_call_id"`
	Extra        extraContent    `json:"extra_content"`
	CacheControl json.RawMessage `json:"cache_control"`
}

type toolCall struct {
	ID       string       `json:"id"`
	Type     string       `json:"type"`
	Function chatFunction `json:"function"`
	Extra    extraContent `json:"extra_content"`
}

type chatFunction struct {
	Name      string          `json:"name"`
	Arguments jsonscan.String `json:"arguments"`
}

type extraContent struct {
	Google struct {
		ThoughtSignature string `json:"thought_signature"`
	} `json:"google"`
}

// pendingCall is a call whose result is to come.
type pendingCall struct {
	id, name string
	result   *functionResponse
	media    []part // images and files beside the result's text
}

func (t *toGemini) messages() error {
	t.names = map[string]string{}
	for i, raw := range t.req.Messages {
		at := fmt.Sprintf("messages[%d]", i)
		var m message
		if err := raw.Decode(&m); err != nil {
			return dialect.Invalid(at, at+" is not a message: "+dialect.Why(err))
		}
		if rawjson.Set(m.CacheControl) != nil {
			t.ignore("cache_control")
		}
		if m.Role != "tool" && m.Role != "function" {
			t.results()
		}
		if err := t.message(&m, at); err != nil {
			return err
		}
	}
	t.results()
	return nil
}

func (t *toGemini) message(m *message, at string) error {
	switch m.Role {
	case "system", "developer":
		parts, err := t.parts(m.Content, at+".content")
		t.system = append(t.system, parts...)
		return err
	case "user":
		parts, err := t.parts(m.Content, at+".content")
		t.add("user", parts)
		return err
	case "assistant":
		return t.assistant(m, at)
	case "tool", "function":
		return t.result(m, at)
	}
	return dialect.Invalid(at+".role", fmt.Sprintf("role %q is not known; use system, developer, user, assistant or tool", m.Role))
}

// add appends parts, to the last turn where that is the same side's and no turn
// of function results: those stay by themselves.
func (t *toGemini) add(role string, parts []part) {
	if len(parts) == 0 {
		return
	}
	if n := len(t.contents); n > 0 {
		last := &t.contents[n-1]
		if last.Role == role && last.Parts[0].FunctionResponse == nil && parts[0].FunctionResponse == nil {
			last.Parts = append(last.Parts, parts...)
			return
		}
	}
	t.contents = append(t.contents, content{Role: role, Parts: parts})
}

func (t *toGemini) assistant(m *message, at string) error {
	parts, err := t.parts(m.Content, at+".content")
	if err != nil {
		return err
	}
	if !m.Refusal.Empty() {
		parts = append(parts, part{Text: m.Refusal})
	}
	if signature := m.Extra.Google.ThoughtSignature; signature != "" && len(parts) > 0 {
		parts[len(parts)-1].ThoughtSignature = signature
	}
	calls := m.ToolCalls
	if m.FunctionCall != nil {
		calls = append(calls, toolCall{Type: "function", Function: *m.FunctionCall})
	}
	t.calls = nil
	first, anySigned := len(parts), false
	for i := range calls {
		at := fmt.Sprintf("%s.tool_calls[%d]", at, i)
		p, err := t.call(&calls[i], at)
		if err != nil {
			return err
		}
		anySigned = anySigned || p.ThoughtSignature != ""
		parts = append(parts, p)
	}
	// Of parallel calls, Gemini signs the first alone.
	if len(calls) > 0 && !anySigned && t.facts.Signed {
		parts[first].ThoughtSignature = skipValidator
	}
	t.add("model", parts)
	return nil
}

func (t *toGemini) call(c *toolCall, at string) (part, error) {
	if c.Type != "" && c.Type != "function" {
		return part{}, dialect.Invalid(at+".type", fmt.Sprintf("tool calls of type %q cannot be used with this provider", c.Type))
	}
	if c.Function.Name == "" {
		return part{}, dialect.Invalid(at+".function.name", "a tool call needs a function's name")
	}
	args, ok := argumentsOf(c.Function.Arguments)
	if !ok {
		return part{}, dialect.Invalid(at+".function.arguments", "a tool call's arguments must be the text of a JSON object")
	}
	id, signature, _ := strings.Cut(c.ID, inID)
	if s := c.Extra.Google.ThoughtSignature; s != "" {
		signature = s
	}
	if signature == "" && c.ID != "" {
		signature = t.options.Signatures.Get(c.ID)
	}
	t.names[c.ID] = c.Function.Name
	t.calls = append(t.calls, pendingCall{id: c.ID, name: c.Function.Name})
	out := part{FunctionCall: &functionCall{Name: c.Function.Name, Args: args}, ThoughtSignature: signature}
	if t.facts.Signed {
		out.FunctionCall.ID = id
	}
	return out, nil
}

// argumentsOf reads the arguments of a call, which are JSON within a string; ok is
// false where they are anything but an object.
func argumentsOf(raw jsonscan.String) (args json.RawMessage, ok bool) {
	if raw.Blank() {
		return json.RawMessage("{}"), true
	}
	text, _ := jsonscan.Unquote(raw)
	return text, rawjson.IsObject(text) && jsonscan.Valid(text)
}

// responseOf gives a tool's result as Gemini takes it where it is the text of an
// object; nil where it is any other text.
func responseOf(lines []jsonscan.String) json.RawMessage {
	if len(lines) == 0 || !opensObject(lines[0]) {
		return nil
	}
	text := jsonscan.AppendUnquoted(nil, lines[0])
	for _, line := range lines[1:] {
		text = jsonscan.AppendUnquoted(append(text, '\n'), line)
	}
	if !rawjson.IsObject(text) || !jsonscan.Valid(text) {
		return nil
	}
	return text
}

// opensObject reports whether a text may begin with an object: only then it is
// worth decoding.
func opensObject(raw jsonscan.String) bool {
	inner := raw[1:]
	for len(inner) > 1 {
		switch c := inner[0]; {
		case c == ' ':
			inner = inner[1:]
		case c == '\\' && (inner[1] == 'n' || inner[1] == 'r' || inner[1] == 't'):
			inner = inner[2:]
		default:
			return c == '{' || c == '\\' && inner[1] == 'u'
		}
	}
	return false
}

// result keeps a tool's result until its turn is complete.
func (t *toGemini) result(m *message, at string) error {
	parts, err := t.parts(m.Content, at+".content")
	if err != nil {
		return err
	}
	var lines []jsonscan.String
	var media []part
	for _, p := range parts {
		if p.Text != nil {
			lines = append(lines, p.Text)
		} else {
			media = append(media, p)
		}
	}
	slot := slices.IndexFunc(t.calls, func(p pendingCall) bool {
		return p.result == nil && (m.Role == "tool" && p.id == m.ToolCallID || m.Role == "function" && p.name == m.Name)
	})
	if slot < 0 {
		// A turn that was cut out of its conversation may still name its function.
		name := t.names[m.ToolCallID]
		if name == "" {
			name = m.Name
		}
		if name == "" {
			return dialect.Invalid(at+".tool_call_id", fmt.Sprintf("tool_call_id %q answers no tool call of the messages before it", m.ToolCallID))
		}
		t.calls = append(t.calls, pendingCall{id: m.ToolCallID, name: name})
		slot = len(t.calls) - 1
	}
	call := &t.calls[slot]
	call.result, call.media = &functionResponse{Name: call.name, Response: responseOf(lines), lines: lines}, media
	if t.facts.Signed {
		call.result.ID, _, _ = strings.Cut(call.id, inID)
	}
	return nil
}

// results writes the turn of function results, in the order of the calls; what
// they show is in a turn of its own behind it.
func (t *toGemini) results() {
	var parts, media []part
	for i := range t.calls {
		if t.calls[i].result != nil {
			parts = append(parts, part{FunctionResponse: t.calls[i].result})
			media = append(media, t.calls[i].media...)
		}
	}
	if len(parts) == 0 {
		return
	}
	t.calls = nil
	t.add("user", parts)
	t.add("user", media)
}
