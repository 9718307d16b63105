package dialect

import "strconv"

// Gap is what stands in a turn of the model's between one entry of reasoning_details
// and the one before it, in order: a number of characters of the message's content,
// or 0 for its next tool call. The middle carries it as the entry's member `after`,
// since thinking must come back exactly where the model had it.
type Gap []int

// Text adds so many characters of content.
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

// Append appends the member to an entry that is written up to its closing brace;
// nothing for an empty gap.
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
