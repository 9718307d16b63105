package openai

import (
	"bytes"
	"strings"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/jsonscan"
	"github.com/hostless/hostless/pkg/sse"
)

// maxStops is the number of stop sequences that OpenAI and most others accept.
const maxStops = 4

// stops returns the stop sequences of a request, or nil if it has none.
func stops(v jsonscan.Value) (list []string) {
	if s := v.String(); s != nil {
		v = jsonscan.Arr([]jsonscan.Value{v})
	}
	for _, e := range v.Elements() {
		if s := e.String().Text(); s != "" {
			list = append(list, s)
		}
	}
	return list
}

// stop returns the stop sequences to send to the provider, absent if there are
// none. Those that it does not accept are applied here: thinking models and the
// Responses API accept none, others four.
func (p *restriction) stop(v jsonscan.Value) jsonscan.Value {
	list := stops(v)
	switch {
	case p.facts.onward() || !p.facts.itself() && familyOf(p.in.Model) >= thinks: // the Responses API has no stop
		p.cut = list
		return jsonscan.Value{}
	case len(list) > maxStops:
		p.cut = list
		var first []jsonscan.Value
		for _, s := range list[:maxStops] {
			first = append(first, jsonscan.Quoted(s))
		}
		return jsonscan.Arr(first)
	}
	return v
}

// stopping cuts responses off at a stop sequence that the provider did not apply.
type stopping struct {
	dialect.Reply
	stops []string
}

func (r stopping) Body(body []byte) ([]byte, error) {
	if jsonscan.Check(body) == nil {
		c := cutter{stops: r.stops}
		body = c.completion(jsonscan.Raw(body), "message").JSON()
	}
	return r.Reply.Body(body)
}

func (r stopping) Stream() dialect.Stream {
	return &stoppingStream{Stream: r.Reply.Stream(), cutter: cutter{stops: r.stops, streamed: true}}
}

type stoppingStream struct {
	dialect.Stream
	cutter cutter
}

func (s *stoppingStream) Event(ev sse.Event, emit func(sse.Event)) error {
	if bytes.Contains(ev.Data, []byte(`"choices"`)) && jsonscan.Check(ev.Data) == nil {
		ev.Data = s.cutter.completion(jsonscan.Raw(ev.Data), "delta").JSON()
	}
	return s.Stream.Event(ev, emit)
}

// cutter cuts the text of one choice off at the first of its stop sequences. In a
// stream it holds back what may be the beginning of one.
type cutter struct {
	stops    []string
	streamed bool
	held     string
	found    string // the sequence, once found
}

// take returns the part of the text that may be shown. last reports that no more
// text follows.
func (c *cutter) take(text string, last bool) string {
	if c.found != "" {
		return ""
	}
	text, c.held = c.held+text, ""
	at := -1
	for _, stop := range c.stops {
		if i := strings.Index(text, stop); i >= 0 && (at < 0 || i < at) {
			at, c.found = i, stop
		}
	}
	if at >= 0 {
		return text[:at]
	}
	if last {
		return text
	}
	hold := 0
	for _, stop := range c.stops {
		for n := min(len(stop)-1, len(text)); n > hold; n-- {
			if strings.HasSuffix(text, stop[:n]) {
				hold = n
			}
		}
	}
	c.held = text[len(text)-hold:]
	return text[:len(text)-hold]
}

// completion cuts a completion, or a chunk of one. part is the member with the
// message.
func (c *cutter) completion(v jsonscan.Value, part string) jsonscan.Value {
	list := v.Get("choices")
	if list.Kind() != '[' {
		return v
	}
	var choices []jsonscan.Value
	for _, choice := range list.Elements() {
		if choice.Kind() == '{' && (choice.Get("index").Absent() || choice.Get("index").Is("0")) {
			choice = c.choice(choice, part)
		}
		choices = append(choices, choice)
	}
	return replaced(v, "choices", jsonscan.Arr(choices))
}

func (c *cutter) choice(choice jsonscan.Value, part string) jsonscan.Value {
	m := choice.Get(part)
	ends := choice.Get("finish_reason").Set() || !c.streamed
	text, given := "", false
	if s := m.Get("content").String(); s != nil {
		text, given = s.Text(), true
	}
	calls := m.Get("tool_calls").Set()
	if given || c.held != "" && (ends || calls) {
		m = replaced(m, "content", jsonscan.Quoted(c.take(text, ends || calls)))
	}
	if c.found != "" {
		out := jsonscan.Obj()
		for name, value := range m.Members() {
			if name != "tool_calls" {
				out.Put(name, value)
			}
		}
		m = out
	}
	choice = replaced(choice, part, m)
	if c.found != "" && ends {
		for _, f := range [...]jsonscan.Field{{Name: "finish_reason", Value: jsonscan.Lit(`"stop"`)}, {Name: "native_finish_reason", Value: jsonscan.Lit(`"stop_sequence"`)}, {Name: "stop_sequence", Value: jsonscan.Quoted(c.found)}} {
			choice = replaced(choice, f.Name, f.Value)
		}
	}
	return choice
}
