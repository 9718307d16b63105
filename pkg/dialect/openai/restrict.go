package openai

import (
	"bytes"
	"slices"
	"strings"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/jsonscan"
)

// Restrict returns first, a translator to chat completions, with its requests
// adapted to what a provider of these facts accepts:
//
//   - It merges the members of extra_body for the provider, which take precedence.
//     They must not contain the fields that decide where a request goes (model,
//     messages, stream).
//   - It removes fields of the intermediate form, and of OpenAI's own, that the
//     provider does not accept, and names those that the client sent in Ignored.
//   - It renames the token limit and the role of instructions to what the provider
//     supports.
//   - It replaces reasoning_effort by the nearest one that the model supports:
//     according to efforts or, if that is "", to dialect.EffortsOf.
//   - It removes sampling parameters for models that refuse them.
//   - It translates a web search to what the provider has for it. A required search
//     is a fault if the provider has none.
//   - It gives tools schemas that OpenAI accepts (dialect.ToolSchema), and repairs
//     histories that OpenAI would refuse. Ignored names the repairs.
//
// Responses are translated by first, with one exception: stop sequences that the
// provider does not accept are applied here.
func Restrict(first dialect.Translator, facts Facts, efforts dialect.Efforts) dialect.Translator {
	if facts.All() {
		return first
	}
	return func(in dialect.Request) (*dialect.Call, error) {
		unwritten := in.Unwritten
		in.Unwritten = true
		call, err := first(in)
		if err != nil {
			return nil, err
		}
		p := &restriction{facts: facts, efforts: efforts, in: in, ignored: call.Ignored}
		chat := call.Chat
		if call.Body != nil {
			chat = jsonscan.Raw(call.Body)
		}
		if chat, err = p.request(chat); err != nil {
			return nil, err
		}
		if len(p.cut) > 0 {
			call.Reply = stopping{call.Reply, p.cut}
		}
		in.Unwritten, call.Body, call.Chat, call.Ignored = unwritten, nil, jsonscan.Value{}, p.ignored
		call.SetChat(in, chat)
		return call, nil
	}
}

// restriction removes from one request what its provider does not accept.
type restriction struct {
	facts   Facts
	efforts dialect.Efforts
	in      dialect.Request
	ignored []string
	cut     []string // stop sequences to apply here
}

func (p *restriction) ignore(name string) {
	p.ignored = dialect.Ignore(p.ignored, name)
}

func (p *restriction) request(body jsonscan.Value) (out jsonscan.Value, err error) {
	var extra jsonscan.Value
	out = jsonscan.Obj()
	model := familyOf(p.in.Model)
	for name, value := range body.Members() {
		suited, loss := value, false
		if !p.facts.itself() { // such a provider does all this itself
			if suited, loss = model.suits(name, value); name == "reasoning_effort" {
				suited, loss = p.effort(value)
			}
			if loss {
				p.ignore(name)
			}
		}
		switch {
		case suited.Absent():
			continue
		case name == "extra_body":
			extra = value
			continue
		case name == WebSearchOptions:
			if err := p.webSearch(&out, value, body.Get("tools").Kind() == '['); err != nil {
				return out, err
			}
			continue
		case name == "max_tokens" || name == MaxCompletionTokens:
			name = p.limit()
		case slices.Contains(hints, name) && !p.facts.Takes(name):
			if name != StreamOptions && value.Set() { // the translation added it
				p.ignore(name)
			}
			continue
		case name == "messages":
			value = p.each(p.history(value), p.message)
			if NineCharacterIDs(p.in.Provider, p.in.Model) {
				changed := false
				if value, changed = ShortCallIDs(value); changed {
					p.ignore("messages.tool_calls.id")
				}
			}
		case name == "stop":
			value = p.stop(value)
		case name == "tools":
			value = p.tools(value)
		default:
			value = suited
		}
		out.Put(name, value)
	}
	p.withoutEffort(&out)
	if err := p.extra(&out, extra); err != nil {
		return out, err
	}
	if p.facts.MarksCache(p.in.Model) && !mentions(out, CacheControl) {
		out.Put(CacheControl, jsonscan.Lit(`{"type":"ephemeral"}`))
	}
	return out, nil
}

// effort returns the nearest reasoning_effort that the model supports. loss reports
// whether it is another one.
func (p *restriction) effort(value jsonscan.Value) (suited jsonscan.Value, loss bool) {
	word := value.String()
	if word == nil {
		return value, false
	}
	asked, known := dialect.Effort(word.Text())
	takes := p.efforts
	if takes == "" {
		takes = dialect.EffortsOf(p.in.Provider, p.in.Model)
	}
	if takes == "" && !known {
		takes = "low medium high"
	}
	switch nearest := takes.Nearest(asked); {
	case asked == "":
		return jsonscan.Value{}, false
	case nearest == "":
		return jsonscan.Value{}, asked != "none"
	default:
		return jsonscan.Quoted(nearest), !known || nearest != asked
	}
}

// limit returns the name of the token limit. OpenAI's reasoning models accept only
// one, at any provider.
func (p *restriction) limit() string {
	if familyOf(p.in.Model) == thinks || p.facts.Takes(MaxCompletionTokens) {
		return MaxCompletionTokens
	}
	return "max_tokens"
}

// extra merges the members of extra_body for this provider, and ignores those for
// others.
func (p *restriction) extra(out *jsonscan.Value, all jsonscan.Value) error {
	if !all.Set() {
		return nil
	}
	if all.Kind() != '{' {
		return dialect.Invalid("extra_body", "extra_body must be an object with a member for each provider")
	}
	for name, fields := range all.Members() {
		if name != p.in.Provider {
			p.ignore("extra_body." + name)
			continue
		}
		if !fields.Set() {
			continue
		}
		if fields.Kind() != '{' {
			return dialect.Invalid("extra_body."+name, "extra_body."+name+" must be an object")
		}
		for field, value := range fields.Members() {
			for _, own := range [...]string{"model", "messages", "stream"} {
				if strings.EqualFold(field, own) { // some decoders ignore case
					return dialect.Invalid("extra_body."+name+"."+field, field+" cannot be set by extra_body")
				}
			}
			out.Put(field, value)
		}
	}
	return nil
}

// each applies change to the objects of a list. It returns list itself if nothing
// changes.
func (p *restriction) each(list jsonscan.Value, change func(jsonscan.Value) jsonscan.Value) jsonscan.Value {
	if list.Kind() != '[' || !p.concerned(list) {
		return list
	}
	var elements []jsonscan.Value
	for _, e := range list.Elements() {
		if e.Kind() == '{' && p.concerned(e) {
			e = change(e)
		}
		elements = append(elements, e)
	}
	return jsonscan.Arr(elements)
}

// concerned reports whether there may be something to change in a value. The names
// need no escapes, because translators wrote them.
func (p *restriction) concerned(v jsonscan.Value) bool {
	if raw, ok := v.Bytes(); ok {
		return jsonscan.KindOf(raw) != '"' && slices.ContainsFunc(optionalFields, func(name string) bool {
			return p.changes(name) && bytes.Contains(raw, []byte(`"`+name+`"`))
		})
	}
	for name, value := range v.Members() {
		if p.changes(name) || name == "role" && value.Is(`"developer"`) || p.concerned(value) {
			return true
		}
	}
	for _, e := range v.Elements() {
		if p.concerned(e) {
			return true
		}
	}
	return false
}

// mentions reports whether a member with that name may be anywhere in a value.
func mentions(v jsonscan.Value, name string) bool {
	if raw, ok := v.Bytes(); ok {
		return jsonscan.KindOf(raw) != '"' && bytes.Contains(raw, []byte(`"`+name+`"`))
	}
	for n, value := range v.Members() {
		if n == name || mentions(value, name) {
			return true
		}
	}
	for _, e := range v.Elements() {
		if mentions(e, name) {
			return true
		}
	}
	return false
}

// optionalFields are the fields within messages and tools that only some providers
// accept.
var optionalFields = []string{CacheControl, ReasoningContent, ReasoningDetails, ExtraContent, Refusal, Developer}

func (p *restriction) changes(name string) bool {
	return slices.Contains(optionalFields, name) && (name == ReasoningDetails && !p.facts.onward() || !p.facts.Takes(name))
}

// without removes the named members from an object unless the provider accepts
// them.
func (p *restriction) without(v jsonscan.Value, names ...string) jsonscan.Value {
	out := jsonscan.Obj()
	for name, value := range v.Members() {
		if !slices.Contains(names, name) || p.facts.Takes(name) {
			out.Put(name, value)
		}
	}
	return out
}

func (p *restriction) message(v jsonscan.Value) jsonscan.Value {
	out := jsonscan.Obj()
	var content, refusal jsonscan.Value
	for name, value := range v.Members() {
		switch name {
		case "role":
			if value.Is(`"developer"`) && !p.facts.Takes(Developer) {
				value = jsonscan.Lit(`"system"`)
			}
		case "content":
			value = p.each(value, func(part jsonscan.Value) jsonscan.Value { return p.without(part, CacheControl) })
			content = value
		case "tool_calls":
			value = p.each(value, func(call jsonscan.Value) jsonscan.Value { return p.without(call, ExtraContent) })
		case ReasoningDetails:
			if !p.facts.Takes(name) {
				continue
			}
			if !p.facts.onward() {
				value = OwnDetails(value)
			}
		case Refusal:
			if !p.facts.Takes(name) {
				refusal = value
				continue
			}
		case CacheControl, ReasoningContent, ExtraContent:
			if !p.facts.Takes(name) {
				continue
			}
		}
		out.Put(name, value)
	}
	if !content.Set() && refusal.Set() {
		out.Put("content", refusal) // it is the model's response
	}
	return out
}

// OwnDetails converts a list of reasoning details to the form of the provider that
// accepts them, OpenRouter (https://openrouter.ai/docs/use-cases/reasoning-tokens):
// reasoning.text and reasoning.encrypted for thinking and redacted of the
// intermediate form.
func OwnDetails(list jsonscan.Value) jsonscan.Value {
	if list.Kind() != '[' {
		return list
	}
	var elements []jsonscan.Value
	for _, e := range list.Elements() {
		if encrypted, ok := EncryptedOf(e); ok && encrypted.Provider != "" {
			continue // another provider's
		}
		if e.Kind() == '{' {
			e = ownDetail(e)
		}
		elements = append(elements, e)
	}
	return jsonscan.Arr(elements)
}

func ownDetail(v jsonscan.Value) jsonscan.Value {
	out := jsonscan.Obj()
	for name, value := range v.Members() {
		switch {
		case name == "type" && value.Is(`"thinking"`):
			value = jsonscan.Lit(`"reasoning.text"`)
		case name == "after":
			continue // of the intermediate form
		case name == "type" && value.Is(`"redacted"`):
			value = jsonscan.Lit(`"reasoning.encrypted"`)
		}
		out.Put(name, value)
	}
	return out
}
