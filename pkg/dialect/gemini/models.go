package gemini

import (
	"strings"

	"github.com/hostless/hostless/pkg/dialect/rawjson"
)

// Model describes one model of a list.
type Model struct {
	ID          string   // without "models/"
	DisplayName string   // ID if ""
	Description string   // may be ""
	Input       int      // inputTokenLimit; omitted if 0
	Output      int      // outputTokenLimit; omitted if 0
	Methods     []string // supportedGenerationMethods; nil means generateContent, streamGenerateContent and countTokens
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

// JSON returns the response of GET /v1beta/models/{model}.
func (m Model) JSON() []byte { return rawjson.Must(m.info()) }
