package anthropic

import (
	"slices"

	"github.com/hostless/hostless/pkg/jsonscan"
)

// CacheMarks selects the marks for the prompt cache that a request gets if the
// client set none.
type CacheMarks int

const (
	// NoMarks adds no marks.
	NoMarks CacheMarks = iota
	// AutomaticMarks marks the instructions, or else the tools, and asks Anthropic
	// to move a mark along with the conversation
	// (https://docs.claude.com/en/docs/build-with-claude/prompt-caching).
	AutomaticMarks
	// BlockMarks marks the instructions, or else the tools, and the user's last
	// block, which every server with a Messages API supports.
	BlockMarks
)

var ephemeral = jsonscan.Lit(`{"type":"ephemeral"}`)

// markCache adds marks for the prompt cache to a request. From turn to turn, only
// the mark of the last block moves, so that each prefix stays the same.
func (t *fromChat) markCache(o *jsonscan.Value) {
	if t.options.Marks == NoMarks || o.Get("cache_control").Set() || t.marked() {
		return
	}
	if !mark(t.system) {
		mark(t.tools)
	}
	if t.options.Marks == AutomaticMarks {
		o.Put("cache_control", ephemeral)
		return
	}
	for i := range slices.Backward(t.turns) {
		if turn := &t.turns[i]; turn.role == "user" {
			if !mark(turn.blocks) {
				mark(turn.results)
			}
			return
		}
	}
}

// marked reports whether the client marked anything.
func (t *fromChat) marked() bool {
	has := func(blocks []jsonscan.Value) bool {
		return slices.ContainsFunc(blocks, func(b jsonscan.Value) bool { return b.Get("cache_control").Set() })
	}
	return has(t.system) || has(t.tools) || slices.ContainsFunc(t.turns, func(turn turn) bool { return has(turn.results) || has(turn.blocks) })
}

// mark marks the last of the blocks, if there is one.
func mark(blocks []jsonscan.Value) bool {
	if len(blocks) == 0 {
		return false
	}
	setCache(blocks, ephemeral)
	return true
}
