package openai

import (
	"bytes"
	"slices"
	"strings"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/jsonscan"
)

// Restrict returns the translator to chat completions that first is, with its
// requests as a provider of these facts takes them:
//
//   - extra_body's members for the provider are merged in, and win; it is a fault
//     to name there what decides where a request goes (model, messages, stream);
//   - fields of the middle, and of OpenAI's own, that the provider does not take
//     are left out; those that the caller gave are named in Ignored;
//   - the limit of tokens and the role of instructions get the names it knows;
//   - reasoning_effort becomes the nearest that the model supports: of efforts or, if
//     these are "", of dialect.EffortsOf;
//   - sampling is left out for models that refuse it;
//   - a wish for a search of the web becomes what the provider has for it, and is a
//     fault where it was demanded and the provider has none;
//   - tools get schemas that OpenAI takes (dialect.ToolSchema), and a history that
//     it would refuse is repaired, what was repaired being named in Ignored.
//
// Answers are first's business: they come back as they did without Restrict, but for
// stop sequences that the provider does not take, at which they are cut off here.
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

// restriction leaves out of one request what its provider does not take.
type restriction struct {
	facts   Facts
	efforts dialect.Efforts
	in      dialect.Request
	ignored []string
	cut     []string // stop sequences that are looked for here
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
			if name != StreamOptions && value.Set() { // which the translation made
				p.ignore(name)
			}
			continue
		case name == "messages":
			value = p.each(p.history(value), p.message)
			if NineCharacterIDs(p.in.Provider, p.in.Model) {
				value, _ = ShortCallIDs(value)
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

// limit is the name of the limit of tokens. OpenAI's reasoning models know but
// one, whoever serves them.
func (p *restriction) limit() string {
	if familyOf(p.in.Model) == thinks || p.facts.Takes(MaxCompletionTokens) {
		return MaxCompletionTokens
	}
	return "max_tokens"
}

// extra merges extra_body's members for this provider; those for others are
// not its business.
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
				if strings.EqualFold(field, own) { // as some decoders read it
					return dialect.Invalid("extra_body."+name+"."+field, field+" cannot be set by extra_body")
				}
			}
			out.Put(field, value)
		}
	}
	return nil
}

// each changes the objects of a list; a list that nothing changes stays as it is.
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

// concerned reports whether there may be something in a value to change. Names as
// the translators write them need no escapes.
func (p *restriction) concerned(v jsonscan.Value) bool {
	if raw, ok := v.Bytes(); ok {
		return jsonscan.KindOf(raw) != '"' && slices.ContainsFunc(middleOnly, func(name string) bool {
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

// mentions reports whether a member of that name may be anywhere in a value.
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

// middleOnly are the names of what only some providers take within messages and tools.
var middleOnly = []string{CacheControl, ReasoningContent, ReasoningDetails, ExtraContent, Refusal, Developer}

func (p *restriction) changes(name string) bool {
	return slices.Contains(middleOnly, name) && (name == ReasoningDetails && !p.facts.onward() || !p.facts.Takes(name))
}

// without leaves the given members out of an object, where they are not taken.
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
		out.Put("content", refusal) // the model's answer, after all
	}
	return out
}

// OwnDetails returns a list of reasoning details in the words of the provider that
// takes them, OpenRouter (https://openrouter.ai/docs/use-cases/reasoning-tokens):
// reasoning.text and reasoning.encrypted for the middle's thinking and redacted.
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
			continue // of the middle
		case name == "type" && value.Is(`"redacted"`):
			value = jsonscan.Lit(`"reasoning.encrypted"`)
		}
		out.Put(name, value)
	}
	return out
}
