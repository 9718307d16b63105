package provider

import "strings"

// ModelIndex answers what routing asks about providers beyond the catalogue.
type ModelIndex interface {
	// Custom reports whether the user has a provider of that name (lower case) that
	// is not in the catalogue.
	Custom(name string) bool
	// Lists returns the provider for which config.json lists the unprefixed model,
	// or "".
	Lists(model string) string
}

// Target is the provider and model that a request is routed to.
type Target struct {
	Provider string // the canonical name
	Model    string // the provider's name for it
	Stripped bool   // whether a prefix was removed from the requested name
}

// Route finds the provider of a model, by the first rule that applies:
//
//   - `PROVIDER/model` picks the provider and drops the prefix, if PROVIDER is a
//     name or alias of the catalogue or the name of a custom provider;
//   - `claude*` is Anthropic's and `gemini*` Google's, also after Google's own
//     prefix `models/`, which is dropped;
//   - a model that the catalogue, or else config.json, lists belongs to that
//     provider;
//   - any other model is OpenAI's.
//
// A prefix that names no provider stays part of the model (`meta-llama/Llama-3`).
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
