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

// message is one message of a chat request.
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
	dialect.Pictured
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

// pendingCall is a call whose result follows.
type pendingCall struct {
	id, name string
	result   *functionResponse
	media    []part // images and files in addition to the result's text
}

func (t *toGemini) messages() error {
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
	if len(t.contents) > 0 && t.contents[0].Role == "model" && t.contents[0].calls() {
		// The beginning of the history was cut off: calls must follow a turn of the
		// user.
		t.contents = append([]content{{Role: "user", Parts: []part{textPart("Continue.")}}}, t.contents...)
	}
	return nil
}

// calls reports whether a content has function calls.
func (c *content) calls() bool {
	return slices.ContainsFunc(c.Parts, func(p part) bool { return p.FunctionCall != nil })
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
	return dialect.Invalid(at+".role", fmt.Sprintf("role %q is unknown: use system, developer, user, assistant or tool", m.Role))
}

// add appends parts: to the last turn if it has the same role and no function
// results, which always form a separate turn, and to a new turn otherwise.
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
	for i := range m.Images {
		picture, err := t.address(m.Images[i].URL(), at+".images")
		if err != nil {
			return err
		}
		if t.facts.Signed {
			picture.ThoughtSignature = skipValidator
		}
		parts = append(parts, *picture)
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
	// Of parallel calls, Gemini signs only the first.
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
		// A call that was cut off stays in the history, so that the session can
		// continue.
		args = invalidArguments(c.Function.Arguments)
		t.ignore("messages.tool_calls.arguments")
	}
	id, signature, _ := strings.Cut(c.ID, inID)
	if s := c.Extra.Google.ThoughtSignature; s != "" {
		signature = s
	}
	if signature == "" && c.ID != "" {
		signature = t.options.Signatures.Get(c.ID)
	}
	name := t.names.send(c.Function.Name)
	t.calls = append(t.calls, pendingCall{id: c.ID, name: name})
	out := part{FunctionCall: &functionCall{Name: name, Args: args}, ThoughtSignature: signature}
	if t.facts.Signed {
		out.FunctionCall.ID = id
	}
	return out, nil
}

// argumentsOf reads the arguments of a call, which are JSON within a string. ok is
// false if they are anything but an object.
func argumentsOf(raw jsonscan.String) (args json.RawMessage, ok bool) {
	if raw.Blank() {
		return json.RawMessage("{}"), true
	}
	text, _ := jsonscan.Unquote(raw)
	return text, rawjson.IsObject(text) && jsonscan.Valid(text)
}

// invalidArguments wraps the arguments of a call that are not an object.
func invalidArguments(raw jsonscan.String) json.RawMessage {
	if raw.Text() == "null" {
		return json.RawMessage("{}")
	}
	return append(jsonscan.AppendString([]byte(`{"invalid_arguments":`), raw), '}')
}

// responseOf returns a tool's result as an object, if its text is one, and nil
// otherwise.
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

// opensObject reports whether a text may begin with an object, so that it is worth
// decoding.
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
		return p.result == nil && (m.Role == "tool" && p.id == m.ToolCallID || m.Role == "function" && t.names.original(p.name) == m.Name)
	})
	if slot < 0 {
		// Its call is not in the turn before: Gemini gets only the text.
		t.ignore("messages.tool_call_id")
		t.results()
		t.add("user", parts)
		return nil
	}
	call := &t.calls[slot]
	call.result, call.media = &functionResponse{Name: call.name, Response: responseOf(lines), lines: lines}, media
	if t.facts.Signed {
		call.result.ID, _, _ = strings.Cut(call.id, inID)
	}
	return nil
}

// interrupted is the result for a call without one in the history, because its user
// stopped it. Gemini refuses a turn of calls that has fewer results.
var interrupted = json.RawMessage(`{"error":"no result: the call was interrupted"}`)

// results writes the turn of function results, in the order of the calls. Images
// and files in them follow in a separate turn.
func (t *toGemini) results() {
	if len(t.calls) == 0 {
		return
	}
	var parts, media []part
	for i := range t.calls {
		call := &t.calls[i]
		if call.result == nil {
			t.ignore("messages.tool_calls")
			call.result = &functionResponse{Name: call.name, Response: interrupted}
			if t.facts.Signed {
				call.result.ID, _, _ = strings.Cut(call.id, inID)
			}
		}
		parts = append(parts, part{FunctionResponse: call.result})
		media = append(media, call.media...)
	}
	t.calls = nil
	t.add("user", parts)
	t.add("user", media)
}
