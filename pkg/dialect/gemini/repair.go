package gemini

import (
	"bytes"
	"slices"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/jsonscan"
)

// AnswerCalls returns the edits that give each call in a Gemini request's history
// exactly one response, which Google requires. A call that its user stopped gets a
// response that says so. A second response for the same call, which Gemini CLI
// sends when it resumes a session, is removed. ignored names what was changed.
func AnswerCalls(data []byte) (edits []jsonscan.Edit, ignored []string) {
	contents := jsonscan.Spans(data, jsonscan.Fields(data, jsonscan.Span{End: len(bytes.TrimRight(data, " \t\r\n"))}, "contents")[0])
	for i, at := range contents {
		var calls []functionPart
		for _, part := range jsonscan.Spans(data, jsonscan.Fields(data, at, "parts")[0]) {
			if f, ok := functionIn(data, part, "functionCall", "function_call"); ok {
				calls = append(calls, f)
			}
		}
		if len(calls) == 0 {
			continue
		}
		var parts []jsonscan.Span
		if i+1 < len(contents) {
			parts = jsonscan.Spans(data, jsonscan.Fields(data, contents[i+1], "parts")[0])
		}
		missing, matched, surplus := matchResponses(data, calls, parts)
		if len(missing) > 0 {
			ignored = dialect.Ignore(ignored, "contents.functionCall")
		}
		if len(surplus) > 0 {
			ignored = dialect.Ignore(ignored, "contents.functionResponse")
		}
		switch stopped := appendStopped(nil, missing); {
		case len(missing) == 0:
		case len(surplus) > 0:
			edits = append(edits, jsonscan.Edit{At: parts[surplus[0]], Text: stopped})
			surplus = surplus[1:]
		case matched > 0:
			end := parts[len(parts)-1].End
			edits = append(edits, jsonscan.Edit{At: jsonscan.Span{Start: end, End: end}, Text: append([]byte{','}, stopped...)})
		default:
			turn := append(append([]byte(`,{"role":"user","parts":[`), stopped...), "]}"...)
			edits = append(edits, jsonscan.Edit{At: jsonscan.Span{Start: at.End, End: at.End}, Text: turn})
		}
		edits = append(edits, jsonscan.Cut(parts, func(k int) bool { return slices.Contains(surplus, k) })...)
	}
	return edits, ignored
}

// functionPart is a call or a response: its id and name as in the body.
type functionPart struct{ id, name []byte }

func functionIn(data []byte, part jsonscan.Span, camel, snake string) (f functionPart, ok bool) {
	for _, at := range jsonscan.Fields(data, part, camel, snake) {
		if at.End > at.Start {
			fields := jsonscan.Fields(data, at, "id", "name")
			f.id, f.name, ok = fields[0].Of(data), fields[1].Of(data), true
		}
	}
	return f, ok
}

// matchResponses returns the calls without a response, the number of calls with
// one, and the indexes of parts whose response has no call or is a second one for
// its call.
func matchResponses(data []byte, calls []functionPart, parts []jsonscan.Span) (missing []functionPart, matched int, surplus []int) {
	open := slices.Clone(calls)
	for k, part := range parts {
		response, ok := functionIn(data, part, "functionResponse", "function_response")
		if !ok {
			continue
		}
		i := slices.IndexFunc(open, func(c functionPart) bool {
			if len(c.id) > 2 && len(response.id) > 2 {
				return bytes.Equal(c.id, response.id)
			}
			return bytes.Equal(c.name, response.name)
		})
		if i < 0 {
			surplus = append(surplus, k)
			continue
		}
		matched++
		open = slices.Delete(open, i, i+1)
	}
	return open, matched, surplus
}

// appendStopped writes the responses for calls that were stopped.
func appendStopped(b []byte, calls []functionPart) []byte {
	for i, call := range calls {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"functionResponse":{`...)
		if len(call.id) > len(`""`) {
			b = append(append(append(b, `"id":`...), call.id...), ',')
		}
		if len(call.name) == 0 {
			call.name = []byte(`""`)
		}
		b = append(append(append(b, `"name":`...), call.name...), `,"response":`...)
		b = append(append(b, interrupted...), "}}"...)
	}
	return b
}

// SignCalls returns the edits that add Google's placeholder to the first call of a
// turn if it has no thought signature because another provider's model made it:
// Gemini 3 refuses such calls. ignored names what was missing.
func SignCalls(data []byte) (edits []jsonscan.Edit, ignored []string) {
	contents := jsonscan.Fields(data, jsonscan.Span{End: len(bytes.TrimRight(data, " \t\r\n"))}, "contents")[0]
	for _, at := range jsonscan.Spans(data, contents) {
		if jsonscan.Opens(at.Of(data), `"role":"user"`) {
			continue
		}
		for _, part := range jsonscan.Spans(data, jsonscan.Fields(data, at, "parts")[0]) {
			f := jsonscan.Fields(data, part, "functionCall", "function_call", "thoughtSignature", "thought_signature")
			call := f[0].End + f[1].End // exactly one of the two is present
			if call == 0 {
				continue
			}
			switch signature, snake := f[2], f[3]; {
			case signature.End == 0 && snake.End == 0:
				edits = append(edits, jsonscan.Edit{At: jsonscan.Span{Start: call, End: call}, Text: []byte(`,"thoughtSignature":"` + skipValidator + `"`)})
				ignored = []string{"contents.thoughtSignature"}
			case len(signature.Of(data))+len(snake.Of(data)) <= len(`""`):
				at := jsonscan.Span{Start: signature.Start + snake.Start, End: signature.End + snake.End}
				edits = append(edits, jsonscan.Edit{At: at, Text: []byte(`"` + skipValidator + `"`)})
				ignored = []string{"contents.thoughtSignature"}
			}
			break // only the first of parallel calls is signed
		}
	}
	return edits, ignored
}

// PlainInstructions returns the edits that turn the system instruction of a request into a
// user turn, for models that do not support one.
func PlainInstructions(data []byte) (edits []jsonscan.Edit, names []string) {
	whole := jsonscan.Span{End: len(bytes.TrimRight(data, " \t\r\n"))}
	contents := jsonscan.Fields(data, whole, "contents")[0]
	for _, name := range [...]string{"systemInstruction", "system_instruction"} {
		at := jsonscan.Fields(data, whole, name)[0]
		parts := bytes.TrimSpace(jsonscan.Fields(data, at, "parts")[0].Of(data))
		if len(parts) == 0 || contents.End <= contents.Start || data[contents.Start] != '[' {
			continue
		}
		turn := append(append([]byte(`{"role":"user","parts":`), parts...), '}')
		if len(jsonscan.Spans(data, contents)) > 0 {
			turn = append(turn, ',')
		}
		edits = append(edits, jsonscan.CutMembers(data, whole, func(member string) bool { return member == name })...)
		return append(edits, jsonscan.Edit{At: jsonscan.Span{Start: contents.Start + 1, End: contents.Start + 1}, Text: turn}), []string{name}
	}
	return nil, nil
}

// WithoutMembers returns the edits that remove members, in camel or snake case, from a
// request or, if within is not empty, from its member of that name.
func WithoutMembers(data []byte, within string, members ...string) (edits []jsonscan.Edit, names []string) {
	at, prefix := jsonscan.Span{End: len(bytes.TrimRight(data, " \t\r\n"))}, ""
	if within != "" {
		whole := at
		if at, prefix = jsonscan.Fields(data, whole, within)[0], within+"."; at.End <= at.Start {
			at = jsonscan.Fields(data, whole, snakeName(within))[0]
		}
	}
	edits = jsonscan.CutMembers(data, at, func(member string) bool {
		for _, name := range members {
			if member == name || member == snakeName(name) {
				names = append(names, prefix+name)
				return true
			}
		}
		return false
	})
	return edits, names
}
