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

// planText is the way of a request for text that is one in chat completions, or that
// first translates to one: by chat completions, by the provider's own dialect, or by the
// Responses API where the model wants it. Which one it wants is known by its name, or
// heard from the provider once, and remembered.
func (r *Request) planText(to *pipeline.Candidate, first dialect.Translator) ([]Plan, error) {
	chat, err := r.planChat(to)
	switch {
	case err != nil:
		return nil, err
	case chat.Translate != nil && first != nil:
		if to.Provider.Primary() == dialect.Anthropic {
			first = r.inlineFiles(first, textFile) // others Anthropic fetches itself
		}
		chat.Translate = dialect.Chain(first, chat.Translate)
	case first != nil:
		facts, needed := r.chatFacts(to)
		chat.Translate = openai.Restrict(openai.Recall(openai.Fit(r.inlineFiles(first, nil), r.model(to)), r.thoughts(to), needed), facts)
	}
	if to.Provider.Primary() != dialect.OpenAI || r.Matched.Dialect == dialect.Responses || r.Call.Model == "" {
		return []Plan{chat}, nil
	}
	native, err := r.responsesEndpoint(to)
	if err != nil {
		return nil, err
	}
	chosen := r.chosenAPI(to)
	if native == nil || r.Planner.endpointMissing(native) || chosen == "chat" {
		return []Plan{chat}, nil
	}
	plans := r.responsesPlans(to, native)
	if chosen == "responses" || r.wantsResponses(to) {
		chat.Fallback = true
		return append(plans, chat), nil
	}
	for i := range plans {
		plans[i].Fallback = true
	}
	toolsAlone := false
	plans[0].Mends = func(body []byte) (refuses bool) {
		refuses, toolsAlone = openai.RefusesChat(body)
		return refuses
	}
	plans[0].Learn = func() { r.Planner.learn(chatRule(to, toolsAlone)) }
	return append([]Plan{chat}, plans...), nil
}

// chosenAPI is the API that config.json says a model is asked by, "" where it says none:
// the longest name counts.
func (r *Request) chosenAPI(to *pipeline.Candidate) (api string) {
	if len(r.Settings.ModelAPIs) == 0 {
		return ""
	}
	model, longest := to.Provider.Name+"/"+to.Model, -1
	for name, says := range r.Settings.ModelAPIs {
		prefix, glob := strings.CutSuffix(name, "*")
		if (name == model || glob && strings.HasPrefix(model, prefix)) && len(name) > longest {
			api, longest = says, len(name)
		}
	}
	return api
}

// responsesEndpoint is where a candidate has, or may have, the Responses API; nil where
// it has none.
func (r *Request) responsesEndpoint(to *pipeline.Candidate) (*upstream.Endpoint, error) {
	e, err := r.Endpoint(to, dialect.Responses)
	if e == nil && err == nil && to.Provider.Custom {
		return r.Endpoint(to, dialect.OpenAI)
	}
	return e, err
}

// viaResponses is how the Responses API of one candidate is asked.
type viaResponses struct {
	r      *Request
	to     *pipeline.Candidate
	native *upstream.Endpoint
	sent   []string // the encrypted reasoning that went up
}

// responsesPlans are the ways through the Responses API: as it is best for the caller,
// then without a summary of the reasoning, then without encrypted reasoning, each for a
// provider that has refused the one before it.
func (r *Request) responsesPlans(to *pipeline.Candidate, native *upstream.Endpoint) []Plan {
	v := &viaResponses{r: r, to: to, native: native}
	noSummary, noReasoning := r.Planner.knows(v.noSummary()), r.Planner.knows(v.noReasoning())
	plans := []Plan{v.plan(!noSummary, noReasoning)}
	if !noSummary && r.showsThoughts() {
		p := v.plan(false, noReasoning)
		p.Fallback, p.Mends = true, openai.RefusesSummary
		p.Learn = func() { r.Planner.learn(v.noSummary()) }
		plans = append(plans, p)
	}
	if !noReasoning {
		p := v.plan(false, true)
		p.Fallback, p.Mends, p.Learn = true, openai.RefusesEncrypted, v.learnUnreadable
		plans = append(plans, p)
	}
	return plans
}

func (v *viaResponses) noSummary() rule   { return ruleOf(withoutSummary, v.to, "") }
func (v *viaResponses) noReasoning() rule { return ruleOf(withoutReasoning, v.to, v.to.Model) }

// learnUnreadable remembers what the provider could not read; where nothing was sent, it
// was the asking for it that was refused.
func (v *viaResponses) learnUnreadable() {
	if len(v.sent) == 0 {
		v.r.Planner.learn(v.noReasoning())
	}
	for _, data := range v.sent {
		v.r.Planner.unreadable.Put(digest(data), nil)
	}
}

// plan is one way; its translation is put together once it is taken.
func (v *viaResponses) plan(summary, plain bool) Plan {
	return Plan{To: v.to, Endpoint: v.native, Translate: func(in dialect.Request) (*dialect.Call, error) {
		r := v.r
		onward := responses.FromChat(responses.UpstreamOptions{
			Options: responses.Options{Now: r.Planner.cfg.Now}, Summary: summary && r.showsThoughts(), Plain: plain,
			Recall: recall{r.Planner.reasoning, r.owner()}, Skip: v.skip,
		})
		return dialect.Chain(openai.Restrict(openai.Fit(r.wholeMiddle(v.to), r.model(v.to)), v.to.Provider.ChatFacts().Responses()), onward)(in)
	}}
}

// skip leaves encrypted reasoning out that was refused before.
func (v *viaResponses) skip(data string) bool {
	if _, refused := v.r.Planner.unreadable.Get(digest(data)); refused {
		return true
	}
	v.sent = append(v.sent, data)
	return false
}

// wholeMiddle gives the translation of the caller's request to the middle with all that
// it can carry; a chat request is one already.
func (r *Request) wholeMiddle(to *pipeline.Candidate) dialect.Translator {
	switch r.Matched.Dialect {
	case dialect.OpenAI:
		return asItIs
	case dialect.Anthropic:
		return r.messagesToChat(append(openai.Everything(), openai.PromptCacheKey))
	}
	first, _ := r.toChatTranslator(to)
	return first
}

// asItIs is the translation of a chat request to one.
func asItIs(in dialect.Request) (*dialect.Call, error) {
	call := &dialect.Call{Path: "/chat/completions", Stream: in.Stream, Reply: dialect.Same{}}
	call.SetChat(in, in.Value())
	return call, nil
}

// wantsResponses reports whether it is known that the model takes what is asked of it by
// the Responses API alone.
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
		return true // which does not cost the caller's own bytes
	}
	effort := jsonscan.Raw(r.Call.Body).Get("reasoning_effort")
	if !effort.Set() {
		return withTools || openai.EffortByDefault(to.Model)
	}
	return !effort.Is(`"none"`)
}

// hasTools reports whether the request offers tools, in any dialect.
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

// showsThoughts reports whether the caller asks to see what the model thinks.
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

// learntFor is how long a rule is remembered that a provider was heard to have.
const learntFor = 24 * time.Hour

// rule is one that a provider was heard to have.
type rule struct{ what, provider, baseURL, model string }

// What the rules are.
const (
	withoutChat      = "no chat completions"
	withoutTools     = "no tools in chat completions"
	withoutSummary   = "no summary of the reasoning"
	withoutReasoning = "no encrypted reasoning"
)

// ruleOf is a rule of a candidate's provider, for one model or ("") for all.
func ruleOf(what string, to *pipeline.Candidate, model string) rule {
	return rule{what, to.Provider.Name, to.Credential.BaseURL, model}
}

func chatRule(to *pipeline.Candidate, tools bool) rule {
	if tools {
		return ruleOf(withoutTools, to, to.Model)
	}
	return ruleOf(withoutChat, to, to.Model)
}

// rules are those that were heard. It is safe for concurrent use.
type rules struct {
	some  atomic.Bool
	heard sync.Map // rule → time.Time
}

func (pl *Planner) learn(heard rule) {
	pl.rules.heard.Store(heard, pl.cfg.Now())
	pl.rules.some.Store(true)
}

func (pl *Planner) knows(about rule) bool {
	if !pl.rules.some.Load() {
		return false
	}
	at, ok := pl.rules.heard.Load(about)
	return ok && pl.cfg.Now().Sub(at.(time.Time)) < learntFor
}

// recall is what one caller's conversations thought.
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
