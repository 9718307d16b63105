package openai

import (
	"encoding/json"
	"strings"

	"github.com/hostless/hostless/pkg/jsonscan"
)

// MessageText is the text and the thinking of a message or delta, in any of the
// forms that providers use. It is meant to be embedded.
type MessageText struct {
	Content          json.RawMessage `json:"content"` // a string, or Mistral's parts
	ReasoningContent json.RawMessage `json:"reasoning_content"`
	Reasoning        json.RawMessage `json:"reasoning"` // used by OpenRouter, Groq and vLLM, in addition to reasoning_content or instead of it
}

// Text returns the text as a JSON string, sharing the provider's bytes if it
// already is one. It returns nil if there is none.
func (s *MessageText) Text() json.RawMessage {
	if text := filled(s.Content); text != nil {
		return text
	}
	text, _ := s.parts()
	return quoted(text)
}

// Thought returns the readable thinking, in the same way as Text.
func (s *MessageText) Thought() json.RawMessage {
	for _, raw := range [...]json.RawMessage{s.ReasoningContent, s.Reasoning} {
		if thought := filled(raw); thought != nil {
			return thought
		}
	}
	_, thought := s.parts()
	return quoted(thought)
}

// parts reads content that is a list of text parts, and of thinking parts that
// contain text.
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

// filled returns raw if it is a string that is not empty, and nil otherwise.
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
