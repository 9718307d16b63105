package responses

import (
	"sort"
	"strings"

	"github.com/hostless/hostless/pkg/jsonscan"
)

// openCall is a tool call whose item is not done yet.
type openCall struct {
	index     int
	id        string
	callID    string
	name      string
	arguments strings.Builder
	announced bool
}

func (s *stream) callDelta(emit emitter, place int, id, name, arguments string) {
	o, known := s.calls[place]
	if known && o == nil {
		return // it was closed when its arguments were complete
	}
	if o == nil {
		s.closeReasoning(emit)
		s.closeMessage(emit, "completed")
		o = &openCall{index: s.next(), id: s.r.options.NewID()}
		s.calls[place] = o
	}
	if id != "" {
		o.callID = id
	}
	if o.name == "" {
		o.name = name
	}
	if !o.announced && o.name != "" {
		o.announced = true
		s.added(emit, o.index, s.r.callItem(o.id, o.callID, o.name, "", "in_progress"))
	}
	if arguments == "" {
		return
	}
	o.arguments.WriteString(arguments)
	// The text of a custom tool, and the action of a local tool, are sent when
	// complete.
	if t := s.r.tools[o.name]; o.announced && !t.custom && t.local == "" {
		s.sendDelta(emit, delta{kind: "response.function_call_arguments.delta", text: arguments, item: "fc_" + o.id, output: o.index, content: -1})
	}
}

// closeWholeCalls closes the calls whose arguments are complete before an item of
// another kind begins, because clients store the items in the order in which they
// are done.
func (s *stream) closeWholeCalls(emit emitter) {
	s.close(emit, "completed", func(o *openCall) bool {
		return jsonscan.KindOf([]byte(o.arguments.String())) == '{' && jsonscan.Valid([]byte(o.arguments.String()))
	})
}

func (s *stream) closeCalls(emit emitter, status string) {
	s.close(emit, status, func(*openCall) bool { return true })
}

// close closes the open calls that chosen selects.
func (s *stream) close(emit emitter, status string, chosen func(*openCall) bool) {
	var places []int
	for place, o := range s.calls {
		if o != nil && chosen(o) {
			places = append(places, place)
		}
	}
	sort.Slice(places, func(i, j int) bool { return s.calls[places[i]].index < s.calls[places[j]].index })
	for _, place := range places {
		o := s.calls[place]
		s.calls[place] = nil
		arguments := o.arguments.String()
		if !o.announced {
			s.added(emit, o.index, s.r.callItem(o.id, o.callID, o.name, "", "in_progress"))
		}
		s.turn.calls = append(s.turn.calls, toolCall{ID: o.callID, Type: "function", Function: callFunction{o.name, jsonscan.Quote(arguments)}})
		if s.r.tools[o.name].local != "" {
			s.doneItem(emit, o.index, s.r.callItem(o.id, o.callID, o.name, arguments, status))
			continue
		}
		it := s.r.call(o.id, o.callID, o.name, arguments, status)
		at := map[string]any{"item_id": it.ID, "output_index": o.index}
		if it.Input != nil {
			s.send(emit, "response.custom_tool_call_input.delta", map[string]any{"item_id": it.ID, "output_index": o.index, "delta": *it.Input})
			at["input"] = *it.Input
			s.send(emit, "response.custom_tool_call_input.done", at)
		} else {
			at["arguments"], at["name"] = arguments, it.Name
			s.send(emit, "response.function_call_arguments.done", at)
		}
		s.doneItem(emit, o.index, it)
	}
}
