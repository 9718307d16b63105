package plan

import (
	"encoding/json"
	"fmt"

	"github.com/hostless/hostless/pkg/dialect/responses"
)

// exportBytes limits each of the memories that a daemon hands over to its successor.
const exportBytes = 4 << 20

// remembered is what a planner hands over to the one in a successor's process: what
// clients do not send back themselves. None of it is ever written to disk, because
// thinking and conversations are content.
type remembered struct {
	Conversations []responses.Remembered `json:"conversations,omitempty"` // for previous_response_id
	Items         []responses.Remembered `json:"items,omitempty"`         // for item_reference
	Thoughts      []responses.Remembered `json:"thoughts,omitempty"`      // by tool call
	Reasoning     []responses.Remembered `json:"reasoning,omitempty"`     // encrypted, by tool call
	Unreadable    []responses.Remembered `json:"unreadable,omitempty"`    // digests of refused encrypted reasoning
	Refused       []responses.Remembered `json:"refused,omitempty"`       // digests of refused thinking
	Signatures    [][2]string            `json:"signatures,omitempty"`    // Gemini's, by tool call
	Spoke         []string               `json:"spoke,omitempty"`         // models that have sent reasoning_content
}

// Export returns what the planner remembers of conversations, as JSON for Import in
// another process. Each memory is limited to its most recently used entries.
func (pl *Planner) Export() (json.RawMessage, error) {
	out := remembered{
		Conversations: pl.memory.Export(exportBytes), Items: pl.items.Export(exportBytes), Thoughts: pl.thoughts.Export(exportBytes),
		Reasoning: pl.reasoning.Export(exportBytes), Unreadable: pl.unreadable.Export(exportBytes), Refused: pl.repairs.memory.Export(exportBytes),
		Signatures: pl.signatures.Export(),
	}
	pl.spoke.Range(func(model, _ any) bool {
		out.Spoke = append(out.Spoke, model.(string))
		return true
	})
	return json.Marshal(out)
}

// Import adds what Export returned.
func (pl *Planner) Import(data json.RawMessage) error {
	var in remembered
	if err := json.Unmarshal(data, &in); err != nil {
		return fmt.Errorf("read the predecessor's memory: %w", err)
	}
	pl.memory.Import(in.Conversations)
	pl.items.Import(in.Items)
	pl.thoughts.Import(in.Thoughts)
	pl.reasoning.Import(in.Reasoning)
	pl.unreadable.Import(in.Unreadable)
	pl.repairs.memory.Import(in.Refused)
	pl.signatures.Import(in.Signatures)
	for _, model := range in.Spoke {
		pl.spoke.Store(model, true)
	}
	if len(in.Thoughts) > 0 {
		pl.thought.Store(true)
	}
	if len(in.Refused) > 0 {
		pl.repairs.thinking.Store(true)
	}
	return nil
}
