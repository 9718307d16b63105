package dialect

import "strconv"

// Gap lists what the model produced between one entry of reasoning_details and the
// one before it, in order: a number of characters of the message's content, or 0
// for the next tool call. The intermediate form has it as the entry's member
// `after`, because thinking must be sent back in exactly the position that the
// model gave it.
type Gap []int

// Text adds a number of characters of content.
func (g *Gap) Text(chars int) {
	switch n := len(*g); {
	case chars <= 0:
	case n > 0 && (*g)[n-1] > 0:
		(*g)[n-1] += chars
	default:
		*g = append(*g, chars)
	}
}

// Call adds a tool call.
func (g *Gap) Call() { *g = append(*g, 0) }

// Append appends the member to an entry that is written up to its closing brace. It
// appends nothing for an empty gap.
func (g Gap) Append(b []byte) []byte {
	if len(g) == 0 {
		return b
	}
	b = append(b, `,"after":[`...)
	for i, n := range g {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, int64(n), 10)
	}
	return append(b, ']')
}
