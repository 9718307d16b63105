package provider

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/openai"
)

//go:embed catalogue.json
var catalogueJSON []byte

// Auth is the authentication scheme of a provider.
type Auth string

// The authentication schemes.
const (
	Bearer       Auth = "bearer"         // Authorization: Bearer KEY
	XAPIKey      Auth = "x-api-key"      // x-api-key: KEY, and anthropic-version
	XGoogAPIKey  Auth = "x-goog-api-key" // x-goog-api-key: KEY
	APIKeyHeader Auth = "api-key"        // api-key: KEY (Azure)
	NoAuth       Auth = "none"
)

// Endpoint is the location and the authentication of one of a provider's dialects.
type Endpoint struct {
	// Path is "" for the provider's base URL itself, "/suffix" for a path below it,
	// "/.." for the parent of its version path, or an absolute URL, which only
	// applies while the base URL is the catalogue's.
	Path string `json:"path"`
	// Auth is "" for the provider's own scheme.
	Auth Auth `json:"auth"`
}

// Provider is one entry of the catalogue. It is read-only once loaded.
type Provider struct {
	Name         string                    `json:"name"`
	Title        string                    `json:"title"` // display name
	Aliases      []string                  `json:"aliases"`
	BaseURL      string                    `json:"base_url"`      // "" if each customer has a different one
	BaseURLForm  string                    `json:"base_url_form"` // an example of such a base URL
	Version      string                    `json:"version"`       // version path for base URLs without one; "" for BaseURL's last segment
	Auth         Auth                      `json:"auth"`
	KeyOptional  bool                      `json:"key_optional"` // works without a key
	KeyPrefixes  []string                  `json:"key_prefixes"` // how its keys begin
	Dialects     map[dialect.Name]Endpoint `json:"dialects"`
	IncludeUsage bool                      `json:"include_usage"` // accepts stream_options.include_usage
	WebSockets   bool                      `json:"websockets"`    // has WebSocket endpoints of its own
	ModelsURL    bool                      `json:"models_url"`    // lists its models at /models
	BareModels   bool                      `json:"bare_models"`   // its models are listed without the provider's name as a prefix
	Port         int                       `json:"port"`          // where a local server listens, or 0
	Builtin      bool                      `json:"builtin"`       // answered by Hostless itself
	Models       []string                  `json:"models"`        // model names, or prefixes ending in *, that route here without a provider prefix
	List         []string                  `json:"list"`          // models to list if the provider has no list of its own
	Takes        openai.Facts              `json:"takes"`         // fields of chat completions that it accepts and not every provider does
	Custom       bool                      `json:"-"`             // not in the catalogue: made by Custom
}

// Catalogue holds all known providers. It is immutable and safe for concurrent use.
type Catalogue struct {
	all    []*Provider
	byName map[string]*Provider // by name and alias
	exact  map[string]*Provider // by whole model name
	globs  []glob               // by model prefix, longest first
}

type glob struct {
	prefix   string
	provider *Provider
}

// Default is the embedded catalogue, parsed once.
var Default = sync.OnceValue(func() *Catalogue {
	c, err := Parse(catalogueJSON)
	if err != nil {
		panic("provider: embedded catalogue: " + err.Error()) // a test reads it
	}
	return c
})

// Parse parses a catalogue and checks that its names are unique.
func Parse(data []byte) (*Catalogue, error) {
	var doc struct {
		Providers []*Provider `json:"providers"`
	}
	if err := json.Unmarshal(data, &doc); err != nil {
		return nil, err
	}
	c := &Catalogue{byName: map[string]*Provider{}, exact: map[string]*Provider{}}
	for _, p := range doc.Providers {
		if err := c.add(p); err != nil {
			return nil, err
		}
	}
	c.sortGlobs()
	return c, nil
}

func (c *Catalogue) add(p *Provider) error {
	if !ValidName(p.Name) {
		return fmt.Errorf("invalid provider name %q", p.Name)
	}
	if len(p.Dialects) == 0 {
		return fmt.Errorf("provider %s has no dialect", p.Name)
	}
	for _, field := range p.Takes {
		if !slices.Contains(openai.Names(), field) {
			return fmt.Errorf("provider %s takes %q, which no translation makes", p.Name, field)
		}
	}
	if p.BaseURL != "" {
		if _, err := ParseBaseURL(p.BaseURL); err != nil {
			return fmt.Errorf("provider %s: %w", p.Name, err)
		}
		if p.Version == "" {
			p.Version = versionOf(p.BaseURL)
		}
	}
	for _, name := range append([]string{p.Name}, p.Aliases...) {
		if c.byName[name] != nil {
			return fmt.Errorf("provider name %q is used twice", name)
		}
		c.byName[name] = p
	}
	for _, m := range p.Models {
		if prefix, ok := strings.CutSuffix(m, "*"); ok {
			c.globs = append(c.globs, glob{prefix, p})
		} else if c.exact[m] == nil {
			c.exact[m] = p
		}
	}
	c.all = append(c.all, p)
	return nil
}

func (c *Catalogue) sortGlobs() {
	// Insertion sort is enough for a few elements. It is stable, so that the
	// catalogue's order decides between equal lengths.
	for i := 1; i < len(c.globs); i++ {
		for j := i; j > 0 && len(c.globs[j].prefix) > len(c.globs[j-1].prefix); j-- {
			c.globs[j], c.globs[j-1] = c.globs[j-1], c.globs[j]
		}
	}
}

// All returns every provider in the catalogue's order. The slice belongs to the
// caller.
func (c *Catalogue) All() []*Provider { return append([]*Provider(nil), c.all...) }

// Get returns the provider with a name or alias, in any case, or nil if there is
// none.
func (c *Catalogue) Get(name string) *Provider {
	if p := c.byName[name]; p != nil {
		return p
	}
	return c.byName[strings.ToLower(name)]
}

// Canonical returns the name under which a provider's key is stored: the provider's
// own name for an alias, and the name in lower case if the catalogue does not know
// it.
func (c *Catalogue) Canonical(name string) string {
	if p := c.Get(name); p != nil {
		return p.Name
	}
	return strings.ToLower(name)
}

// Listed returns the provider whose catalogue entry lists a model name without a
// prefix, or nil if none does.
func (c *Catalogue) Listed(model string) *Provider {
	if p := c.exact[model]; p != nil {
		return p
	}
	for _, g := range c.globs {
		if strings.HasPrefix(model, g.prefix) {
			return g.provider
		}
	}
	return nil
}

// ByKey returns the provider whose keys have the form of the given one, or nil if
// the form is unknown.
func (c *Catalogue) ByKey(key string) *Provider {
	var found *Provider
	longest := 0
	for _, p := range c.all {
		for _, prefix := range p.KeyPrefixes {
			if len(prefix) > longest && strings.HasPrefix(key, prefix) {
				found, longest = p, len(prefix)
			}
		}
	}
	return found
}

// Custom returns a provider for a user's own base URL. name must be in stored form.
// It has one dialect, which is OpenAI if speaks is "".
func Custom(name string, speaks dialect.Name) *Provider {
	if speaks == "" {
		speaks = dialect.OpenAI
	}
	p := &Provider{
		Name: name, Title: name, Auth: Bearer, KeyOptional: true, ModelsURL: true, Custom: true,
		Version: "v1", Dialects: map[dialect.Name]Endpoint{speaks: {}},
	}
	switch speaks {
	case dialect.Anthropic:
		p.Auth = XAPIKey
	case dialect.Gemini:
		p.Auth, p.Version = XGoogAPIKey, "v1beta"
	}
	return p
}

// With returns the provider with the dialect that its owner has set for its base
// URL. It returns p itself if that is "" or already p's dialect.
func (p *Provider) With(speaks dialect.Name) *Provider {
	if speaks == "" || p.Builtin {
		return p
	}
	if _, ok := p.Dialects[speaks]; ok && p.Primary() == speaks {
		return p
	}
	changed := Custom(p.Name, speaks)
	changed.Title, changed.BaseURL, changed.Models, changed.List = p.Title, p.BaseURL, p.Models, p.List
	changed.BareModels, changed.KeyOptional, changed.Takes = p.BareModels, p.KeyOptional, p.Takes
	return changed
}

// ChatFacts returns what the provider accepts of a translation to chat completions.
// If it has another dialect, that is all of the intermediate form, because another
// translation follows. Custom providers are asked to report usage, because some
// clients depend on it.
func (p *Provider) ChatFacts() openai.Facts {
	if p.Primary() != dialect.OpenAI {
		return openai.Everything()
	}
	if p.IncludeUsage || p.Custom {
		return append(p.Takes[:len(p.Takes):len(p.Takes)], openai.StreamOptions)
	}
	return p.Takes
}

// Primary returns the dialect of the base URL itself.
func (p *Provider) Primary() dialect.Name {
	for _, name := range []dialect.Name{dialect.OpenAI, dialect.Anthropic, dialect.Gemini, dialect.Ollama} {
		if e, ok := p.Dialects[name]; ok && e.Path == "" {
			return name
		}
	}
	return dialect.OpenAI
}

// ValidName reports whether a name is valid for a provider: lower-case letters,
// digits, '-', '_' and '.', at most 64 characters, beginning with a letter or
// digit. It is then also a safe path segment, and safe in the name of an
// environment variable.
func ValidName(name string) bool {
	if name == "" || len(name) > 64 {
		return false
	}
	for i := 0; i < len(name); i++ {
		c := name[i]
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' {
			continue
		}
		if i == 0 || c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return true
}
