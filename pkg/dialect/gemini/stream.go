package gemini

import (
	"slices"
	"strconv"
	"strings"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/rawjson"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/jsonscan"
	"github.com/hostless/hostless/pkg/sse"
)

// chatStream translates Gemini's events into chunks of chat completions. Gemini has
// no end marker: the finish reason, the usage and [DONE] are sent at the end.
type chatStream struct {
	reply  *chatReply
	before []byte // a chunk, up to its choice's index
	buf    []byte
	usage  *usageMetadata

	seen      []int              // indexes of the candidates, in order of arrival
	grounds   map[int]*candidate // what they reported about web searches so far
	callCount map[int]int        // number of tool calls by candidate
	finish    map[int]string     // finish reasons by candidate
	blocked   *feedback
	texts     map[int][]byte // text by candidate; citations refer to positions in it
	searches  int
	holds     bool     // something other than thoughts arrived
	failure   *problem // what the provider reported
	done      bool
	err       error // why the stream ended
}

// Event translates one event.
func (s *chatStream) Event(ev sse.Event, emit func(sse.Event)) error {
	if s.done {
		return nil
	}
	if ev.Data == nil {
		if ev.Comment != "" {
			emit(sse.Event{Comment: ev.Comment})
		}
		return nil
	}
	if first := strings.TrimLeft(string(ev.Data[:min(8, len(ev.Data))]), " \t\r\n"); strings.HasPrefix(first, "[") {
		if string(ev.Data) == "[DONE]" {
			return nil
		}
		return s.fail(ev.Data)
	}
	var a answer
	if err := jsonscan.Decode(ev.Data, &a); err != nil {
		return &fault.Error{Kind: fault.Upstream, Message: "the provider's stream contains an event that is not Gemini's", Err: err}
	}
	if rawjson.Set(a.Error) != nil {
		return s.fail(ev.Data)
	}
	if s.before == nil {
		s.begin(&a)
	}
	if a.Usage != nil {
		s.usage = a.Usage
	}
	if a.PromptFeedback != nil && a.PromptFeedback.BlockReason != "" {
		s.blocked = a.PromptFeedback
	}
	for i := range a.Candidates {
		if err := s.candidate(&a.Candidates[i], emit); err != nil {
			return err
		}
	}
	return nil
}

func (s *chatStream) fail(data []byte) error {
	p := readError(0, nil, data)
	s.failure = &p
	return dialect.ErrProvider
}

func (s *chatStream) begin(a *answer) { s.before = s.reply.appendHead(nil, a, "chat.completion.chunk") }

// chunk starts a chunk of one choice; close ends it.
func (s *chatStream) chunk(index int) []byte {
	b := append(s.buf[:0], s.before...)
	b = append(b, `{"index":`...)
	b = strconv.AppendInt(b, int64(index), 10)
	return append(b, `,"delta":{`...)
}

func (s *chatStream) close(b []byte, emit func(sse.Event)) {
	b = append(b, `},"finish_reason":null}]}`...)
	s.buf = b
	emit(sse.Event{Data: b})
}

// role sends a candidate's role, once.
func (s *chatStream) role(index int, emit func(sse.Event)) {
	if slices.Contains(s.seen, index) {
		return
	}
	s.seen = append(s.seen, index)
	s.close(append(s.chunk(index), `"role":"assistant","content":""`...), emit)
}

func (s *chatStream) candidate(c *candidate, emit func(sse.Event)) error {
	s.role(c.Index, emit)
	s.holds = s.holds || c.Content.holds()
	for i := range c.Content.Parts {
		if err := s.part(c.Index, &c.Content.Parts[i], emit); err != nil {
			return err
		}
	}
	if probabilities := c.Logprobs.chat(); probabilities != nil {
		b := append(s.chunk(c.Index), `},"logprobs":`...)
		b = append(append(b, probabilities...), `,"finish_reason":null}]}`...)
		s.buf = b
		emit(sse.Event{Data: b})
	}
	if c.Grounding != nil || c.Read != nil {
		s.ground(c)
	}
	if c.FinishReason != "" {
		s.searched(c.Index, emit)
		s.finish[c.Index] = c.FinishReason
		p := malformedFinish(c.FinishReason, c.FinishMessage)
		if p == nil && !s.reply.mayBeEmpty && !s.holds && len(s.seen) == 1 {
			p = emptyFinish(c.FinishReason)
		}
		if p != nil && s.callCount[c.Index] == 0 {
			s.failure = p
			return dialect.ErrProvider
		}
	}
	return nil
}

func (s *chatStream) part(index int, p *part, emit func(sse.Event)) error {
	p.renderCode()
	b := s.chunk(index)
	switch {
	case p.FunctionCall != nil:
		k := s.callCount[index]
		s.callCount[index]++
		b = append(appendCall(append(b, `"tool_calls":[`...), k, s.reply.call(p)), ']')
		s.close(b, emit)
		return nil
	case p.Text != nil:
		if p.Text.Empty() && p.ThoughtSignature == "" {
			return nil
		}
		field := `"content":`
		if p.Thought {
			field = `"reasoning_content":`
		}
		b = append(append(b, field...), p.Text...)
		if !p.Thought && s.reply.searches {
			s.texts[index] = jsonscan.AppendUnquoted(s.texts[index], p.Text)
		}
	case p.InlineData != nil && strings.HasPrefix(p.InlineData.MimeType, "audio/"):
		b = append(append(append(b, `"audio":{"data":`...), p.InlineData.Data...), '}')
	case p.InlineData != nil:
		b = append(appendImage(append(b, `"images":[`...), 0, p.InlineData), ']')
	default:
		return nil
	}
	if p.ThoughtSignature != "" {
		b = appendSignature(append(b, `,"extra_content":`...), p.ThoughtSignature)
	}
	s.close(b, emit)
	return nil
}

// End reports how the stream ended.
func (s *chatStream) End(cause error, emit func(sse.Event)) error {
	if s.done {
		return s.err
	}
	s.done = true
	switch {
	case s.failure != nil:
		s.err = dialect.ErrProvider
		emit(sse.Event{Data: chatError(*s.failure)})
		return s.err
	case cause != nil || !s.complete():
		s.err = dialect.Incomplete(cause)
		emit(sse.Event{Data: chatError(broken(cause))})
		return s.err
	}
	if len(s.seen) == 0 {
		s.role(0, emit)
		s.close(jsonscan.AppendQuote(append(s.chunk(0), `"refusal":`...), s.blocked.refusal()), emit)
		s.ending(0, "content_filter", s.blocked.BlockReason, emit)
	} else {
		for _, index := range s.seen {
			reason, native := finish(s.finish[index], s.callCount[index] > 0)
			s.ending(index, reason, native, emit)
		}
	}
	if s.reply.usage {
		if s.usage == nil {
			s.usage = &usageMetadata{}
		}
		b := append(append(s.buf[:0], s.before...), `],"usage":`...)
		emit(sse.Event{Data: append(append(b, rawjson.Must(s.usage.chat(s.searches))...), '}')})
	}
	emit(sse.Event{Data: []byte("[DONE]")})
	return nil
}

// complete reports whether every candidate has a finish reason.
func (s *chatStream) complete() bool {
	if len(s.seen) == 0 {
		return s.blocked != nil
	}
	return len(s.finish) == len(s.seen)
}

func (s *chatStream) ending(index int, reason, native string, emit func(sse.Event)) {
	b := jsonscan.AppendQuote(append(s.chunk(index), `},"finish_reason":`...), reason)
	if native != "" {
		b = jsonscan.AppendQuote(append(b, `,"native_finish_reason":`...), native)
	}
	emit(sse.Event{Data: append(b, "}]}"...)})
}

// appendIndex writes an element's index in a stream, if it has one.
func appendIndex(b []byte, index int) []byte {
	if index < 0 {
		return b
	}
	return append(strconv.AppendInt(append(b, `"index":`...), int64(index), 10), ',')
}

// ground keeps what a candidate reports about web searches. Later reports replace
// earlier ones.
func (s *chatStream) ground(c *candidate) {
	g := s.grounds[c.Index]
	if g == nil {
		g = &candidate{}
		s.grounds[c.Index] = g
	}
	if c.Grounding != nil && (g.Grounding == nil || len(c.Grounding.Queries)+len(c.Grounding.Chunks)+len(c.Grounding.Supports) > 0) {
		g.Grounding = c.Grounding
	}
	if c.Read != nil {
		g.Read = c.Read
	}
}

// searched sends the web searches of a candidate once its text is complete.
func (s *chatStream) searched(index int, emit func(sse.Event)) {
	g := s.grounds[index]
	if g == nil {
		return
	}
	delete(s.grounds, index)
	s.searches += g.queries()
	if b := g.appendSearched(nil, string(s.texts[index])); len(b) > 0 {
		s.close(append(s.chunk(index), b[1:]...), emit) // without the leading comma
	}
}
