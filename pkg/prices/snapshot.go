package prices

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/hostless/hostless/pkg/dialect"
)

//go:embed snapshot.json
var embedded []byte

// Snapshot is a price list in the shape of https://models.dev/api.json, reduced to
// what is used: the providers of the catalogue, prices, limits, and what models can
// do. It is immutable.
type Snapshot map[string]listed

type listed struct {
	Models map[string]*Model `json:"models"`
}

// Model is what a price list says about a model.
type Model struct {
	Cost  *cost `json:"cost,omitempty"`
	Limit struct {
		Context int `json:"context"` // tokens of prompt and response together
		Output  int `json:"output"`  // maximum tokens of a response
	} `json:"limit"`
	Modalities   *modalities   `json:"modalities,omitempty"` // nil if not known
	Reasoning    *bool         `json:"reasoning,omitempty"`
	ToolCall     *bool         `json:"tool_call,omitempty"`
	Options      []option      `json:"reasoning_options,omitempty"` // nil if not known
	Experimental *experimental `json:"experimental,omitempty"`
}

// option is a way to control a model's reasoning. Type is "effort" (one of Values),
// "toggle" or "budget_tokens".
type option struct {
	Type   string   `json:"type"`
	Values []string `json:"values,omitempty"`
}

// efforts returns the efforts that the model supports; "" if the list does not say.
func (m *Model) efforts() dialect.Efforts {
	for _, o := range m.Options {
		if o.Type != "effort" || len(o.Values) == 0 {
			continue
		}
		return dialect.EffortsIn(o.Values)
	}
	return ""
}

// modalities are the kinds of input that a model reads: text, image, audio, video, pdf.
type modalities struct {
	Input []string `json:"input,omitempty"`
}

// rates are prices by models.dev's names, in US dollars per million tokens.
type rates struct {
	Input       *json.Number `json:"input,omitempty"`
	Output      *json.Number `json:"output,omitempty"`
	Reasoning   *json.Number `json:"reasoning,omitempty"`
	CacheRead   *json.Number `json:"cache_read,omitempty"`
	CacheWrite  *json.Number `json:"cache_write,omitempty"`
	InputAudio  *json.Number `json:"input_audio,omitempty"`
	OutputAudio *json.Number `json:"output_audio,omitempty"`
}

type cost struct {
	rates
	Over200k *rates        `json:"context_over_200k,omitempty"`
	Tiers    []contextTier `json:"tiers,omitempty"`
}

// contextTier is the price for prompts of more tokens than its size.
type contextTier struct {
	rates
	Tier struct {
		Size int64 `json:"size"`
	} `json:"tier"`
}

type experimental struct {
	Modes map[string]mode `json:"modes,omitempty"`
}

// mode is a variant of a model at another price. Provider.Body is what a request
// sends to select it.
type mode struct {
	Cost     *cost `json:"cost,omitempty"`
	Provider struct {
		Body struct {
			ServiceTier string `json:"service_tier,omitempty"`
		} `json:"body"`
	} `json:"provider"`
}

// names maps a provider of the catalogue to models.dev's lists. The first list that
// has the model is used.
var names = map[string][]string{
	"openai": {"openai"}, "anthropic": {"anthropic"}, "google": {"google"}, "openrouter": {"openrouter"}, "groq": {"groq"},
	"mistral": {"mistral"}, "deepseek": {"deepseek"}, "xai": {"xai"}, "together": {"togetherai"}, "fireworks": {"fireworks-ai"},
	"cerebras": {"cerebras"}, "perplexity": {"perplexity"}, "cohere": {"cohere"}, "azure": {"azure"}, "bedrock": {"amazon-bedrock"},
	"vertex": {"google-vertex", "google-vertex-anthropic"}, "moonshot": {"moonshotai"}, "zhipu": {"zai"}, "dashscope": {"alibaba"},
	"huggingface": {"huggingface"},
}

// Default is the embedded snapshot, parsed once.
var Default = sync.OnceValue(func() Snapshot {
	var s Snapshot
	if err := json.Unmarshal(embedded, &s); err != nil {
		panic("prices: embedded snapshot: " + err.Error()) // a test reads it
	}
	return s
})

// Parse parses a price list in models.dev's shape and keeps the parts that are
// used. The error says what is wrong with the list.
func Parse(data []byte) (Snapshot, error) {
	var all Snapshot
	if err := json.Unmarshal(data, &all); err != nil {
		return nil, fmt.Errorf("not a price list in the shape of models.dev's api.json: %w", err)
	}
	kept := Snapshot{}
	for _, lists := range names {
		for _, name := range lists {
			models := map[string]*Model{}
			for id, m := range all[name].Models {
				if m == nil {
					continue
				}
				m.reduce()
				if m.Cost != nil {
					if _, err := m.Cost.price(); err != nil {
						return nil, fmt.Errorf("%s/%s: %w", name, id, err)
					}
				}
				models[id] = m
			}
			if len(models) > 0 {
				kept[name] = listed{models}
			}
		}
	}
	if len(kept) == 0 {
		return nil, errors.New("the price list has no provider that Hostless knows: it must have the shape of https://models.dev/api.json")
	}
	return kept, nil
}

// reduce removes what is not used: modes that no service tier selects.
func (m *Model) reduce() {
	if m.Experimental == nil {
		return
	}
	for name, mode := range m.Experimental.Modes {
		if mode.Provider.Body.ServiceTier == "" || mode.Cost == nil {
			delete(m.Experimental.Modes, name)
		}
	}
	if len(m.Experimental.Modes) == 0 {
		m.Experimental = nil
	}
}

// Len returns the number of models.
func (s Snapshot) Len() (n int) {
	for _, l := range s {
		n += len(l.Models)
	}
	return n
}

func (r *rates) price() (p Price, err error) {
	for _, f := range []struct {
		to   **Nano
		from *json.Number
	}{
		{&p.Input, r.Input}, {&p.Cached, r.CacheRead}, {&p.CacheWrite, r.CacheWrite}, {&p.Output, r.Output},
		{&p.Reasoning, r.Reasoning}, {&p.AudioInput, r.InputAudio}, {&p.AudioOutput, r.OutputAudio},
	} {
		if f.from == nil {
			continue
		}
		n, err := ParseNano(f.from.String())
		if err != nil {
			return p, err
		}
		if n < 0 || n > maxPrice {
			return p, fmt.Errorf("%s is not a valid price", f.from)
		}
		*f.to = &n
	}
	return p, nil
}
