package openai

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/rawjson"
)

// Plain gives the translator to chat completions that first is, with its
// requests as a provider of these facts takes them:
//
//   - extra_body's members for the provider are merged in, and win; it is a fault
//     to name there what decides where a request goes (model, messages, stream);
//   - fields of the middle, and of OpenAI's own, that the provider does not take
//     are left out; those that the caller gave are named in Ignored;
//   - the limit of tokens and the role of instructions get the names it knows;
//   - so does reasoning_effort, where the model's name tells what it takes, and
//     sampling is left out for models that refuse it.
//
// Answers are first's business alone: they come back as they did without Plain.
func Plain(first dialect.Translator, facts Facts) dialect.Translator {
	if facts.Whole() {
		return first
	}
	return func(in dialect.Request) (*dialect.Call, error) {
		call, err := first(in)
		if err != nil {
			return nil, err
		}
		p := &plainer{facts: facts, in: in, ignored: call.Ignored}
		if call.Body, err = p.request(call.Body); err != nil {
			return nil, err
		}
		call.Ignored = p.ignored
		return call, nil
	}
}

// plainer makes one request plain.
type plainer struct {
	facts   Facts
	in      dialect.Request
	ignored []string
}

func (p *plainer) ignore(name string) {
	p.ignored = dialect.Ignore(p.ignored, name)
}

func (p *plainer) request(body []byte) ([]byte, error) {
	var out rawjson.Object
	var extra json.RawMessage
	model := familyOf(p.in.Model)
	rawjson.Scan(body, func(name string, value json.RawMessage) {
		suited, loss := value, false
		if !p.facts.Takes(ReasoningDetails) { // such a provider does all this itself
			suited, loss = model.suits(name, value)
		}
		switch {
		case suited == nil:
			if loss {
				p.ignore(name)
			}
			return
		case name == "extra_body":
			extra = value
			return
		case name == "max_tokens" || name == MaxCompletionTokens:
			name = p.limit()
		case slices.Contains(hints, name) && !p.facts.Takes(name):
			if name != StreamOptions && rawjson.Set(value) != nil { // which the translation made
				p.ignore(name)
			}
			return
		case name == "messages":
			value = p.each(value, p.message)
		case name == "tools":
			value = p.each(value, p.tool)
		default:
			value = suited
		}
		out.Put(name, value)
	})
	if err := p.extra(&out, extra); err != nil {
		return nil, err
	}
	return out.JSON(), nil
}

// limit is the name of the limit of tokens. OpenAI's reasoning models know but
// one, whoever serves them.
func (p *plainer) limit() string {
	if familyOf(p.in.Model) >= thinks || p.facts.Takes(MaxCompletionTokens) {
		return MaxCompletionTokens
	}
	return "max_tokens"
}

// extra merges extra_body's members for this provider; those for others are
// not its business.
func (p *plainer) extra(out *rawjson.Object, raw json.RawMessage) error {
	if rawjson.Set(raw) == nil {
		return nil
	}
	all, ok := rawjson.Members(raw)
	if !ok {
		return dialect.Invalid("extra_body", "extra_body must be an object with a member for each provider")
	}
	for _, m := range all {
		if m.Name != p.in.Provider {
			p.ignore("extra_body." + m.Name)
			continue
		}
		if rawjson.Set(m.Value) == nil {
			continue
		}
		fields, ok := rawjson.Members(m.Value)
		if !ok {
			return dialect.Invalid("extra_body."+m.Name, "extra_body."+m.Name+" must be an object")
		}
		for _, f := range fields {
			for _, own := range [...]string{"model", "messages", "stream"} {
				if strings.EqualFold(f.Name, own) { // as some decoders read it
					return dialect.Invalid("extra_body."+m.Name+"."+f.Name, f.Name+" cannot be set by extra_body")
				}
			}
			out.Put(f.Name, f.Value)
		}
	}
	return nil
}

// each changes the objects of a list; a list that nothing changes stays as it is.
func (p *plainer) each(list json.RawMessage, change func(json.RawMessage) json.RawMessage) json.RawMessage {
	if !p.concerned(list) {
		return list
	}
	elements, ok := rawjson.Elements(list)
	if !ok {
		return list
	}
	for i, e := range elements {
		if rawjson.IsObject(e) && p.concerned(e) {
			elements[i] = change(e)
		}
	}
	return rawjson.Array(elements)
}

// concerned reports whether there may be something in raw to change. Names as the
// translators write them need no escapes.
func (p *plainer) concerned(raw json.RawMessage) bool {
	for _, name := range [...]string{CacheControl, ReasoningContent, ReasoningDetails, ExtraContent, Refusal, Developer} {
		if (name == ReasoningDetails || !p.facts.Takes(name)) && bytes.Contains(raw, []byte(`"`+name+`"`)) {
			return true
		}
	}
	return false
}

// without leaves the given members out of an object, where they are not taken.
func (p *plainer) without(raw json.RawMessage, names ...string) json.RawMessage {
	var out rawjson.Object
	rawjson.Scan(raw, func(name string, value json.RawMessage) {
		if !slices.Contains(names, name) || p.facts.Takes(name) {
			out.Put(name, value)
		}
	})
	return out.JSON()
}

func (p *plainer) tool(raw json.RawMessage) json.RawMessage { return p.without(raw, CacheControl) }

func (p *plainer) message(raw json.RawMessage) json.RawMessage {
	var out rawjson.Object
	var content, refusal json.RawMessage
	rawjson.Scan(raw, func(name string, value json.RawMessage) {
		switch name {
		case "role":
			if string(value) == `"developer"` && !p.facts.Takes(Developer) {
				value = json.RawMessage(`"system"`)
			}
		case "content":
			value = p.each(value, func(part json.RawMessage) json.RawMessage { return p.without(part, CacheControl) })
			content = rawjson.Set(value)
		case "tool_calls":
			value = p.each(value, func(call json.RawMessage) json.RawMessage { return p.without(call, ExtraContent) })
		case ReasoningDetails:
			if !p.facts.Takes(name) {
				return
			}
			value = OwnDetails(value)
		case Refusal:
			if !p.facts.Takes(name) {
				refusal = rawjson.Set(value)
				return
			}
		case CacheControl, ReasoningContent, ExtraContent:
			if !p.facts.Takes(name) {
				return
			}
		}
		out.Put(name, value)
	})
	if content == nil && refusal != nil {
		out.Put("content", refusal) // what the model said, after all
	}
	return out.JSON()
}

// OwnDetails gives a list of reasoning details in the words of the provider that
// takes them, OpenRouter (https://openrouter.ai/docs/use-cases/reasoning-tokens):
// reasoning.text and reasoning.encrypted for the middle's thinking and redacted.
func OwnDetails(list json.RawMessage) json.RawMessage {
	elements, ok := rawjson.Elements(list)
	if !ok {
		return list
	}
	for i, e := range elements {
		elements[i] = ownDetail(e)
	}
	return rawjson.Array(elements)
}

func ownDetail(raw json.RawMessage) json.RawMessage {
	if !rawjson.IsObject(raw) {
		return raw
	}
	var out rawjson.Object
	rawjson.Scan(raw, func(name string, value json.RawMessage) {
		switch {
		case name == "type" && string(value) == `"thinking"`:
			value = json.RawMessage(`"reasoning.text"`)
		case name == "type" && string(value) == `"redacted"`:
			value = json.RawMessage(`"reasoning.encrypted"`)
		}
		out.Put(name, value)
	})
	return out.JSON()
}
