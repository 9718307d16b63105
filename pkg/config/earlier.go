package config

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// Names that versions before 1.0 used, and that are still accepted.

// memberURLs is provider → base URL.
const memberURLs = "provider_urls"

// earlierName returns the form of a setting's name that versions before 1.0 wrote.
func earlierName(name string) string { return strings.ReplaceAll(name, "-", "_") }

// settingMember finds a setting in config.json by its name, or else by its earlier name.
func settingMember(members map[string]json.RawMessage, name string) (json.RawMessage, bool) {
	for _, n := range []string{name, earlierName(name)} {
		if raw, ok := members[n]; ok && string(raw) != "null" {
			return raw, true
		}
	}
	return nil, false
}

// OllamaModel is an entry of ollama_api_models.
type OllamaModel struct {
	Name         string   // provider/id, or as written
	Context      int      // maximum prompt length in tokens, 0 if unknown
	Capabilities []string // nil for the default ones
}

// ollamaModels is the member ollama_api_models: a list of `provider/id`, or an object
// that maps a provider to a list of ids or objects.
type ollamaModels []OllamaModel

// UnmarshalJSON implements json.Unmarshaler.
func (o *ollamaModels) UnmarshalJSON(data []byte) error {
	*o = ollamaModels{}
	var names []string
	if json.Unmarshal(data, &names) == nil {
		for _, name := range names {
			*o = append(*o, OllamaModel{Name: name})
		}
		return nil
	}
	var byProvider map[string][]json.RawMessage
	if err := json.Unmarshal(data, &byProvider); err != nil {
		return err
	}
	for _, provider := range slices.Sorted(maps.Keys(byProvider)) {
		for _, raw := range byProvider[provider] {
			var m struct {
				ID           string   `json:"id"`
				Name         string   `json:"name"`
				Context      int      `json:"context_window"`
				Capabilities []string `json:"capabilities"`
			}
			if json.Unmarshal(raw, &m.ID) != nil {
				if err := json.Unmarshal(raw, &m); err != nil {
					return err
				}
			}
			if m.ID == "" {
				m.ID = m.Name
			}
			if m.ID != "" {
				*o = append(*o, OllamaModel{Name: provider + "/" + strings.TrimPrefix(m.ID, provider+"/"), Context: max(0, m.Context), Capabilities: m.Capabilities})
			}
		}
	}
	return nil
}

// ProviderURL returns the base URL for a provider whose stored key has none, or "".
func (s *Settings) ProviderURL(provider string) string { return s.current.Load().urls[provider] }

// ProviderURLs returns the sorted names of the providers for which ProviderURL returns a
// URL.
func (s *Settings) ProviderURLs() []string {
	return slices.Sorted(maps.Keys(s.current.Load().urls))
}
