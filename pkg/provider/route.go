package provider

import "strings"

// ModelIndex is what routing asks about providers beyond the catalogue.
type ModelIndex interface {
	// Custom reports whether the user has a provider of that name (lower case)
	// that the catalogue does not know.
	Custom(name string) bool
	// Lists names the provider that config.json lists a bare model for, or "".
	Lists(model string) string
}

// Target is where a model is routed to.
type Target struct {
	Provider string // the canonical name
	Model    string // as the provider names it
	Stripped bool   // whether a prefix was dropped from the caller's name
}

// Route finds the provider of a model: `PROVIDER/model` picks it and drops the
// prefix, where PROVIDER is a name or alias of the catalogue or of a custom
// provider; else `claude*` is Anthropic's and `gemini*` Google's; else it is the
// provider whose catalogue entry, or list in config.json, has the model; else
// OpenAI's. A prefix that names no provider stays part of the model
// (`meta-llama/Llama-3`). Google's own `models/` before a name is dropped.
func (c *Catalogue) Route(model string, index ModelIndex) Target {
	if prefix, rest, ok := strings.Cut(model, "/"); ok && rest != "" && prefix != "" {
		if p := c.Get(prefix); p != nil {
			return Target{Provider: p.Name, Model: rest, Stripped: true}
		}
		if name := strings.ToLower(prefix); index != nil && ValidName(name) && index.Custom(name) {
			return Target{Provider: name, Model: rest, Stripped: true}
		}
	}
	switch {
	case strings.HasPrefix(model, "claude"):
		return Target{Provider: "anthropic", Model: model}
	case strings.HasPrefix(model, "gemini"):
		return Target{Provider: "google", Model: model}
	case strings.HasPrefix(model, "models/gemini"):
		return Target{Provider: "google", Model: model[len("models/"):], Stripped: true}
	}
	if p := c.Listed(model); p != nil {
		return Target{Provider: p.Name, Model: model}
	}
	if index != nil {
		if name := index.Lists(model); name != "" {
			return Target{Provider: c.Canonical(name), Model: model}
		}
	}
	return Target{Provider: "openai", Model: model}
}
