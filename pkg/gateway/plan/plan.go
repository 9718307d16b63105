package plan

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/gemini"
	"github.com/hostless/hostless/pkg/dialect/openai"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/gateway/endpoint"
	"github.com/hostless/hostless/pkg/gateway/pipeline"
	"github.com/hostless/hostless/pkg/gateway/respond"
	"github.com/hostless/hostless/pkg/gateway/upstream"
)

// Plan is how a call gets to one candidate: natively where Translate is nil.
type Plan struct {
	To        *pipeline.Candidate
	Endpoint  *upstream.Endpoint
	Translate dialect.Translator
	Answer    []byte // Hostless's own answer, which needs no provider; nil elsewhere
	// Estimate is Answer of a plan that is worked out when it is tried.
	Estimate func() ([]byte, error)
	// Fallback is whether it is there for the plans before it of the same candidate, and
	// tried only where one of them was refused in a way that this one mends.
	Fallback bool
	// Mends reports whether this plan mends a refusal with that body. Nil stands for an
	// endpoint that turned out not to exist, which asking alone tells of a user's own
	// base URL.
	Mends func(body []byte) bool
	// Learn, where it is not nil, is called once the plan is taken for that: to go this
	// way at once the next time.
	Learn func()
	// Missing is whether a plan with Mends is there for a missing endpoint too.
	Missing bool

	repair *repair // what may be mended of its requests; nil for nothing
	mended bool    // it is another plan, whose repair it shares, mended
}

// Fallbacks are the plans, right behind another one, that are there for it.
func Fallbacks(rest []Plan) []Plan {
	for i := range rest {
		if !rest[i].Fallback {
			return rest[:i]
		}
	}
	return rest
}

// Instead gives the index of the fallback that mends the refusal of a plan, and has it
// learnt; -1 where none does. What was read of the answer is put back.
func (pl *Planner) Instead(ctx context.Context, resp *http.Response, refused *Plan, fallbacks []Plan) int {
	if resp.StatusCode < 400 || resp.StatusCode >= 500 && resp.StatusCode != http.StatusNotImplemented || len(fallbacks) == 0 {
		return -1
	}
	missing := upstream.PathMissing(ctx, resp)
	var head []byte
	ok := false
	switch resp.StatusCode {
	case http.StatusBadRequest, http.StatusNotFound, http.StatusUnprocessableEntity:
		head, ok = upstream.Head(ctx, resp)
	}
	for i := range fallbacks {
		f := &fallbacks[i]
		switch {
		case f.mended:
			if !ok || f.repair != refused.repair || !f.repair.mends(head) {
				continue
			}
		case (f.Mends == nil || f.Missing) && missing:
			if f.Learn == nil {
				pl.NoteMissing(refused.Endpoint)
			}
		case f.Mends == nil || !ok || !f.Mends(head):
			continue
		}
		if f.Learn != nil {
			f.Learn()
		}
		return i
	}
	return -1
}

// Plans finds the way to each candidate. Those that do not have the endpoint are
// passed over; where none has it, the error is the first one's.
func (r *Request) Plans(candidates []pipeline.Candidate) ([]Plan, error) {
	plans := make([]Plan, 0, len(candidates))
	var first error
	for i := range candidates {
		found, err := r.plansFor(&candidates[i])
		if len(found) > 0 && found[0].Translate != nil && r.Call.Model == "" {
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

func (r *Request) plansFor(to *pipeline.Candidate) ([]Plan, error) {
	plans, err := r.unrepaired(to)
	return r.withRepairs(plans), err
}

// unrepaired are the plans for a candidate as it is best for the caller.
func (r *Request) unrepaired(to *pipeline.Candidate) ([]Plan, error) {
	if r.BodyRead && r.Call.Model != "" {
		if answer, ok, err := r.answerLocally(to); err != nil {
			return nil, err
		} else if ok {
			return []Plan{{To: to, Answer: answer}}, nil
		}
	}
	s := r.Matched
	switch s.Pattern {
	case "/v1/responses/compact":
		return r.planCompact(to)
	case "/v1/responses/input_tokens":
		if r.Call.Model != "" {
			return r.planCount(to)
		}
	}
	switch s.Kind {
	case endpoint.Chat:
		return r.planText(to, nil)
	case endpoint.Embeddings:
		return one(r.planEmbed(to, nil))
	case endpoint.Generate, endpoint.CountTokens:
		return r.planGenerate(to)
	}
	e, err := r.Endpoint(to, s.Dialect)
	if e == nil && err == nil && s.Kind == endpoint.Pass && to.Provider.Primary() == dialect.Anthropic && r.HTTP.Header.Get("Anthropic-Version") != "" {
		e, err = r.Endpoint(to, dialect.Anthropic) // its files, skills and the like have OpenAI's paths
	}
	if e == nil && err == nil && s.Dialect == dialect.Responses {
		// A provider that is only known to speak chat may have the rest of
		// OpenAI's surface all the same.
		e, err = r.Endpoint(to, dialect.OpenAI)
	}
	if err != nil {
		return nil, err
	}
	if e == nil {
		return nil, r.Unsupported(to)
	}
	return []Plan{{To: to, Endpoint: e}}, nil
}

func one(p Plan, err error) ([]Plan, error) {
	if err != nil {
		return nil, err
	}
	return []Plan{p}, nil
}

// Endpoint is where a candidate speaks a dialect; nil where it does not.
func (r *Request) Endpoint(to *pipeline.Candidate, speaks dialect.Name) (*upstream.Endpoint, error) {
	return r.Planner.cfg.Upstream.Endpoint(to.Provider, to.Credential, speaks)
}

// Path is the request's path, to be shown to its caller.
func (r *Request) Path() string {
	const most = 200
	path := respond.HeaderSafe(r.HTTP.URL.Path)
	return path[:min(len(path), most)]
}

// Unsupported is the error of a provider that does not have the endpoint.
func (r *Request) Unsupported(to *pipeline.Candidate) error {
	return &fault.Error{
		Kind: fault.Invalid, Param: "model", Code: "unsupported_endpoint",
		Message: fmt.Sprintf("provider %q has no %s", to.Provider.Name, r.Path()),
	}
}

// planChat is the way of a chat completion: in the provider's own dialect where
// that is another one, since its compatibility layer, if any, carries less.
func (r *Request) planChat(to *pipeline.Candidate) (Plan, error) {
	for _, speaks := range [...]dialect.Name{dialect.OpenAI, dialect.Anthropic, dialect.Gemini} {
		if speaks == dialect.OpenAI && to.Provider.Primary() != dialect.OpenAI {
			continue
		}
		e, err := r.Endpoint(to, speaks)
		if err != nil {
			return Plan{}, err
		}
		if e == nil {
			continue
		}
		if speaks == dialect.OpenAI {
			return Plan{To: to, Endpoint: e}, nil
		}
		onward := r.fromChatTranslator(to, speaks)
		if r.Matched.Dialect == dialect.OpenAI {
			onward = openai.CustomTools(onward)
		}
		return Plan{To: to, Endpoint: e, Translate: onward}, nil
	}
	return Plan{}, r.Unsupported(to)
}

// planEmbed is the way of OpenAI's embeddings, first being what translates the
// caller's request to them.
func (r *Request) planEmbed(to *pipeline.Candidate, first dialect.Translator) (Plan, error) {
	if to.Provider.Primary() == dialect.Gemini {
		e, err := r.Endpoint(to, dialect.Gemini)
		if err != nil {
			return Plan{}, err
		}
		if e == nil {
			return Plan{}, r.Unsupported(to)
		}
		onward := gemini.EmbedFromOpenAI()
		if first != nil {
			onward = dialect.Chain(first, onward)
		}
		return Plan{To: to, Endpoint: e, Translate: onward}, nil
	}
	e, err := r.Endpoint(to, dialect.OpenAI)
	if err != nil {
		return Plan{}, err
	}
	if e == nil {
		return Plan{}, r.Unsupported(to)
	}
	return Plan{To: to, Endpoint: e, Translate: first}, nil
}

// planGenerate is the way of an endpoint that is a dialect's own: native, or first
// to chat and from there on as a chat completion goes.
func (r *Request) planGenerate(to *pipeline.Candidate) ([]Plan, error) {
	p := to.Provider
	native, err := r.Endpoint(to, r.Matched.Dialect)
	if err != nil {
		return nil, err
	}
	uncertain, refusable := false, false
	switch local := p.Port > 0; r.Matched.Dialect {
	case dialect.Responses:
		uncertain = (local || to.Credential.BaseURL != "") && p.Primary() == dialect.OpenAI
	case dialect.Anthropic:
		refusable = p.Name != "anthropic" && r.Matched.Kind == endpoint.Generate // its newest fields
		uncertain = refusable && (local || to.Credential.BaseURL != "")          // older versions do not speak it
	}
	if native == nil && uncertain && p.Custom && r.Matched.Dialect == dialect.Responses {
		// A user's own base URL may speak responses; asking is the only way to know.
		if native, err = r.Endpoint(to, dialect.OpenAI); err != nil {
			return nil, err
		}
	}
	if native == nil || uncertain && r.Planner.endpointMissing(native) {
		return r.planTranslated(to)
	}
	plans := []Plan{{To: to, Endpoint: native}}
	if (uncertain || refusable) && r.Call.Model != "" {
		if other, err := r.planTranslated(to); err == nil {
			for i := range other {
				other[i].Fallback = true
			}
			if refusable {
				other[0].Mends, other[0].Missing = func(body []byte) bool { return RefusesField(strings.ToLower(string(body))) }, true
			}
			plans = append(plans, other...)
		}
	}
	return plans, nil
}

func (r *Request) planTranslated(to *pipeline.Candidate) ([]Plan, error) {
	first, embeds := r.toChatTranslator(to)
	switch {
	case first == nil:
		return nil, r.Unsupported(to)
	case embeds:
		return one(r.planEmbed(to, first))
	}
	return r.planText(to, first)
}

// NoteMissing remembers that an endpoint does not have the native path.
func (pl *Planner) NoteMissing(e *upstream.Endpoint) { pl.missing.Store(e, pl.cfg.Now()) }

// endpointMissing reports whether an endpoint was found, not long ago, not to have
// the native path.
func (pl *Planner) endpointMissing(e *upstream.Endpoint) bool {
	at, ok := pl.missing.Load(e)
	return ok && pl.cfg.Now().Sub(at.(time.Time)) < time.Hour
}
