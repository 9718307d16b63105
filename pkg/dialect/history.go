package dialect

import "strconv"

// Interrupted is the text of the result that is inserted for a call without one:
// its user stopped the call, and providers refuse calls without a result.
const Interrupted = "no result: the call was interrupted"

// Turn is one message of a chat history, reduced to what Pair needs.
type Turn struct {
	Calls  []ToolRef // the tool calls of an assistant message
	Result bool      // whether the message is the result of a tool call
	Of     ToolRef   // the call that a result refers to
}

// ToolRef identifies a tool call: by its id, or by its function's name in the older
// form of chat completions, which has no ids.
type ToolRef struct{ ID, Name string }

// Placed is one message in the order that Pair returns.
type Placed struct {
	Turn   int     // index of the message; -1 for a result that the history lacks
	Result bool    // whether it is the result of the call in Call
	Call   ToolRef // with the id that Pair gave it
}

// Pair brings the messages of a history into the order that providers require: the
// results of an assistant's calls follow right after it, one for each call, in the
// order of the calls. It looks for a result up to the next calls, and places a
// missing one with Turn -1. A result that matches no call is placed with Result
// false, and should be sent as text of the user.
//
// Calls without an id get one, and so do calls whose id an earlier call already
// has: both ids are written into turns. repaired reports whether an existing id was
// replaced.
func Pair(turns []Turn) (order []Placed, repaired bool) {
	order = make([]Placed, 0, len(turns)+4)
	used := make([]bool, len(turns))
	seen := map[string]bool{}
	unnamed := 0
	for i := range turns {
		if used[i] {
			continue
		}
		order = append(order, Placed{Turn: i})
		calls := turns[i].Calls
		if len(calls) == 0 {
			continue
		}
		first := len(order)
		given := make([]ToolRef, len(calls))
		copy(given, calls)
		for j := range calls {
			id := calls[j].ID
			switch {
			case id == "":
				for id == "" || seen[id] {
					unnamed++
					id = "call_" + strconv.Itoa(unnamed)
				}
			case seen[id]:
				repaired = true
				for n := 2; seen[id]; n++ {
					id = calls[j].ID + "_" + strconv.Itoa(n)
				}
			}
			seen[id] = true
			calls[j].ID = id
			order = append(order, Placed{Turn: -1, Result: true, Call: calls[j]})
		}
		open := len(calls)
		for k := i + 1; k < len(turns) && open > 0; k++ {
			if len(turns[k].Calls) > 0 && len(turns[k-1].Calls) == 0 {
				break
			}
			if !turns[k].Result || used[k] {
				continue
			}
			for j := range given {
				if order[first+j].Turn < 0 && turns[k].Of.names(given[j]) {
					order[first+j].Turn, used[k] = k, true
					open--
					break
				}
			}
		}
	}
	return order, repaired
}

// names reports whether the result with reference r belongs to a call.
func (r ToolRef) names(call ToolRef) bool {
	if r.ID != "" {
		return r.ID == call.ID
	}
	return r.Name == call.Name || r.Name == ""
}
