package plan

import (
	"encoding/json"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/openai"
	"github.com/hostless/hostless/pkg/gateway/endpoint"
	"github.com/hostless/hostless/pkg/gateway/pipeline"
)

// The limits of the memory of thinking.
const (
	thoughtEntries = 16384
	thoughtBytes   = 32 << 20
)

// callThoughts is the thinking of a model before its tool calls, for one caller. It
// implements openai.Thoughts.
type callThoughts struct {
	p     *Planner
	owner string
	model string // "provider/model"
}

func (r *Request) thoughts(to *pipeline.Candidate) callThoughts {
	return callThoughts{r.Planner, r.owner(), to.Provider.Name + "/" + to.Model}
}

func (t callThoughts) key(callID string) string { return t.owner + " " + t.model + " " + callID }

// Any implements openai.Thoughts.
func (t callThoughts) Any() bool { return t.p.thought.Load() }

// Get implements openai.Thoughts.
func (t callThoughts) Get(callID string) json.RawMessage {
	thought, _ := t.p.thoughts.Item(t.key(callID))
	return thought
}

// Put implements openai.Thoughts.
func (t callThoughts) Put(callID string, thought json.RawMessage) {
	t.p.thought.Store(true)
	t.p.thoughts.PutItem(t.key(callID), thought)
}

// watch returns a function that remembers the thinking in the response to a plan; nil if
// the plan is not a chat completion in the caller's own bytes, or the provider is not
// known to ever want the thinking back.
func (r *Request) watch(p *Plan) func(data []byte) {
	if r.Matched.Kind != endpoint.Chat || p.Translate != nil || p.To.Provider.Primary() != dialect.OpenAI {
		return nil
	}
	facts := p.To.Provider.ChatFacts()
	if !p.To.Provider.Custom && !facts.Takes(openai.ReasoningContent) && !openai.ThinksBack(p.To.Model) {
		return nil
	}
	return openai.WatchThoughts(r.thoughts(p.To))
}

// Spoke implements openai.Thoughts.
func (t callThoughts) Spoke() { t.p.spoke.Store(t.model, true) }

// chatFacts returns the facts of a candidate for a translation to chat completions. A
// provider that returns reasoning_content also accepts it, and so does a server of the
// user's with a model that wants it. needed reports whether the model refuses a tool call
// without it.
func (r *Request) chatFacts(to *pipeline.Candidate) (facts openai.Facts, needed bool) {
	facts = to.Provider.ChatFacts()
	wants := openai.ThinksBack(to.Model)
	if facts.All() {
		return facts, false
	}
	_, spoke := r.Planner.spoke.Load(to.Provider.Name + "/" + to.Model)
	if !facts.Takes(openai.ReasoningContent) && (spoke || to.Provider.Custom && wants) {
		facts = append(facts[:len(facts):len(facts)], openai.ReasoningContent)
	}
	return facts, wants && facts.Takes(openai.ReasoningContent)
}
