package gateway

import (
	"context"
	"fmt"
	"time"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/gemini"
	"github.com/hostless/hostless/pkg/dialect/openai"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/gateway/endpoint"
	"github.com/hostless/hostless/pkg/gateway/pipeline"
	"github.com/hostless/hostless/pkg/gateway/upstream"
)

// plan is how a call gets to one candidate: natively where translate is nil.
type plan struct {
	to        *pipeline.Candidate
	endpoint  *upstream.Endpoint
	translate dialect.Translator
	answer    []byte // Hostless's own answer, which needs no provider; nil elsewhere
	// fallback is whether it is there for the plan before it, and tried only where
	// that endpoint turned out not to exist, which asking alone tells of a user's
	// own base URL.
	fallback bool
}

// candidates asks the planner where the call may go, and holds each place against
// the token: a planner need not be right about that.
func (c *exchange) candidates(ctx context.Context) ([]pipeline.Candidate, error) {
	if err := checkModelName(c.call.Model); err != nil {
		return nil, err
	}
	planned, err := c.g.seams.Planner.Candidates(ctx, &c.call)
	if err != nil {
		return nil, err
	}
	allowed := planned[:0:0]
	for _, to := range planned {
		refusal := checkModelName(to.Model)
		if refusal == nil {
			refusal = c.call.Allow(to.Provider.Name, to.Model)
		}
		switch {
		case refusal == nil:
			allowed = append(allowed, to)
		case err == nil:
			err = refusal
		}
	}
	if len(allowed) > 0 {
		return allowed, nil
	}
	if err == nil {
		err = fault.New(fault.Internal, "the planner has no candidate")
	}
	return nil, err
}

// plans finds the way to each candidate. Those that do not have the endpoint are
// passed over; where none has it, the error is the first one's.
func (c *exchange) plans(candidates []pipeline.Candidate) ([]plan, error) {
	plans := make([]plan, 0, len(candidates))
	var first error
	for i := range candidates {
		found, err := c.plansFor(&candidates[i])
		if len(found) > 0 && found[0].translate != nil && c.call.Model == "" {
			found, err = nil, &fault.Error{Kind: fault.Invalid, Message: "model is missing", Param: "model"}
		}
		if err != nil && first == nil {
			first = err
		}
		plans = append(plans, found...)
	}
	if len(plans) == 0 {
		return nil, first
	}
	return plans, nil
}

func (c *exchange) plansFor(to *pipeline.Candidate) ([]plan, error) {
	if c.bodyRead && c.call.Model != "" {
		if answer, ok, err := c.answerLocally(to); err != nil {
			return nil, err
		} else if ok {
			return []plan{{to: to, answer: answer}}, nil
		}
	}
	s := c.matched
	switch s.Kind {
	case endpoint.Chat:
		return one(c.planChat(to))
	case endpoint.Embeddings:
		return one(c.planEmbed(to, nil))
	case endpoint.Generate, endpoint.CountTokens:
		return c.planGenerate(to)
	}
	e, err := c.endpoint(to, s.Dialect)
	if e == nil && err == nil && s.Kind == endpoint.Pass && to.Provider.Primary() == dialect.Anthropic && c.r.Header.Get("Anthropic-Version") != "" {
		e, err = c.endpoint(to, dialect.Anthropic) // its files, skills and the like have OpenAI's paths
	}
	if e == nil && err == nil && s.Dialect == dialect.Responses {
		// A provider that is only known to speak chat may have the rest of
		// OpenAI's surface all the same.
		e, err = c.endpoint(to, dialect.OpenAI)
	}
	if err != nil {
		return nil, err
	}
	if e == nil {
		return nil, c.unsupported(to)
	}
	return []plan{{to: to, endpoint: e}}, nil
}

func one(p plan, err error) ([]plan, error) {
	if err != nil {
		return nil, err
	}
	return []plan{p}, nil
}

func (c *exchange) endpoint(to *pipeline.Candidate, speaks dialect.Name) (*upstream.Endpoint, error) {
	return c.g.up.Endpoint(to.Provider, to.Credential, speaks)
}

func (c *exchange) unsupported(to *pipeline.Candidate) error {
	return &fault.Error{
		Kind: fault.Invalid, Param: "model", Code: "unsupported_endpoint",
		Message: fmt.Sprintf("provider %q has no %s", to.Provider.Name, c.matched.Pattern),
	}
}

// planChat is the way of a chat completion: in the provider's own dialect where
// that is another one, since its compatibility layer, if any, carries less.
func (c *exchange) planChat(to *pipeline.Candidate) (plan, error) {
	for _, speaks := range [...]dialect.Name{dialect.OpenAI, dialect.Anthropic, dialect.Gemini} {
		if speaks == dialect.OpenAI && to.Provider.Primary() != dialect.OpenAI {
			continue
		}
		e, err := c.endpoint(to, speaks)
		if err != nil {
			return plan{}, err
		}
		if e == nil {
			continue
		}
		if speaks == dialect.OpenAI {
			return plan{to: to, endpoint: e}, nil
		}
		return plan{to: to, endpoint: e, translate: c.fromChatTranslator(speaks)}, nil
	}
	return plan{}, c.unsupported(to)
}

// planEmbed is the way of OpenAI's embeddings, first being what translates the
// caller's request to them.
func (c *exchange) planEmbed(to *pipeline.Candidate, first dialect.Translator) (plan, error) {
	if to.Provider.Primary() == dialect.Gemini {
		e, err := c.endpoint(to, dialect.Gemini)
		if err != nil {
			return plan{}, err
		}
		if e == nil {
			return plan{}, c.unsupported(to)
		}
		onward := gemini.EmbedFromOpenAI()
		if first != nil {
			onward = dialect.Chain(first, onward)
		}
		return plan{to: to, endpoint: e, translate: onward}, nil
	}
	e, err := c.endpoint(to, dialect.OpenAI)
	if err != nil {
		return plan{}, err
	}
	if e == nil {
		return plan{}, c.unsupported(to)
	}
	return plan{to: to, endpoint: e, translate: first}, nil
}

// planGenerate is the way of an endpoint that is a dialect's own: native, or first
// to chat and from there on as a chat completion goes.
func (c *exchange) planGenerate(to *pipeline.Candidate) ([]plan, error) {
	p := to.Provider
	native, err := c.endpoint(to, c.matched.Dialect)
	if err != nil {
		return nil, err
	}
	uncertain := false
	switch local := p.Port > 0; c.matched.Dialect {
	case dialect.Responses:
		uncertain = (local || to.Credential.BaseURL != "") && p.Primary() == dialect.OpenAI
	case dialect.Anthropic:
		uncertain = local && c.matched.Kind == endpoint.Generate // older versions do not speak it
	}
	if native == nil && uncertain && p.Custom && c.matched.Dialect == dialect.Responses {
		// A user's own base URL may speak responses; asking is the only way to know.
		if native, err = c.endpoint(to, dialect.OpenAI); err != nil {
			return nil, err
		}
	}
	if native == nil || uncertain && c.g.endpointMissing(native) {
		return one(c.planTranslated(to))
	}
	plans := []plan{{to: to, endpoint: native}}
	if uncertain && c.call.Model != "" {
		if other, err := c.planTranslated(to); err == nil {
			other.fallback = true
			plans = append(plans, other)
		}
	}
	return plans, nil
}

func (c *exchange) planTranslated(to *pipeline.Candidate) (plan, error) {
	first, embeds := c.toChatTranslator(to)
	switch {
	case first == nil:
		return plan{}, c.unsupported(to)
	case embeds:
		return c.planEmbed(to, first)
	}
	onward, err := c.planChat(to)
	if err != nil {
		return plan{}, err
	}
	if onward.translate != nil {
		return plan{to: to, endpoint: onward.endpoint, translate: dialect.Chain(first, onward.translate)}, nil
	}
	return plan{to: to, endpoint: onward.endpoint, translate: openai.Restrict(first, to.Provider.ChatFacts())}, nil
}

// endpointMissing reports whether an endpoint was found, not long ago, not to have
// the native path.
func (g *Gateway) endpointMissing(e *upstream.Endpoint) bool {
	at, ok := g.missing.Load(e)
	return ok && g.since(at.(time.Time)) < time.Hour
}
