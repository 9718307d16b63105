// Package gemini translates between OpenAI's chat completions and Google's Gemini
// API (https://ai.google.dev/api/generate-content), in both directions. FromChat
// lets chat clients use Google's native API. ToChat lets Gemini's clients (Gemini
// CLI, the @google/genai SDKs) use any provider of chat completions.
// EmbedFromOpenAI and EmbedToOpenAI do the same for embeddings.
//
// It owns the mapping of requests, responses, streams and errors, the form of
// Gemini's paths and lists, and the cache of thought signatures that makes Gemini
// 3's tool calls work for clients that drop them. It does no I/O: an image that
// must be downloaded is fetched by Options.Fetch. Its paths are relative to a base
// URL that ends in the API's version (/v1beta).
package gemini

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"strings"
	"time"

	"github.com/hostless/hostless/pkg/dialect"
)

// Options configure a translation. The zero value is usable.
type Options struct {
	// Context is the request's context, for Fetch. The default is
	// context.Background.
	Context context.Context
	// Fetch downloads an https file, such as an image, that a message refers to,
	// because Gemini only reads its own files by URL. It must refuse addresses that
	// the client must not reach. If it is nil, such messages are refused.
	Fetch func(ctx context.Context, url string) (mime string, data []byte, err error)
	// Signatures remembers thought signatures by tool call. nil remembers nothing.
	Signatures Signatures
	// Facts returns what a model supports. The default is FactsOf.
	Facts func(model string) Facts
	// PlainSchemas sends tools as `parameters` and response schemas as
	// `responseSchema`, reduced to the older subset, for endpoints that do not
	// support parametersJsonSchema.
	PlainSchemas bool
	// Now is the clock for `created`. The default is time.Now.
	Now func() time.Time
	// NewID returns the random part of an id. The default is 12 bytes of
	// crypto/rand in hex.
	NewID func() string
}

func (o Options) withDefaults() Options {
	if o.Context == nil {
		o.Context = context.Background()
	}
	if o.Signatures == nil {
		o.Signatures = forgetful{}
	}
	if o.Facts == nil {
		o.Facts = FactsOf
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.NewID == nil {
		o.NewID = func() string {
			var b [12]byte
			rand.Read(b[:])
			return hex.EncodeToString(b[:])
		}
	}
	return o
}

// Facts are what the translation needs to know about a model.
type Facts struct {
	// Levels are the thinkingLevels that the model supports; "" or dialect.NoEffort if it
	// supports none (https://ai.google.dev/gemini-api/docs/thinking).
	Levels dialect.Efforts
	// MinBudget and MaxBudget limit its thinkingBudget, in tokens. A MaxBudget of 0
	// means that it supports none.
	MinBudget, MaxBudget int
	// Signed reports whether the model refuses its own tool calls without a thought
	// signature, and whether calls have ids.
	Signed bool
}

// FactsOf derives the facts from the model's name: Gemini 3 and later have thinking
// levels and sign their calls, 2.5 has thinking budgets, and older ones do not
// think. A name with `-latest` counts as one of the newest.
func FactsOf(model string) Facts {
	name := model[strings.LastIndexByte(model, '/')+1:]
	rest, ok := strings.CutPrefix(name, "gemini-")
	switch {
	case !ok:
		return Facts{}
	case strings.HasPrefix(rest, "1.") || strings.HasPrefix(rest, "2.0") || strings.HasPrefix(rest, "embedding"):
		return Facts{}
	case strings.HasPrefix(rest, "2.5"):
		switch {
		case strings.Contains(rest, "image") || strings.Contains(rest, "tts"):
			return Facts{}
		case strings.Contains(rest, "pro"):
			return Facts{MinBudget: 128, MaxBudget: 32768}
		}
		return Facts{MaxBudget: 24576}
	}
	return Facts{Levels: dialect.EffortsOf("google", name), Signed: true}
}
