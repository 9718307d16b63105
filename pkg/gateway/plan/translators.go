package plan

import (
	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/anthropic"
	"github.com/hostless/hostless/pkg/dialect/gemini"
	"github.com/hostless/hostless/pkg/dialect/ollama"
	"github.com/hostless/hostless/pkg/dialect/openai"
	"github.com/hostless/hostless/pkg/dialect/responses"
	"github.com/hostless/hostless/pkg/gateway/pipeline"
)

// fromChatTranslator returns the translator from chat completions to a provider's dialect.
func (r *Request) fromChatTranslator(to *pipeline.Candidate, speaks dialect.Name) dialect.Translator {
	if speaks == dialect.Anthropic {
		marks := anthropic.BlockMarks
		if to.Provider.Name == "anthropic" {
			marks = anthropic.AutomaticMarks
		}
		return openai.FitFrom(openai.RecallDetails(anthropic.FromChat(anthropic.Options{Models: r.withOutputLimit, Marks: marks, Now: r.Planner.cfg.Now}), r.thoughts(to)), openai.Model{TextOnly: r.model(to).TextOnly})
	}
	return openai.FitFrom(gemini.FromChat(r.geminiOptions()), r.model(to))
}

// withOutputLimit sets the output limit of a model if it is known from more than its name.
func (r *Request) withOutputLimit(name, model string, m anthropic.Model) anthropic.Model {
	if most := r.outputLimit(name, model); most > 0 {
		m.MaxOutput = most
	}
	return m
}

func (r *Request) geminiOptions() gemini.Options {
	return gemini.Options{Context: r.HTTP.Context(), Fetch: r.Planner.cfg.Fetcher.Budget().Fetch, Signatures: r.Planner.signatures, Now: r.Planner.cfg.Now}
}

// toChatTranslator returns the translator from the caller's endpoint to chat completions,
// or, if embeds is true, to OpenAI's embeddings. It is nil if there is none.
func (r *Request) toChatTranslator(to *pipeline.Candidate) (first dialect.Translator, embeds bool) {
	switch s := r.Matched; s.Dialect {
	case dialect.Responses:
		return func(req dialect.Request) (*dialect.Call, error) {
			return responses.ToChat(r.responsesOptions(req.Body))(req)
		}, false
	case dialect.Anthropic:
		facts, _ := r.chatFacts(to)
		return r.messagesToChat(facts), false
	case dialect.Gemini:
		switch r.Verb {
		case "generateContent", "streamGenerateContent":
			return gemini.ToChat(r.geminiOptions()), false
		case "embedContent", "batchEmbedContents":
			return gemini.EmbedToOpenAI(), true
		}
	case dialect.Ollama:
		options := ollama.Options{Now: r.Planner.cfg.Now}
		switch s.Pattern {
		case "/api/chat":
			return ollama.ToChat(options), false
		case "/api/generate":
			return ollama.GenerateToChat(options), false
		case "/api/embed":
			return ollama.EmbedToOpenAI(options), true
		case "/api/embeddings":
			return ollama.EmbeddingsToOpenAI(options), true
		}
	}
	return nil, false
}

// messagesToChat returns the translator from the Messages API for an upstream that accepts
// the given fields.
func (r *Request) messagesToChat(facts openai.Facts) dialect.Translator {
	return anthropic.ToChat(anthropic.Options{Takes: func(string) openai.Facts { return facts }, Now: r.Planner.cfg.Now})
}

// answerLocally answers requests that need no provider, unless the provider supports them
// itself: Ollama's requests to load a model, and embeddings of no text.
func (r *Request) answerLocally(to *pipeline.Candidate) (answer []byte, ok bool, err error) {
	s, body := r.Matched, r.Call.Body
	switch {
	case s.Pattern == "/api/chat" || s.Pattern == "/api/generate":
		if native, err := r.Endpoint(to, dialect.Ollama); native != nil || err != nil {
			return nil, false, err
		}
		answer, ok = ollama.Idle(s.Pattern, body, r.Planner.cfg.Now())
		return answer, ok, nil
	case s.Pattern == "/api/embed":
		if native, err := r.Endpoint(to, dialect.Ollama); native != nil || err != nil {
			return nil, false, err
		}
		answer, ok = ollama.NothingToEmbed(body)
		return answer, ok, nil
	}
	return nil, false, nil
}
