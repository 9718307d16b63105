package modelist

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hostless/hostless/pkg/prices"
)

// parse decodes a list of models: {"data":[…]} from OpenAI and Anthropic, {"models":[…]}
// from Gemini, or a JSON array.
func parse(data []byte) ([]Info, error) {
	var doc struct {
		Data   []json.RawMessage `json:"data"`
		Models []json.RawMessage `json:"models"`
	}
	if err := json.Unmarshal(data, &doc); err != nil {
		if err := json.Unmarshal(data, &doc.Data); err != nil {
			return nil, fmt.Errorf("the list of models is not JSON: %w", err)
		}
	}
	models := []Info{}
	for _, raw := range doc.Data {
		var m struct {
			ID          string          `json:"id"`
			DisplayName string          `json:"display_name"`
			Name        string          `json:"name"`
			Created     json.RawMessage `json:"created"`
			CreatedAt   string          `json:"created_at"`
			OwnedBy     string          `json:"owned_by"`
			Context     int             `json:"context_length"`
			Window      int             `json:"context_window"`
			MaxIn       int             `json:"max_input_tokens"`
			MaxOut      int             `json:"max_completion_tokens"`
			MaxTokens   int             `json:"max_tokens"`
			Served      int             `json:"max_model_len"` // vLLM's context window
			Top         struct {
				MaxOut int `json:"max_completion_tokens"`
			} `json:"top_provider"` // OpenRouter
		}
		if json.Unmarshal(raw, &m); m.ID == "" { // members of another type are ignored
			continue
		}
		info := Info{ID: m.ID, Title: m.DisplayName, Owner: m.OwnedBy, Input: max(m.Context, m.Window, m.MaxIn, m.Served), Output: max(m.MaxOut, m.MaxTokens, m.Top.MaxOut)}
		if info.Title == "" {
			info.Title = m.Name
		}
		var seconds float64
		if json.Unmarshal(m.Created, &seconds) == nil {
			info.Created = int64(seconds)
		} else if at, err := time.Parse(time.RFC3339, m.CreatedAt); err == nil {
			info.Created = at.Unix()
		}
		info.Purpose = purpose(raw)
		models = append(models, info)
	}
	for _, raw := range doc.Models {
		var m struct {
			Name        string `json:"name"`
			DisplayName string `json:"displayName"`
			Input       int    `json:"inputTokenLimit"`
			Output      int    `json:"outputTokenLimit"`
		}
		if json.Unmarshal(raw, &m); m.Name == "" {
			continue
		}
		models = append(models, Info{
			ID: strings.TrimPrefix(m.Name, "models/"), Title: m.DisplayName, Owner: "google", Input: m.Input, Output: m.Output, Purpose: purpose(raw), Raw: raw,
		})
	}
	return models, nil
}

// purposeFields has the members of a list entry that show the purpose of its model.
type purposeFields struct {
	Kind         string `json:"type"`          // Together
	SupportsChat *bool  `json:"supports_chat"` // Fireworks
	Capabilities struct {
		Chat *bool `json:"completion_chat"`
	} `json:"capabilities"` // Mistral
	Architecture struct {
		Output []string `json:"output_modalities"`
	} `json:"architecture"` // OpenRouter
	Methods []string `json:"supportedGenerationMethods"` // Google
}

// kinds maps Together's types of models that generate no text.
var kinds = map[string]prices.Purpose{
	"embedding": prices.Embeddings, "image": prices.Pictures, "video": prices.Films, "audio": prices.Speech, "transcribe": prices.Transcripts, "rerank": prices.Ranking,
}

// purpose returns the purpose of the model of an entry; nil if the entry does not show it.
func purpose(entry json.RawMessage) *prices.Purpose {
	var t purposeFields
	json.Unmarshal(entry, &t) // members of another type are ignored
	p := prices.Text
	switch writes := t.SupportsChat; {
	case len(t.Methods) > 0:
		switch {
		case slices.Contains(t.Methods, "generateContent"):
		case slices.Contains(t.Methods, "embedContent"):
			p = prices.Embeddings
		case slices.Contains(t.Methods, "bidiGenerateContent"):
			p = prices.Realtime
		default:
			p = prices.Other
		}
	case len(t.Architecture.Output) > 0:
		if !slices.Contains(t.Architecture.Output, "text") {
			if p = prices.Other; slices.Contains(t.Architecture.Output, "embeddings") {
				p = prices.Embeddings
			}
		}
	case t.Kind == "chat" || t.Kind == "language" || t.Kind == "code":
	case kinds[t.Kind] != prices.Text:
		p = kinds[t.Kind]
	case t.Capabilities.Chat != nil:
		writes = t.Capabilities.Chat
		fallthrough
	default:
		if writes == nil {
			return nil
		}
		if !*writes {
			p = prices.Other
		}
	}
	return &p
}
