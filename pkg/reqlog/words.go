package reqlog

import "github.com/hostless/hostless/pkg/prices"

// Who returns the app that sent the request, or else its token's name or prefix, or
// "".
func (r *Row) Who() string {
	for _, name := range []string{r.App, r.TokenName, r.Token} {
		if name != "" {
			return name
		}
	}
	return ""
}

// Answered returns the model that answered, with its provider. If no provider was
// reached, it returns the requested model.
func (r *Row) Answered() string {
	switch {
	case r.Provider == "":
		return r.Model
	case r.ResolvedModel == "":
		return r.Provider
	}
	return r.Provider + "/" + r.ResolvedModel
}

// PriceText formats the applied price for people, or returns "".
func (r *Row) PriceText() string {
	if r.Price == nil || r.Price.Input == nil || *r.Price == (prices.Price{}) {
		return ""
	}
	text := "$" + r.Price.Input.String() + " in"
	if r.Price.Cached != nil {
		text += ", $" + r.Price.Cached.String() + " cached"
	}
	if r.Price.Output != nil {
		text += ", $" + r.Price.Output.String() + " out"
	}
	return text + " per million tokens"
}
