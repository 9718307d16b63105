package daemon

import (
	"fmt"
	"slices"

	"github.com/hostless/hostless/pkg/config"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/gateway"
	"github.com/hostless/hostless/pkg/keys"
	"github.com/hostless/hostless/pkg/provider"
)

// providerURLs are the provider_urls of config.json: base URLs for providers whose entry in
// keys.env has none, and for those that need no key. They do not apply to a key of the
// vault, which is bound to the base URL with which it was sealed, so that an edited file
// cannot send it elsewhere.
type providerURLs struct{ settings *config.Settings }

func (p providerURLs) of(name string) (string, error) {
	base := p.settings.ProviderURL(name)
	if base == "" {
		return "", nil
	}
	if err := provider.CheckBaseURL(base, false); err != nil {
		return "", &fault.Error{Kind: fault.Unconfigured, Message: fmt.Sprintf("provider_urls of config.json: %s: %s", name, fault.From(err).Message), Next: "hostless keys add " + name + " --base-url URL"}
	}
	return base, nil
}

// fill sets the base URL of a stored entry that has none.
func (p providerURLs) fill(e *keys.Entry) error {
	if e.BaseURL != "" || e.Storage != keys.StorageFile {
		return nil
	}
	base, err := p.of(e.Provider)
	e.BaseURL = base
	return err
}

// keyless returns the credential of a provider that has only a base URL.
func (p providerURLs) keyless(name string) (gateway.Credential, bool, error) {
	if !needsNoKey(name) {
		return gateway.Credential{}, false, nil
	}
	base, err := p.of(name)
	return gateway.Credential{Provider: name, BaseURL: base}, base != "", err
}

// add appends the names of the providers that have only a base URL.
func (p providerURLs) add(stored []string) []string {
	for _, name := range p.settings.ProviderURLs() {
		if base, err := p.of(name); err == nil && base != "" && needsNoKey(name) && !slices.Contains(stored, name) {
			stored = append(stored, name)
		}
	}
	slices.Sort(stored)
	return stored
}

// needsNoKey reports whether a provider works without a key: a local one, or one that is not
// in the catalogue.
func needsNoKey(name string) bool {
	known := provider.Default().Get(name)
	return keys.ValidProvider(name) == nil && (known == nil || known.KeyOptional)
}
