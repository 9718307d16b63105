// Package plan says how a call gets to a provider: whose a model's name is, which key
// is stored for it, which endpoint and which translation lead there, and what request
// that makes.
//
// It owns routing, the choice of translators and the memory that they keep between
// calls. It sends nothing: what it makes, package gateway carries out.
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
	"github.com/hostless/hostless/pkg/provider"
)

// Keys are the stored credentials.
type Keys interface {
	// Get gives a provider's credential by its canonical name. ok is false where
	// nothing is stored; an error is a fault such as fault.Locked.
	Get(ctx context.Context, provider string) (cred pipeline.Credential, ok bool, err error)
	// Stored names the providers that something is stored for, sorted. An error
	// says that this cannot be known now: callers must not take it for none.
	Stored() ([]string, error)
}

// Settings are what config.json says to the gateway. The zero value is the
// default of each.
type Settings struct {
	StreamUsageOff bool                // never ask providers for the usage of a stream
	EchoOff        bool                // the built-in provider does not exist
	Trace          bool                // a caller's traceparent goes up with the request's own span as parent
	KeepResponse   int                 // bytes of each response that the Observers get; 0 is none
	Origins        []string            // the origins list, normalised
	Models         map[string][]string // per provider, where it has no live list, and for routing
	ModelAPIs      map[string]string   // model_apis: "chat" or "responses" by PROVIDER/MODEL, which may end in *
	OllamaModels   []OllamaModel       // ollama_api_models: further models for Ollama's lists
	Aliases        *alias.Table        // names that stand for other models

	// Attributes are the headers that tell a provider of a request: by provider, then by
	// what they tell (config.AttributeNames).
	Attributes map[string]map[string]string
}

// OllamaModel is a model that config.json adds to Ollama's lists.
type OllamaModel struct {
	Name         string   // as a caller names it: provider/id
	Context      int      // the most tokens of a prompt; 0 is as known
	Capabilities []string // nil is as known
}

// Lists are the providers' live lists of models.
type Lists interface {
	// Has reports whether a provider's list has a model; false where no list can be
	// had in time.
	Has(ctx context.Context, p *provider.Provider, cred pipeline.Credential, model string) bool
	// Limits gives how many tokens a model reads and answers with at most, 0 where
	// that is not known. It never fetches.
	Limits(provider, model string) (input, output int)
}

// Config is what New needs. All of it is required.
type Config struct {
	Keys     Keys
	Settings func() Settings
	Lists    Lists
	Upstream *upstream.Client
	Fetcher  *netguard.Fetcher // of what a translated request names by its address
	Now      func() time.Time
}

// Planner routes calls and plans their ways: a pipeline.Planner. It is safe for
// concurrent use.
type Planner struct {
	cfg        Config
	memory     *responses.Memory
	items      *responses.Memory
	signatures *gemini.SignatureCache
	reasoning  *responses.Memory // encrypted, by the call behind it
	unreadable *responses.Memory // encrypted reasoning that was refused
	missing    sync.Map          // *upstream.Endpoint → time.Time
	rules      rules             // of providers, as they were heard
	thoughts   *responses.Memory // by owner, model and call
	thought    atomic.Bool       // something is in thoughts
	repairs    repairs
	spoke      sync.Map // models that answered reasoning_content, by "provider/model"
}

// New makes a planner.
func New(cfg Config) *Planner {
	return &Planner{
		cfg: cfg, memory: responses.NewMemory(memoryEntries, memoryBytes), items: responses.NewMemory(itemEntries, itemBytes),
		signatures: gemini.NewSignatureCache(0), reasoning: responses.NewMemory(itemEntries, itemBytes), unreadable: responses.NewMemory(itemEntries, itemBytes),
		thoughts: responses.NewMemory(thoughtEntries, thoughtBytes), repairs: repairs{memory: responses.NewMemory(thoughtEntries, thoughtBytes)},
	}
}

// catalogue is the one that is built in; no other is configurable.
func catalogue() *provider.Catalogue { return provider.Default() }
