package plan

import (
	"github.com/hostless/hostless/pkg/dialect/openai"
	"github.com/hostless/hostless/pkg/gateway/pipeline"
	"github.com/hostless/hostless/pkg/prices"
)

// model is what is known of a candidate's model for a translation. The provider's own
// list wins over the model facts.
func (r *Request) model(to *pipeline.Candidate) openai.Model {
	facts := prices.FactsOf(to.Provider.Name, to.Model)
	return openai.Model{Output: r.outputLimit(to.Provider.Name, to.Model), TextOnly: facts.TextOnly, ThinksNot: facts.ThinksNot}
}

// outputLimit is how many tokens a model answers with at most, 0 where it is not known.
func (r *Request) outputLimit(provider, model string) int {
	if _, output := r.Planner.cfg.Lists.Limits(provider, model); output > 0 {
		return output
	}
	return prices.FactsOf(provider, model).Output
}
