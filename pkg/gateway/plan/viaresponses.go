package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/openai"
	"github.com/hostless/hostless/pkg/dialect/responses"
	"github.com/hostless/hostless/pkg/gateway/pipeline"
	"github.com/hostless/hostless/pkg/gateway/upstream"
	"github.com/hostless/hostless/pkg/jsonscan"
)

// planText plans a request for text that is a chat completion or is translated to one by
// first. It uses chat completions, the provider's own dialect, or the Responses API if the
// model requires it. That is known from the name of the model, or learnt from a refusal.
func (r *Request) planText(to *pipeline.Candidate, first dialect.Translator) ([]Plan, error) {
	chat, err := r.planChat(to)
	switch {
	case err != nil:
		return nil, err
	case chat.Translate != nil && first != nil:
		if to.Provider.Primary() == dialect.Anthropic {
			first = r.inlineFiles(first, textFile) // Anthropic fetches the other files itself
		}
		chat.Translate = dialect.Chain(first, chat.Translate)
	case first != nil:
		facts, needed := r.chatFacts(to)
		chat.Translate = openai.Restrict(openai.Recall(openai.Fit(r.inlineFiles(first, nil), r.model(to)), r.thoughts(to), needed), facts, r.efforts(to))
	}
	plans := []Plan{chat}
	if chat.Translate == nil {
		plans = append(plans, r.rewritten(to, chat.Endpoint)...)
	}
	if to.Provider.Primary() != dialect.OpenAI || r.Matched.Dialect == dialect.Responses || r.Call.Model == "" {
		return plans, nil
	}
	native, err := r.responsesEndpoint(to)
	if err != nil {
		return nil, err
	}
	chosen := r.chosenAPI(to)
	if native == nil || r.Planner.endpointMissing(native) || chosen == "chat" {
		return plans, nil
	}
	others := r.responsesPlans(to, native)
	if chosen == "responses" || r.wantsResponses(to) {
		chat.Fallback = true
		return append(others, chat), nil
	}
	for i := range others {
		others[i].Fallback = true
	}
	toolsAlone := false
	others[0].AppliesTo = func(body []byte) (refuses bool) {
		refuses, toolsAlone = openai.RefusesChat(body)
		return refuses
	}
	others[0].Learn = func() { r.Planner.learn(chatRule(to, toolsAlone)) }
	return append(plans, others...), nil
}

// chosenAPI returns the API that config.json sets for a model, or "". The longest matching
// name takes precedence.
func (r *Request) chosenAPI(to *pipeline.Candidate) (api string) {
	if len(r.Settings.ModelAPIs) == 0 {
		return ""
	}
	model, longest := to.Provider.Name+"/"+to.Model, -1
	for name, value := range r.Settings.ModelAPIs {
		prefix, glob := strings.CutSuffix(name, "*")
		if (name == model || glob && strings.HasPrefix(model, prefix)) && len(name) > longest {
			api, longest = value, len(name)
		}
	}
	return api
}

// responsesEndpoint returns the endpoint of a candidate that has, or may have, the
// Responses API; nil if it has none.
func (r *Request) responsesEndpoint(to *pipeline.Candidate) (*upstream.Endpoint, error) {
	e, err := r.Endpoint(to, dialect.Responses)
	if e == nil && err == nil && to.Provider.Custom {
		return r.Endpoint(to, dialect.OpenAI)
	}
	return e, err
}

// viaResponses plans requests to the Responses API of one candidate.
type viaResponses struct {
	r      *Request
	to     *pipeline.Candidate
	native *upstream.Endpoint
	sent   []string // encrypted reasoning that was sent
}

// responsesPlans returns the plans through the Responses API: first the preferred one, then
// one without a reasoning summary, then one without encrypted reasoning. Each is a fallback
// for a provider that refused the one before.
func (r *Request) responsesPlans(to *pipeline.Candidate, native *upstream.Endpoint) []Plan {
	v := &viaResponses{r: r, to: to, native: native}
	noSummary, noReasoning := r.Planner.knows(v.noSummary()), r.Planner.knows(v.noReasoning())
	plans := []Plan{v.plan(!noSummary, noReasoning)}
	if !noSummary && r.showsThoughts() {
		p := v.plan(false, noReasoning)
		p.Fallback, p.AppliesTo = true, openai.RefusesSummary
		p.Learn = func() { r.Planner.learn(v.noSummary()) }
		plans = append(plans, p)
	}
	if !noReasoning {
		p := v.plan(false, true)
		p.Fallback, p.AppliesTo, p.Learn = true, openai.RefusesEncrypted, v.learnUnreadable
		plans = append(plans, p)
	}
	return plans
}

func (v *viaResponses) noSummary() rule   { return ruleOf(withoutSummary, v.to, "") }
func (v *viaResponses) noReasoning() rule { return ruleOf(withoutReasoning, v.to, v.to.Model) }

// learnUnreadable remembers the encrypted reasoning that the provider refused. If none was
// sent, the provider refused the request for it.
func (v *viaResponses) learnUnreadable() {
	if len(v.sent) == 0 {
		v.r.Planner.learn(v.noReasoning())
	}
	for _, data := range v.sent {
		v.r.Planner.unreadable.Put(digest(data), nil)
	}
}

// plan returns one plan. Its translator is built when the plan is tried.
func (v *viaResponses) plan(summary, plain bool) Plan {
	return Plan{To: v.to, Endpoint: v.native, Translate: func(in dialect.Request) (*dialect.Call, error) {
		r := v.r
		onward := responses.FromChat(responses.UpstreamOptions{
			Options: responses.Options{Now: r.Planner.cfg.Now}, Summary: summary && r.showsThoughts(), Plain: plain,
			Recall: recall{r.Planner.reasoning, r.owner()}, Skip: v.skip,
		})
		return dialect.Chain(openai.Restrict(openai.Fit(r.toFullChat(v.to), r.model(v.to)), v.to.Provider.ChatFacts().Responses(), r.efforts(v.to)), onward)(in)
	}}
}

// skip reports whether encrypted reasoning was refused before, so that it is left out.
func (v *viaResponses) skip(data string) bool {
	if _, refused := v.r.Planner.unreadable.Get(digest(data)); refused {
		return true
	}
	v.sent = append(v.sent, data)
	return false
}

// toFullChat returns the translator of the caller's request to chat completions with all
// fields of the intermediate form. For a chat request it is the identity.
func (r *Request) toFullChat(to *pipeline.Candidate) dialect.Translator {
	switch r.Matched.Dialect {
	case dialect.OpenAI:
		return identity
	case dialect.Anthropic:
		return r.messagesToChat(append(openai.Everything(), openai.PromptCacheKey))
	}
	first, _ := r.toChatTranslator(to)
	return first
}

// identity is the identity translator of chat requests.
func identity(in dialect.Request) (*dialect.Call, error) {
	call := &dialect.Call{Path: "/chat/completions", Stream: in.Stream, Reply: dialect.Same{}}
	call.SetChat(in, in.Value())
	return call, nil
}

// wantsResponses reports whether the model is known to accept such a request in the
// Responses API only.
func (r *Request) wantsResponses(to *pipeline.Candidate) bool {
	if r.Planner.knows(chatRule(to, false)) {
		return true
	}
	openAIs := to.Provider.Name == "openai" || to.Provider.Name == "azure"
	if openAIs && openai.ResponsesOnly(to.Model) {
		return true
	}
	if (openAIs || to.Provider.Name == "xai") && !openai.Searches(to.Model) && r.searchesTheWeb() {
		return true
	}
	withTools := r.Planner.knows(chatRule(to, true))
	if !withTools && (!openAIs || !openai.ToolsOrEffort(to.Model)) || !r.hasTools() {
		return false
	}
	if r.Matched.Dialect != dialect.OpenAI {
		return true // a translation is needed in any case
	}
	effort := jsonscan.Raw(r.Call.Body).Get("reasoning_effort")
	if !effort.Set() {
		return withTools || openai.EffortByDefault(to.Model)
	}
	return !effort.Is(`"none"`)
}

// hasTools reports whether the request has tools, in any dialect.
func (r *Request) hasTools() bool {
	for name, value := range jsonscan.Raw(r.Call.Body).Members() {
		if name == "tools" || name == "functions" {
			for range value.Elements() {
				return true
			}
		}
	}
	return false
}

// showsThoughts reports whether the caller asks for the model's thinking.
func (r *Request) showsThoughts() bool {
	request := jsonscan.Raw(r.Call.Body)
	switch r.Matched.Dialect {
	case dialect.Anthropic:
		thinking := request.Get("thinking")
		return thinking.Set() && !thinking.Get("type").Is(`"disabled"`) && !thinking.Get("display").Is(`"omitted"`)
	case dialect.Gemini:
		return request.Get("generationConfig").Get("thinkingConfig").Get("includeThoughts").Is("true")
	case dialect.Ollama:
		think := request.Get("think")
		return think.Set() && !think.Is("false")
	}
	return false
}

// learntFor is how long a learnt rule is valid.
const learntFor = 24 * time.Hour

// rule is a limitation of a provider that was learnt from a refusal.
type rule struct{ what, provider, baseURL, model string }

// The limitations.
const (
	withoutChat      = "no chat completions"
	withoutTools     = "no tools in chat completions"
	withoutSummary   = "no summary of the reasoning"
	withoutReasoning = "no encrypted reasoning"
)

// ruleOf returns a rule of a candidate's provider, for one model or, if model is "", for
// all.
func ruleOf(what string, to *pipeline.Candidate, model string) rule {
	return rule{what, to.Provider.Name, to.Credential.BaseURL, model}
}

func chatRule(to *pipeline.Candidate, tools bool) rule {
	if tools {
		return ruleOf(withoutTools, to, to.Model)
	}
	return ruleOf(withoutChat, to, to.Model)
}

// rules has the learnt rules with the time of each. It is safe for concurrent use.
type rules struct {
	some   atomic.Bool
	learnt sync.Map // rule → time.Time
}

func (pl *Planner) learn(r rule) {
	pl.rules.learnt.Store(r, pl.cfg.Now())
	pl.rules.some.Store(true)
}

func (pl *Planner) knows(r rule) bool {
	if !pl.rules.some.Load() {
		return false
	}
	at, ok := pl.rules.learnt.Load(r)
	return ok && pl.cfg.Now().Sub(at.(time.Time)) < learntFor
}

// recall is the memory of one caller's reasoning. It implements responses.Recall.
type recall struct {
	memory *responses.Memory
	owner  string
}

// Get implements responses.Recall.
func (m recall) Get(id string) (text string) {
	if raw, ok := m.memory.Item(m.owner + " " + id); ok {
		text, _ = jsonscan.Text(raw)
	}
	return text
}

// Put implements responses.Recall.
func (m recall) Put(id, text string) { m.memory.PutItem(m.owner+" "+id, jsonscan.Quote(text)) }

func digest(data string) string {
	sum := sha256.Sum256([]byte(data))
	return hex.EncodeToString(sum[:])
}
