package gemini

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/rawjson"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/jsonscan"
	"github.com/hostless/hostless/pkg/sse"
)

// maxCalls is the maximum size, in bytes, of the call arguments that are assembled
// from a stream.
const maxCalls = 16 << 20

// nativeStream translates chunks of chat completions into Gemini's events: text as
// it arrives, calls once they are complete, and finish reason and usage in the last
// event.
type nativeStream struct {
	reply   *nativeReply
	id      string
	model   string
	choices map[int]*pendingChoice
	order   []int
	buf     []byte // reused for each event
	usage   *usage
	size    int
	failure *problem
	sources []json.RawMessage // named by the provider outside of the message
	done    bool
	err     error // why the stream ended
}

// Event translates one chunk.
func (s *nativeStream) Event(ev sse.Event, emit func(sse.Event)) error {
	if s.done {
		return nil
	}
	if ev.Data == nil {
		if ev.Comment != "" {
			emit(sse.Event{Comment: ev.Comment})
		}
		return nil
	}
	if string(ev.Data) == "[DONE]" {
		s.End(nil, emit) // End remembers that it was called
		return nil
	}
	var c chatCompletion
	if err := jsonscan.Decode(ev.Data, &c); err != nil {
		return &fault.Error{Kind: fault.Upstream, Message: "the provider's stream contains an event that is not a chunk of a chat completion", Err: err}
	}
	if rawjson.Set(c.Error) != nil {
		p := readError(0, nil, ev.Data)
		s.failure = &p
		return dialect.ErrProvider
	}
	if s.id == "" {
		s.id = c.ID
	}
	if s.model == "" {
		s.model = c.Model
	}
	if c.Usage != nil {
		s.usage = c.Usage
	}
	if found := c.Found(); found != nil {
		s.sources = found
	}
	for i := range c.Choices {
		if err := s.choice(&c.Choices[i], emit); err != nil {
			return err
		}
	}
	return nil
}

func (s *nativeStream) choice(c *completionChoice, emit func(sse.Event)) error {
	g := s.choices[c.Index]
	if g == nil {
		g = &pendingChoice{web: nativeGrounding{keep: s.reply.searches}, enum: s.reply.enum}
		s.choices[c.Index] = g
		s.order = append(s.order, c.Index)
	}
	for i := range c.Delta.ToolCalls {
		s.size += len(c.Delta.ToolCalls[i].Function.Arguments)
	}
	if s.size > maxCalls {
		return fault.New(fault.Upstream, fmt.Sprintf("the provider's tool calls are larger than %d bytes", maxCalls))
	}
	parts := g.take(&c.Delta, s.reply.thoughts)
	if c.FinishReason != "" {
		g.reason, g.native = c.FinishReason, c.Native
	}
	if len(parts) > 0 {
		s.emit(nativeAnswer{Candidates: []nativeCandidate{{Parts: parts, Index: c.Index}}}, emit)
	}
	return nil
}

func (s *nativeStream) emit(a nativeAnswer, emit func(sse.Event)) {
	a.ModelVersion, a.ResponseID = s.model, s.id
	if a.ModelVersion == "" {
		a.ModelVersion = s.reply.model
	}
	s.buf = a.append(s.buf[:0])
	emit(sse.Event{Data: s.buf})
}

// End reports how the stream ended.
func (s *nativeStream) End(cause error, emit func(sse.Event)) error {
	if s.done {
		return s.err
	}
	s.done = true
	incomplete := len(s.order) == 0 || slices.ContainsFunc(s.order, func(i int) bool { return s.choices[i].reason == "" })
	switch {
	case s.failure != nil:
		s.err = dialect.ErrProvider
		emit(sse.Event{Data: nativeError(*s.failure)})
		return s.err
	case cause != nil || incomplete:
		s.err = dialect.Incomplete(cause)
		emit(sse.Event{Data: nativeError(broken(cause))})
		return s.err
	}
	last := nativeAnswer{}
	for _, index := range s.order {
		s.choices[index].web.beside(s.sources)
		last.Candidates = append(last.Candidates, s.choices[index].candidate(index, nil))
	}
	if s.usage != nil {
		last.UsageMetadata = s.usage.native()
	}
	s.emit(last, emit)
	return nil
}
