package gemini

import (
	"strings"

	"github.com/hostless/hostless/pkg/dialect/rawjson"
)

// Model is what a list of models tells of one.
type Model struct {
	ID          string   // as it is called, without "models/"
	DisplayName string   // ID where it is empty
	Description string   // may be empty
	Input       int      // inputTokenLimit, left out if 0
	Output      int      // outputTokenLimit, left out if 0
	Methods     []string // supportedGenerationMethods; nil is generateContent, streamGenerateContent and countTokens
}

type modelInfo struct {
	Name        string   `json:"name"`
	Version     string   `json:"version"`
	DisplayName string   `json:"displayName"`
	Description string   `json:"description,omitempty"`
	Input       int      `json:"inputTokenLimit,omitempty"`
	Output      int      `json:"outputTokenLimit,omitempty"`
	Methods     []string `json:"supportedGenerationMethods"`
}

func (m Model) info() modelInfo {
	out := modelInfo{
		Name: "models/" + strings.TrimPrefix(m.ID, "models/"), Version: "001", DisplayName: m.DisplayName, Description: m.Description,
		Input: m.Input, Output: m.Output, Methods: m.Methods,
	}
	if out.DisplayName == "" {
		out.DisplayName = m.ID
	}
	if out.Methods == nil {
		out.Methods = []string{"generateContent", "streamGenerateContent", "countTokens"}
	}
	return out
}

// JSON is the answer of GET /v1beta/models/{model}.
func (m Model) JSON() []byte { return rawjson.Must(m.info()) }
