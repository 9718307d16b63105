package dialect

import "strconv"

// Interrupted is the text of the result that stands for one missing in a history:
// its user stopped the call, and providers refuse a call without a result.
const Interrupted = "no result: the call was interrupted"

// Turn is one message of a chat history, as far as Pair needs it.
type Turn struct {
	Calls  []ToolRef // the tool calls of an assistant's message
	Result bool      // the message is the result of a tool call
	Of     ToolRef   // the call that a result names
}

// ToolRef names a tool call: by its id, or by its function's name where the older
// form of chat completions gives no id.
type ToolRef struct{ ID, Name string }

// Placed is one message of a history in order.
type Placed struct {
	Turn   int     // the message's index; -1 for a result that the history lacks
	Result bool    // it is a call's result, and Call is that call
	Call   ToolRef // with the id that Pair gave the call
}

// Pair brings the messages of a history into the order that providers insist on:
// the results of an assistant's calls come right behind it, one for each, in the
// order of the calls. A result is looked for up to the next calls; one that is
// missing is placed with Turn -1. A result that answers no call is placed with
// Result false and is to be shown as the user's text.
//
// Calls without an id get one, and so do those whose id another call before them
// has: both are written into turns. repaired says whether a given id was replaced.
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

// names reports whether a result that names r belongs to a call.
func (r ToolRef) names(call ToolRef) bool {
	if r.ID != "" {
		return r.ID == call.ID
	}
	return r.Name == call.Name || r.Name == ""
}
