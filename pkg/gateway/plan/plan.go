package plan

import (
	"context"
	"fmt"
	"net/http"
	"slices"
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

// Plan is one way to send a call to a candidate. If Translate is nil, the request is sent
// in the caller's own dialect.
type Plan struct {
	To        *pipeline.Candidate
	Endpoint  *upstream.Endpoint
	Translate dialect.Translator
	Answer    []byte // a response that Hostless makes itself, without the provider; otherwise nil
	// Estimate computes such a response when the plan is tried.
	Estimate func() ([]byte, error)
	// Fallback means that the plan is tried only if a preceding plan of the same candidate
	// was refused in a way that this plan avoids.
	Fallback bool
	// AppliesTo reports whether this fallback avoids a refusal with the given error body. If it
	// is nil, the fallback is for an endpoint that does not exist; for a base URL that the
	// user configured, only a request can find that out.
	AppliesTo func(body []byte) bool
	// Learn, if not nil, is called when the plan is chosen as a fallback. It remembers the
	// refusal, so that the next call uses this plan first.
	Learn func()
	// Missing means that a plan with AppliesTo is a fallback for a missing endpoint too.
	Missing bool
	// Anyway means that the fallback is tried after any failure of the plan before it.
	Anyway bool

	repair    *repair // corrections of its request that may be tried after a refusal; nil for none
	corrected bool    // a copy of another plan, with its repair applied
	rewrites  bool    // the fallback of a native plan that writes the request anew
}

// Fallbacks returns the fallbacks at the start of rest, the plans that follow a plan.
func Fallbacks(rest []Plan) []Plan {
	for i := range rest {
		if !rest[i].Fallback {
			return rest[:i]
		}
	}
	return rest
}

// Anyway returns the index of the fallback for any failure; -1 if there is none.
func Anyway(fallbacks []Plan) int {
	return slices.IndexFunc(fallbacks, func(p Plan) bool { return p.Anyway })
}

// ChooseFallback returns the index of the fallback that avoids the refusal resp of a plan,
// after calling its Learn; -1 if there is none. It reads a part of resp.Body and puts it
// back.
func (pl *Planner) ChooseFallback(ctx context.Context, resp *http.Response, refused *Plan, fallbacks []Plan) int {
	if i := Anyway(fallbacks); i >= 0 && resp.StatusCode >= 400 {
		if f := &fallbacks[i]; f.Learn != nil && upstream.PathMissing(ctx, resp) {
			f.Learn()
		}
		return i
	}
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
		case f.corrected:
			if !ok || f.repair != refused.repair || !f.repair.corrects(head) {
				continue
			}
		case (f.AppliesTo == nil || f.Missing) && missing:
			if f.Learn == nil {
				pl.NoteMissing(refused.Endpoint)
			}
		case f.AppliesTo == nil || !ok || !f.AppliesTo(head):
			continue
		}
		if f.Learn != nil {
			f.Learn()
		}
		return i
	}
	return -1
}

// Plans returns the plans for all candidates, in order. Candidates that do not have the
// endpoint are skipped; if none has it, the error is that of the first one.
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
	if err := r.checkPurpose(to); err != nil {
		return nil, err
	}
	plans, err := r.basePlans(to)
	return r.withRepairs(plans), err
}

// basePlans returns the plans for a candidate without repairs, best first.
func (r *Request) basePlans(to *pipeline.Candidate) ([]Plan, error) {
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
	case endpoint.CountTokens:
		return r.planMessagesCount(to)
	case endpoint.Generate:
		if r.Verb == "countTokens" {
			return r.planGeminiCount(to)
		}
		return r.planGenerate(to)
	}
	e, err := r.Endpoint(to, s.Dialect)
	if e == nil && err == nil && s.Kind == endpoint.Pass && to.Provider.Primary() == dialect.Anthropic && r.HTTP.Header.Get("Anthropic-Version") != "" {
		e, err = r.Endpoint(to, dialect.Anthropic) // files, skills and others have the same paths as OpenAI's
	}
	if e == nil && err == nil && s.Dialect == dialect.Responses {
		// A provider that is only known to have chat completions may still have the rest of
		// OpenAI's API.
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

// Endpoint returns the endpoint of a candidate for a dialect; nil if it has none.
func (r *Request) Endpoint(to *pipeline.Candidate, speaks dialect.Name) (*upstream.Endpoint, error) {
	return r.Planner.cfg.Upstream.Endpoint(to.Provider, to.Credential, speaks)
}

// Path returns the path of the request, in a form that may be shown to the caller.
func (r *Request) Path() string {
	const most = 200
	path := respond.HeaderSafe(r.HTTP.URL.Path)
	return path[:min(len(path), most)]
}

// Unsupported returns the error for a provider that does not have the endpoint.
func (r *Request) Unsupported(to *pipeline.Candidate) error {
	return &fault.Error{
		Kind: fault.Invalid, Param: "model", Code: "unsupported_endpoint",
		Message: fmt.Sprintf("provider %q does not support %s", to.Provider.Name, r.Path()),
	}
}

// planChat plans a chat completion. If the provider has another dialect of its own, that is
// used, since a provider's OpenAI compatibility layer supports less.
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

// planEmbed plans an embeddings request. first translates the caller's request to OpenAI's
// embeddings; it may be nil.
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

// planGenerate plans an endpoint of a dialect other than chat completions: natively, or
// translated to chat completions and then like these.
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
		refusable = p.Name != "anthropic" && r.Matched.Kind == endpoint.Generate // it may refuse the newest fields
		uncertain = refusable && (local || to.Credential.BaseURL != "")          // older versions do not have the Messages API
	}
	if native == nil && uncertain && p.Custom && r.Matched.Dialect == dialect.Responses {
		// A base URL of the user's may have the Responses API; only a request can find out.
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
				other[0].AppliesTo = func(body []byte) bool { return RefusesField(strings.ToLower(string(body))) || refusesMalformed(body) }
				other[0].Missing = true
			}
			plans = append(plans, other...)
		}
	}
	return append(plans, r.rewritten(to, native)...), nil
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

// NoteMissing remembers that an endpoint lacks the native path.
func (pl *Planner) NoteMissing(e *upstream.Endpoint) { pl.missing.Store(e, pl.cfg.Now()) }

// endpointMissing reports whether an endpoint was recently found to lack the native path.
func (pl *Planner) endpointMissing(e *upstream.Endpoint) bool {
	at, ok := pl.missing.Load(e)
	return ok && pl.cfg.Now().Sub(at.(time.Time)) < time.Hour
}
