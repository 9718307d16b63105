package prices

import (
	"slices"
	"strings"
)

// Purpose is what a model is for. The zero value is for a model that generates text, or
// of which nothing is known.
type Purpose struct {
	Makes string // a predicate for error messages, such as "makes embeddings"; "" for text
	Path  string // its endpoint; "" if the gateway has none
}

// The purposes of models.
var (
	Text        = Purpose{}
	Embeddings  = Purpose{"makes embeddings", "/v1/embeddings"}
	Pictures    = Purpose{"makes images", "/v1/images/generations"}
	Films       = Purpose{"makes videos", "/v1/videos"}
	Music       = Purpose{"makes music", ""}
	Speech      = Purpose{"makes speech", "/v1/audio/speech"}
	Transcripts = Purpose{"transcribes speech", "/v1/audio/transcriptions"}
	Moderation  = Purpose{"classifies text", "/v1/moderations"}
	Realtime    = Purpose{"is for realtime sessions", "/v1/realtime"}
	Ranking     = Purpose{"ranks documents", "/v1/rerank"}
	Completion  = Purpose{"is for plain completions", "/v1/completions"}
	Reading     = Purpose{"extracts text from documents", "/v1/ocr"}
	Other       = Purpose{"generates no text", ""}
)

// PurposeOf returns the purpose of a model of the catalogue's providers by its name. It is
// Text for names of models that can generate text too, such as gpt-4o-audio-preview and
// gemini-2.5-flash-image.
func PurposeOf(provider, model string) Purpose {
	base := strings.ToLower(model[strings.LastIndexByte(model, '/')+1:])
	words := strings.FieldsFunc(base, func(r rune) bool { return r == '-' || r == '.' || r == '_' || r == ':' })
	word := func(any ...string) bool {
		return slices.ContainsFunc(any, func(w string) bool { return slices.Contains(words, w) })
	}
	begins := func(any ...string) bool {
		return slices.ContainsFunc(any, func(p string) bool { return strings.HasPrefix(base, p) })
	}
	switch {
	case strings.Contains(base, "embed") && !strings.Contains(base, "embedded"):
		return Embeddings
	case word("rerank", "reranker"):
		return Ranking
	case word("whisper", "transcribe"):
		return Transcripts
	case word("moderation"):
		return Moderation
	case begins("babbage-002", "davinci-002", "gpt-3.5-turbo-instruct"):
		return Completion
	case begins("imagen-", "dall-e-", "gpt-image-", "chatgpt-image-", "grok-2-image", "grok-imagine-image"):
		return Pictures
	case begins("sora-", "veo-", "grok-imagine-video"):
		return Films
	case begins("lyria-"):
		return Music
	case begins("mistral-ocr"):
		return Reading
	case provider == "google":
		return Text // its speech models use generateContent too
	case word("realtime") || begins("gpt-live"):
		return Realtime
	case word("tts", "orpheus"):
		return Speech
	}
	return Text
}
