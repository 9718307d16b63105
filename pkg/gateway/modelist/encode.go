package modelist

import (
	"encoding/json"
	"time"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/anthropic"
	"github.com/hostless/hostless/pkg/dialect/gemini"
)

// Encode returns a page of models in the response format of a dialect, to be encoded as
// JSON.
func Encode(shape dialect.Name, p Page) any {
	entries := make([]any, 0, len(p.Models))
	for _, m := range p.Models {
		entries = append(entries, EncodeModel(shape, m))
	}
	switch shape {
	case dialect.Anthropic:
		list := map[string]any{"data": entries, "has_more": p.More, "first_id": nil, "last_id": nil}
		if n := len(p.Models); n > 0 {
			list["first_id"], list["last_id"] = p.Models[0].ID, p.Models[n-1].ID
		}
		return list
	case dialect.Gemini:
		list := map[string]any{"models": entries}
		if p.Next != "" {
			list["nextPageToken"] = p.Next
		}
		return list
	default:
		return map[string]any{"object": "list", "data": entries}
	}
}

// EncodeModel returns one model in the response format of a dialect, to be encoded as JSON.
func EncodeModel(shape dialect.Name, m Model) any {
	title := m.Title
	if title == "" {
		title = m.ID
	}
	switch shape {
	case dialect.Anthropic:
		return json.RawMessage(anthropic.AppendModel(nil, anthropic.ModelInfo{ID: m.ID, DisplayName: title, Created: time.Unix(m.Created, 0)}))
	case dialect.Gemini:
		if m.Raw != nil && m.ID == m.Info.ID {
			return m.Raw
		}
		return json.RawMessage(gemini.Model{ID: m.ID, DisplayName: title, Input: m.Input, Output: m.Output}.JSON())
	default:
		return map[string]any{"id": m.ID, "object": "model", "created": m.Created, "owned_by": m.Owner}
	}
}
