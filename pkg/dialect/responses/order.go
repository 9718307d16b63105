package responses

import (
	"encoding/json"
	"unicode/utf8"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/jsonscan"
)

// output returns the items of a complete response, in the order in which the model
// produced them: thinking between tool calls becomes an item between them.
func (r *reply) output(m *answer, status string) (items []any) {
	text, thought := jsonscan.String(m.Text()).Text(), jsonscan.String(m.Thought()).Text()
	calls := m.ToolCalls
	at := 0 // number of characters of text so far
	message := func(text, refusal string) {
		var content []any
		if text != "" {
			content = append(content, newTextPart(text, citationsOf(m.Annotations, at, text)...))
			at += utf8.RuneCountInString(text)
		}
		if refusal != "" {
			content = append(content, refusalPart{"refusal", refusal})
		}
		if len(content) > 0 {
			items = append(items, messageItem{"msg_" + r.options.NewID(), "message", status, "assistant", content})
		}
	}
	call := func() {
		if len(calls) > 0 {
			c := &calls[0]
			items = append(items, r.callItem(r.options.NewID(), c.ID, c.Function.Name, c.Function.Arguments.Text(), status))
			calls = calls[1:]
		}
	}
	think := func(text string, details []json.RawMessage) {
		if text != "" || len(details) > 0 {
			items = append(items, r.reasoning("rs_"+r.options.NewID(), text, details))
		}
	}
	groups := groupsOf(m.ReasoningDetails)
	if len(groups) < 2 && (len(groups) == 0 || len(groups[0].after) == 0) {
		think(thought, m.ReasoningDetails)
		groups = nil
	}
	for _, g := range groups {
		for _, n := range g.after {
			if n > 0 {
				var piece string
				piece, text = cutChars(text, n)
				message(piece, "")
			} else {
				call()
			}
		}
		think(g.text, g.details)
	}
	for i := range m.Searches {
		items = append(items, r.search("ws_"+r.options.NewID(), &m.Searches[i], "completed"))
	}
	message(text, m.Refusal.Text())
	for i := range m.Images {
		items = append(items, picture("ig_"+r.options.NewID(), &m.Images[i]))
	}
	for len(calls) > 0 {
		call()
	}
	return items
}

// group is thinking that is not interrupted by anything else.
type group struct {
	after   dialect.Gap // what precedes it
	text    string
	details []json.RawMessage
}

func groupsOf(details []json.RawMessage) (groups []group) {
	for _, raw := range details {
		var d thinkingDetail
		if jsonscan.Decode(raw, &d) != nil {
			d = thinkingDetail{}
		}
		if len(groups) == 0 || len(d.After) > 0 {
			groups = append(groups, group{after: d.After})
		}
		g := &groups[len(groups)-1]
		g.text, g.details = g.text+d.Text, append(g.details, raw)
	}
	return groups
}

// cutChars splits a text after n characters.
func cutChars(text string, n int) (first, rest string) {
	for i := range text {
		if n == 0 {
			return text[:i], text[i:]
		}
		n--
	}
	return text, ""
}

// say adds text to the turn.
func (t *assistantTurn) say(s jsonscan.String) {
	t.text = append(t.text, s)
	t.after.Text(utf8.RuneCountInString(s.Text()))
}

// place records in the details of a reasoning item its position in the turn: after
// what followed the previous thinking. If nothing followed it, the position that
// the item itself has is kept.
func (t *assistantTurn) place(details []json.RawMessage) {
	after := t.after
	t.after = nil
	if len(details) == 0 || jsonscan.KindOf(details[0]) != '{' || len(after) == 0 && len(t.details) > 0 {
		return
	}
	out := jsonscan.Obj()
	for name, value := range jsonscan.Raw(details[0]).Members() {
		if name != "after" {
			out.Put(name, value)
		}
	}
	if b := out.JSON(); len(b) > len("{}") {
		details[0] = append(after.Append(b[:len(b)-1]), '}')
	}
}
