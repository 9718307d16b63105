package anthropic

import (
	"crypto/rand"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/openai"
)

// Options configure a translation. The zero value is usable.
type Options struct {
	// Models corrects what a model's name implies (ModelByName) with the facts of a
	// catalogue. If it is nil, only the name counts.
	Models func(provider, model string, byName Model) Model
	// Takes returns the fields of chat completions that a provider accepts. nil
	// means all of them, for another translation that follows. Only ToChat uses it.
	Takes func(provider string) openai.Facts
	// Marks selects how FromChat marks a request for the prompt cache if the client
	// did not.
	Marks CacheMarks
	// Now is the clock for `created`. The default is time.Now.
	Now func() time.Time
	// NewID returns the random part of an id. The default is 12 random bytes in
	// hex.
	NewID func() string
}

func (o Options) withDefaults() Options {
	if o.Models == nil {
		o.Models = func(_, _ string, m Model) Model { return m }
	}
	if o.Takes == nil {
		o.Takes = func(string) openai.Facts { return openai.Everything() }
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

// Model is what a translation needs to know about a model.
type Model struct {
	MaxOutput  int  // maximum tokens of a response; 0 if not known
	Thinking   bool // supports thinking (Messages) or reasoning_effort (chat)
	Adaptive   bool // supports thinking of type adaptive, with output_config.effort
	DefaultOn  bool // thinks unless the request disables it
	AlwaysOn   bool // thinking cannot be switched off
	XHigh      bool // supports the effort xhigh
	Sampling   bool // supports temperature, top_p and top_k
	OneSampler bool // supports temperature or top_p, not both
	Structured bool // supports output_config.format and strict tools
	Prefill    bool // supports a conversation that ends with an assistant turn
}

// Efforts returns the efforts that the model supports.
func (m Model) Efforts() dialect.Efforts {
	switch {
	case !m.Thinking:
		return dialect.NoEffort
	case !m.Adaptive: // each has a budget of tokens
		return "none minimal low medium high xhigh max"
	case !m.XHigh:
		return "none low medium high max"
	}
	return "none low medium high xhigh max"
}

// ModelByName returns what a model's name alone implies. The rules for Claude
// follow Anthropic's migration guides: adaptive thinking since 4.6, no sampling
// parameters since Opus 4.7 and in all of 5, structured output since 4.5, the
// effort xhigh since 4.7, thinking by default since 5, no prefill since 4.6. A name
// that matches no rule gets the most common values.
func ModelByName(name string) Model {
	base := strings.ToLower(name[strings.LastIndexByte(name, '/')+1:])
	if i := strings.Index(base, "claude"); i >= 0 {
		return claude(base[i:])
	}
	m := Model{Sampling: true, Prefill: true}
	switch {
	case (strings.HasPrefix(base, "gpt-5") || strings.HasPrefix(base, "gpt-6")) && !strings.Contains(base, "chat"):
		m = Model{MaxOutput: 128000, Thinking: true, XHigh: !(base == "gpt-5" || strings.HasPrefix(base, "gpt-5-") || strings.HasPrefix(base, "gpt-5.1")) || strings.Contains(base, "codex-max")}
	case len(base) > 1 && base[0] == 'o' && base[1] >= '1' && base[1] <= '9':
		m = Model{MaxOutput: 100000, Thinking: true}
	case strings.HasPrefix(base, "gpt-oss"):
		m.Thinking = true
	case strings.HasPrefix(base, "gemini-2.5"), strings.HasPrefix(base, "gemini-3"):
		m.Thinking = true
	case strings.HasPrefix(base, "gpt-4.1"):
		m.MaxOutput = 32768
	case strings.HasPrefix(base, "gpt-4o"), strings.HasPrefix(base, "chatgpt-4o"), strings.HasPrefix(base, "gpt-5"):
		m.MaxOutput = 16384
	case strings.HasPrefix(base, "gpt-4-turbo"), strings.HasPrefix(base, "gpt-3.5"):
		m.MaxOutput = 4096
	case strings.HasPrefix(base, "grok-3-mini"):
		m.Thinking = true
	}
	return m
}

// claude reads the family and the version from names such as claude-opus-4-6,
// claude-sonnet-4-5-20250929, claude-opus-4@20250514 and claude-3-5-haiku-latest.
func claude(base string) Model {
	family, version := "", 0.0
	digits := 0
	for _, word := range strings.FieldsFunc(base, func(r rune) bool { return r == '-' || r == '@' || r == '.' || r == ':' }) {
		n, err := strconv.Atoi(word)
		switch {
		case err == nil && len(word) <= 2 && digits == 0:
			version, digits = float64(n), 1
		case err == nil && len(word) <= 2 && digits == 1:
			version, digits = version+float64(n)/10, 2
		case err == nil:
			digits = 2 // a date ends the version
		case family == "" && slices.Contains([]string{"opus", "sonnet", "haiku", "fable", "mythos"}, word):
			family = word
		}
	}
	if version == 0 {
		if family == "" {
			return Model{MaxOutput: 64000, Sampling: true, OneSampler: true, Thinking: true, Prefill: true} // an unknown name, such as claude-next
		}
		version = 5 // a family without a version: claude-mythos-preview, claude-opus-latest
	}
	atLeast := func(v float64) bool { return version > v-0.01 }
	m := Model{
		Thinking:   atLeast(3.7),
		Adaptive:   atLeast(4.6),
		DefaultOn:  atLeast(5),
		AlwaysOn:   family == "mythos" || family == "fable",
		XHigh:      atLeast(4.7),
		Sampling:   !atLeast(5) && !(family == "opus" && atLeast(4.7)),
		OneSampler: atLeast(4.1),
		Structured: atLeast(4.5),
		Prefill:    !atLeast(4.6),
		MaxOutput:  64000,
	}
	switch {
	case !atLeast(3.5):
		m.MaxOutput = 4096
	case !atLeast(3.7):
		m.MaxOutput = 8192
	case family == "opus" && !atLeast(4.5):
		m.MaxOutput = 32000
	case atLeast(4.6) && family != "haiku" && family != "sonnet":
		m.MaxOutput = 128000
	}
	return m
}
