package reqlog

import "github.com/hostless/hostless/pkg/prices"

// Who is the app that asked, else its token's name or prefix, or "".
func (r *Row) Who() string {
	for _, name := range []string{r.App, r.TokenName, r.Token} {
		if name != "" {
			return name
		}
	}
	return ""
}

// Answered is the model that answered, with its provider; without one, what was asked
// for.
func (r *Row) Answered() string {
	switch {
	case r.Provider == "":
		return r.Model
	case r.ResolvedModel == "":
		return r.Provider
	}
	return r.Provider + "/" + r.ResolvedModel
}

// PriceText is the price that was applied, as people read it, or "".
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
	return text + " a million tokens"
}
