package anthropic

import (
	"unicode/utf8"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/jsonscan"
)

// thought is a block of thinking to send back.
type thought struct {
	block jsonscan.Value
	after dialect.Gap // what the model produced between the previous thought and this one
}

// arrange returns the blocks of a turn in the order in which the model produced
// them, as recorded with its thoughts. The blocks without a record follow, text
// before calls. Anthropic refuses thinking that comes back in another position.
func arrange(thoughts []thought, content, calls []jsonscan.Value) (blocks []jsonscan.Value) {
	for _, th := range thoughts {
		for _, n := range th.after {
			switch {
			case n > 0:
				var part []jsonscan.Value
				part, content = splitText(content, n)
				blocks = append(blocks, part...)
			case len(calls) > 0:
				blocks, calls = append(blocks, calls[0]), calls[1:]
			}
		}
		blocks = append(blocks, th.block)
	}
	return append(append(blocks, content...), calls...)
}

// splitText splits the first n characters off a list of blocks. A block that is not
// text stays with the text before it. Pieces that are only white space are left
// out, because Anthropic refuses them.
func splitText(content []jsonscan.Value, n int) (first, rest []jsonscan.Value) {
	for i := range content {
		s := content[i].Get("text").String()
		if s == nil {
			first = append(first, content[i])
			continue
		}
		if n <= 0 {
			return first, content[i:]
		}
		text := s.Text()
		length := utf8.RuneCountInString(text)
		if length <= n {
			first = append(first, content[i])
			n -= length
			continue
		}
		at := 0
		for ; n > 0; n-- {
			_, size := utf8.DecodeRuneInString(text[at:])
			at += size
		}
		head, tail := textBlocks(jsonscan.Quote(text[:at])), textBlocks(jsonscan.Quote(text[at:]))
		for j := range tail {
			tail[j].Put("cache_control", content[i].Get("cache_control"))
		}
		return append(first, head...), append(tail, content[i+1:]...)
	}
	return first, nil
}
