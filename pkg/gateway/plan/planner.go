// Package plan determines how a call reaches a provider: which provider a model name
// belongs to, which key is stored for it, which endpoint and translation to use, and the
// resulting request.
//
// It implements routing, the choice of translators, and the state that they keep between
// calls. It does not send requests; package gateway does.
package plan

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hostless/hostless/pkg/dialect/gemini"
	"github.com/hostless/hostless/pkg/dialect/responses"
	"github.com/hostless/hostless/pkg/gateway/alias"
	"github.com/hostless/hostless/pkg/gateway/pipeline"
	"github.com/hostless/hostless/pkg/gateway/upstream"
	"github.com/hostless/hostless/pkg/netguard"
	"github.com/hostless/hostless/pkg/prices"
	"github.com/hostless/hostless/pkg/provider"
)

// Keys gives access to the stored credentials.
type Keys interface {
	// Get returns the credential of a provider by its canonical name. ok is false if
	// nothing is stored. The error is a fault, such as fault.Locked.
	Get(ctx context.Context, provider string) (cred pipeline.Credential, ok bool, err error)
	// Stored returns the sorted names of the providers with a stored credential. An error
	// means that they are unknown at the moment; it must not be treated as an empty list.
	Stored() ([]string, error)
}

// Settings are the settings of the gateway from config.json. The zero value has the
// defaults.
type Settings struct {
	StreamUsageOff bool                // never request the usage of a stream from providers
	EchoOff        bool                // disable the built-in provider
	Trace          bool                // forward a caller's traceparent, with the span of the call as the parent
	KeepResponse   int                 // bytes of each response that are passed to the Observers; 0 means none
	Origins        []string            // the origins list, normalised
	Models         map[string][]string // by provider; for routing, and listed if the provider has no live list
	ModelAPIs      map[string]string   // model_apis: "chat" or "responses" by PROVIDER/MODEL, with an optional * at the end
	OllamaModels   []OllamaModel       // ollama_api_models: additional models for Ollama's lists
	Aliases        *alias.Table        // names that stand for models

	// Attributes are the headers that identify a request to its provider, by provider and
	// attribute (config.AttributeNames).
	Attributes map[string]map[string]string
}

// OllamaModel is a model that config.json adds to Ollama's lists.
type OllamaModel struct {
	Name         string   // provider/id
	Context      int      // context window in tokens; 0 to use the known value
	Capabilities []string // nil to use the known ones
}

// Lists gives access to the providers' live model lists.
type Lists interface {
	// Has reports whether a provider's list contains a model. It is false if the list
	// cannot be fetched in time.
	Has(ctx context.Context, p *provider.Provider, cred pipeline.Credential, model string) bool
	// Limits returns the context window and the maximum output of a model in tokens; 0 if
	// unknown. It never fetches.
	Limits(provider, model string) (input, output int)
	// Purpose returns the purpose of a model from the provider's list; nil if unknown. It
	// never fetches.
	Purpose(provider, model string) *prices.Purpose
}

// Config is the configuration for New. All fields are required.
type Config struct {
	Keys     Keys
	Settings func() Settings
	Lists    Lists
	Upstream *upstream.Client
	Facts    func(provider, model string) prices.Facts
	Fetcher  *netguard.Fetcher // fetches files that a translated request refers to by URL
	Now      func() time.Time
}

// Planner routes calls to providers and plans the requests. It implements pipeline.Planner.
// It is safe for concurrent use.
type Planner struct {
	cfg        Config
	memory     *responses.Memory
	items      *responses.Memory
	signatures *gemini.SignatureCache
	reasoning  *responses.Memory // encrypted, by the tool call that follows it
	unreadable *responses.Memory // encrypted reasoning that a provider refused
	missing    sync.Map          // *upstream.Endpoint → time.Time
	rules      rules             // rules of providers, learnt from their refusals
	thoughts   *responses.Memory // thinking, by owner, model and tool call
	thought    atomic.Bool       // thoughts is not empty
	repairs    repairs
	spoke      sync.Map // models that returned reasoning_content, by "provider/model"
}

// New returns a Planner.
func New(cfg Config) *Planner {
	return &Planner{
		cfg: cfg, memory: responses.NewMemory(memoryEntries, memoryBytes), items: responses.NewMemory(itemEntries, itemBytes),
		signatures: gemini.NewSignatureCache(0), reasoning: responses.NewMemory(itemEntries, itemBytes), unreadable: responses.NewMemory(itemEntries, itemBytes),
		thoughts: responses.NewMemory(thoughtEntries, thoughtBytes), repairs: repairs{memory: responses.NewMemory(thoughtEntries, thoughtBytes)},
	}
}

// catalogue returns the embedded provider catalogue, which cannot be replaced.
func catalogue() *provider.Catalogue { return provider.Default() }
