package modelist

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
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
		if json.Unmarshal(raw, &m) != nil || m.ID == "" {
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
		models = append(models, info)
	}
	for _, raw := range doc.Models {
		var m struct {
			Name        string `json:"name"`
			DisplayName string `json:"displayName"`
			Input       int    `json:"inputTokenLimit"`
			Output      int    `json:"outputTokenLimit"`
		}
		if json.Unmarshal(raw, &m) != nil || m.Name == "" {
			continue
		}
		models = append(models, Info{
			ID: strings.TrimPrefix(m.Name, "models/"), Title: m.DisplayName, Owner: "google", Input: m.Input, Output: m.Output, Raw: raw,
		})
	}
	return models, nil
}
