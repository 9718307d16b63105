// Package gemini translates between OpenAI's chat completions and Google's
// Gemini API (https://ai.google.dev/api/generate-content), in both directions:
// FromChat lets chat clients use Google's native API, ToChat lets Gemini's
// clients (Gemini CLI, the @google/genai SDKs) use any provider of chat
// completions. EmbedFromOpenAI and EmbedToOpenAI do the same for embeddings.
//
// It owns the mapping of requests, answers, streams and errors, what Gemini's
// paths and lists look like, and the memory of thought signatures that keeps
// Gemini 3's tool calls alive for clients that drop them. It does no I/O: an
// image that must be downloaded is fetched by what Options brings in. Paths that
// it makes are below a base URL that ends in the API's version (/v1beta).
package gemini

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"strings"
	"time"
)

// Options are what a translation needs from outside. The zero value works.
type Options struct {
	// Context is the request's, handed to Fetch; nil is context.Background.
	Context context.Context
	// Fetch downloads an https file (an image, say) that a message points at, for
	// Gemini takes only its own files by address. It must guard against addresses
	// that the caller has no business with. nil refuses such messages.
	Fetch func(ctx context.Context, url string) (mime string, data []byte, err error)
	// Signatures remembers thought signatures by tool call; nil remembers nothing.
	Signatures Signatures
	// Facts tells what a model can do; nil is FactsOf.
	Facts func(model string) Facts
	// PlainSchemas sends tools as `parameters` and answers' schemas as
	// `responseSchema`, cleaned to the older subset, for endpoints that do not
	// know parametersJsonSchema.
	PlainSchemas bool
	// Now is the clock of `created`; nil is time.Now.
	Now func() time.Time
	// NewID makes the random part of an id; nil is 12 bytes of crypto/rand in hex.
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

// Facts are what the translation needs to know of a model.
type Facts struct {
	// Levels are the thinkingLevels that the model takes, weakest first; empty if
	// it takes none (https://ai.google.dev/gemini-api/docs/thinking).
	Levels []string
	// MinBudget and MaxBudget bound its thinkingBudget in tokens; MaxBudget 0
	// means that it takes none.
	MinBudget, MaxBudget int
	// Signed says that the model refuses its own tool calls without a thought
	// signature, and that calls carry ids.
	Signed bool
}

// FactsOf tells the facts by the model's name: Gemini 3 and later think by
// level and sign their calls, 2.5 thinks by budget, older ones do not think. A
// name with `-latest` is one of the newest.
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
	case strings.HasPrefix(rest, "3-pro"):
		return Facts{Levels: []string{"low", "high"}, Signed: true}
	case strings.Contains(rest, "pro"):
		return Facts{Levels: []string{"low", "medium", "high"}, Signed: true}
	}
	return Facts{Levels: []string{"minimal", "low", "medium", "high"}, Signed: true}
}
