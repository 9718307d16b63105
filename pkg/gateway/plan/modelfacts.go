package plan

import (
	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/openai"
	"github.com/hostless/hostless/pkg/gateway/pipeline"
)

// model returns what is known of a candidate's model and matters to a translation. The
// provider's own list takes precedence over the embedded model data.
func (r *Request) model(to *pipeline.Candidate) openai.Model {
	facts := r.Planner.cfg.Facts(to.Provider.Name, to.Model)
	return openai.Model{Output: r.outputLimit(to.Provider.Name, to.Model), TextOnly: facts.TextOnly, ThinksNot: facts.ThinksNot}
}

// efforts returns the efforts that a candidate's model supports, from the embedded model
// data; "" if they are unknown.
func (r *Request) efforts(to *pipeline.Candidate) dialect.Efforts {
	return r.Planner.cfg.Facts(to.Provider.Name, to.Model).Efforts
}

// outputLimit returns the maximum number of output tokens of a model; 0 if it is unknown.
func (r *Request) outputLimit(provider, model string) int {
	if _, output := r.Planner.cfg.Lists.Limits(provider, model); output > 0 {
		return output
	}
	return r.Planner.cfg.Facts(provider, model).Output
}
