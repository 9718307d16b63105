package openai

import (
	"encoding/json"
	"strings"

	"github.com/hostless/hostless/pkg/jsonscan"
)

// MessageText is the text and the thinking of an answer's message, or of a piece of one, in
// whichever form its provider has for them. It is to be embedded.
type MessageText struct {
	Content          json.RawMessage `json:"content"` // a string, or Mistral's parts
	ReasoningContent json.RawMessage `json:"reasoning_content"`
	Reasoning        json.RawMessage `json:"reasoning"` // OpenRouter's, Groq's and vLLM's word, beside the other or alone
}

// Text is the answer's text, as a JSON string, which is the provider's own bytes
// where it is one already; nil if nothing is.
func (s *MessageText) Text() json.RawMessage {
	if text := filled(s.Content); text != nil {
		return text
	}
	text, _ := s.parts()
	return quoted(text)
}

// Thought is the thinking in clear, as Text is.
func (s *MessageText) Thought() json.RawMessage {
	for _, raw := range [...]json.RawMessage{s.ReasoningContent, s.Reasoning} {
		if thought := filled(raw); thought != nil {
			return thought
		}
	}
	_, thought := s.parts()
	return quoted(thought)
}

// parts reads content that is a list: text, and thinking with text in it.
func (s *MessageText) parts() (text, thought string) {
	if len(s.Content) == 0 || s.Content[0] != '[' {
		return "", ""
	}
	var parts []struct {
		Text     string `json:"text"`
		Thinking []struct {
			Text string `json:"text"`
		} `json:"thinking"`
	}
	if jsonscan.Decode(s.Content, &parts) != nil {
		return "", ""
	}
	var answer, thinks strings.Builder
	for _, p := range parts {
		answer.WriteString(p.Text)
		for _, t := range p.Thinking {
			thinks.WriteString(t.Text)
		}
	}
	return answer.String(), thinks.String()
}

// filled returns a string that is not empty.
func filled(raw json.RawMessage) json.RawMessage {
	if len(raw) > 2 && raw[0] == '"' {
		return raw
	}
	return nil
}

func quoted(s string) json.RawMessage {
	if s == "" {
		return nil
	}
	return jsonscan.Quote(s)
}
