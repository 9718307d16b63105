package plan

import (
	"bytes"
	"crypto/sha256"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/anthropic"
	"github.com/hostless/hostless/pkg/dialect/gemini"
	"github.com/hostless/hostless/pkg/dialect/openai"
	"github.com/hostless/hostless/pkg/dialect/responses"
	"github.com/hostless/hostless/pkg/gateway/endpoint"
	"github.com/hostless/hostless/pkg/gateway/pipeline"
	"github.com/hostless/hostless/pkg/jsonscan"
)

// fix is a correction of a request that a provider has refused.
type fix struct {
	kind  fixKind
	limit int64           // for limitOutput
	takes dialect.Efforts // for fitEffort
	field string          // for dropField, fitThinking and fitEffort
}

type fixKind int

const (
	dropNewFields      fixKind = iota // Messages API: without the newest fields
	dropThinking                      // without the thinking that was refused
	limitOutput                       // with the limit as the maximum of output tokens
	restoreThinking                   // chat completions: with reasoning before each tool call
	shortenIDs                        // chat completions: with tool call IDs in Mistral's format
	answerCalls                       // Gemini: with a response to each call
	signCalls                         // Gemini: with a placeholder for missing signatures of calls
	dropSearch                        // without the provider's web search, if there are other tools
	dropImages                        // with text in place of images
	dropEncrypted                     // Responses API: without the request for encrypted reasoning
	inlineInstructions                // Gemini: with the system instruction as a user turn
	dropFunctions                     // Gemini: without functions
	dropFormat                        // Gemini: without a response format
	fitEffort                         // with an effort that the model supports, or none
	fitThinking                       // Messages API: with the other of the two types of thinking
	dropField                         // without an option that the model does not support
)

// repair holds the corrections of one plan's request. It belongs to one call.
type repair struct {
	r      *Request
	to     *pipeline.Candidate
	speaks dialect.Name // dialect of the request
	native bool         // the request is in the caller's own dialect
	sent   []byte
	fixes  []fix // corrections for the refusals so far
}

// Repairs reports whether the plan is a corrected copy of another plan, or writes its
// request anew. Its refusal does not replace the earlier one as the response to the caller.
func (p *Plan) Repairs() bool { return p.corrected || p.rewrites }

// withRepairs adds two corrected copies for each plan, to be tried after a refusal, and
// after a second refusal for another reason: directly after a native plan, and at the end
// for translated ones.
func (r *Request) withRepairs(plans []Plan) []Plan {
	if !r.BodyRead || r.Call.Model == "" || r.Matched.Kind != endpoint.Chat && r.Matched.Kind != endpoint.Generate {
		return plans
	}
	out := make([]Plan, 0, 3*len(plans))
	var last []Plan
	for _, p := range plans {
		if p.Endpoint == nil {
			out = append(out, p)
			continue
		}
		p.repair = &repair{r: r, to: p.To, speaks: p.Endpoint.Dialect, native: p.Translate == nil}
		if p.Translate == nil || p.rewrites {
			p.repair.speaks = r.Matched.Dialect
		}
		if p.rewrites {
			out = append(out, p)
			continue
		}
		corrected := p
		corrected.Fallback, corrected.corrected, corrected.AppliesTo, corrected.Learn = true, true, nil, nil
		if out = append(out, p); p.repair.native {
			out = append(out, corrected, corrected)
		} else {
			last = append(last, corrected, corrected)
		}
	}
	return append(out, last...)
}

// corrects reports whether a refusal with that error body can be corrected, and remembers the
// corrections.
func (m *repair) corrects(body []byte) bool {
	known := m.r.Planner.repairs.of(m)
	before := len(m.fixes)
	for _, f := range m.find(string(body)) {
		if (!slices.Contains(known, f) || f.kind == dropThinking) && !slices.Contains(m.fixes, f) {
			m.fixes = append(m.fixes, f)
		}
	}
	return len(m.fixes) > before
}

// find returns the corrections for a refusal, by the text of its error message.
func (m *repair) find(message string) (fixes []fix) {
	lower := strings.ToLower(message)
	if !m.native && refusesSearch(lower) && m.changes(fix{kind: dropSearch}) {
		fixes = append(fixes, fix{kind: dropSearch})
	}
	switch m.speaks {
	case dialect.Anthropic:
		switch {
		case refusesThinking(lower):
			if m.changes(fix{kind: dropThinking}) {
				fixes = append(fixes, fix{kind: dropThinking})
			}
		case refusesPictures(lower) && m.changes(fix{kind: dropImages}):
			fixes = append(fixes, fix{kind: dropImages})
		case m.to.Provider.Name != "anthropic" && RefusesField(lower) && m.changes(fix{kind: dropNewFields}):
			fixes = append(fixes, fix{kind: dropNewFields})
		}
	case dialect.Gemini:
		if strings.Contains(lower, "thought signature") || strings.Contains(lower, "thought_signature") {
			if !strings.Contains(lower, "missing") && m.changes(fix{kind: dropThinking}) {
				fixes = append(fixes, fix{kind: dropThinking})
			}
		}
		fixes = append(fixes, m.repairCalls(lower)...)
		for kind, refuses := range plainGemini {
			if strings.Contains(lower, refuses) && m.changes(fix{kind: kind}) {
				fixes = append(fixes, fix{kind: kind})
			}
		}
	case dialect.Responses:
		if openai.RefusesEncrypted([]byte(message)) && m.changes(fix{kind: dropThinking}) {
			fixes = append(fixes, fix{kind: dropThinking})
		}
		if refusesPictures(lower) && m.changes(fix{kind: dropImages}) {
			fixes = append(fixes, fix{kind: dropImages})
		}
		if m.native && openai.RefusesEncrypted([]byte(message)) && len(fixes) == 0 && m.changes(fix{kind: dropEncrypted}) {
			fixes = append(fixes, fix{kind: dropEncrypted})
		}
	case dialect.OpenAI:
		if openai.WantsThoughts(lower) {
			fixes = append(fixes, fix{kind: restoreThinking})
		}
		if refusesPictures(lower) && m.changes(fix{kind: dropImages}) {
			fixes = append(fixes, fix{kind: dropImages})
		}
		if openai.WantsShortIDs(message) {
			fixes = append(fixes, fix{kind: shortenIDs})
		}
	}
	fixes = append(fixes, m.findFields(lower)...)
	if limit, once := openai.OutputLimit(message, m.asked()); limit > 0 {
		f := fix{kind: limitOutput, limit: limit}
		if fixes = append(fixes, f); once {
			return fixes
		}
	}
	for _, f := range fixes {
		m.r.Planner.repairs.learn(m, f)
	}
	return fixes
}

// plainGemini maps what Google's smaller models, such as Gemma 3, do not support to the
// text of the error, in lower case.
var plainGemini = map[fixKind]string{
	inlineInstructions: "developer instruction is not enabled", dropFunctions: "function calling is not enabled", dropFormat: "json mode is not enabled",
}

// repairCalls returns the corrections for tool calls in the history of a Gemini request
// that another model made, or that the user interrupted. Gemini reports such errors one at
// a time; all are corrected at once.
func (m *repair) repairCalls(lower string) (fixes []fix) {
	unsigned := strings.Contains(lower, "missing a thought_signature") || strings.Contains(lower, "missing a thought signature")
	if !unsigned && !strings.Contains(lower, "function response") && !strings.Contains(lower, "function call turn") {
		return nil
	}
	for _, f := range []fix{{kind: answerCalls}, {kind: signCalls}} {
		if f.kind == signCalls && !unsigned && !gemini.FactsOf(m.to.Model).Signed {
			continue
		}
		if m.changes(f) {
			fixes = append(fixes, f)
		}
	}
	return fixes
}

func (m *repair) changes(f fix) bool {
	out, _ := m.apply(m.sent, f, true)
	return !bytes.Equal(out, m.sent)
}

// refusesThinking reports whether an error of Anthropic's concerns thinking in the history
// that the model did not write.
func refusesThinking(lower string) bool {
	return strings.Contains(lower, "thinking") && (strings.Contains(lower, "signature") || strings.Contains(lower, "cannot be modified") ||
		strings.Contains(lower, "invalid `data`") || strings.Contains(lower, "expected `thinking`"))
}

// refusesPictures reports whether an error means that the model does not accept images.
func refusesPictures(lower string) bool {
	if !strings.Contains(lower, "image") && !strings.Contains(lower, "multimodal") && !strings.Contains(lower, "vision") && !strings.Contains(lower, "`file`") {
		return false
	}
	for _, words := range [...]string{"not support", "unsupported", "unknown variant", "no endpoints found", "text only", "text-only", "must be a string", "does not accept", "not a multimodal", "cannot read", "not capable", "mmproj"} {
		if strings.Contains(lower, words) {
			return true
		}
	}
	return false
}

// unknownField has the phrases with which servers refuse a field that they do not know.
var unknownField = []string{
	"extra inputs are not permitted", "extra_forbidden", "unknown field", "unknown parameter", "unrecognized", "unexpected field", "unexpected property",
	"unexpected keyword", "additional properties", "not permitted", "unsupported parameter", "unsupported field", "is not supported", "not allowed", "invalid field",
	"does not match any of the expected tags", "unknown variant", "input tag",
}

// RefusesField reports whether an error message, in lower case, refuses a field or its
// value.
func RefusesField(lower string) bool {
	return slices.ContainsFunc(unknownField, func(words string) bool { return strings.Contains(lower, words) })
}

// outputLimits has the name of the output token limit in each dialect.
var outputLimits = map[dialect.Name]string{
	dialect.OpenAI: "max_tokens", dialect.Anthropic: "max_tokens", dialect.Responses: "max_output_tokens", dialect.Gemini: "generationConfig.maxOutputTokens",
}

// outputLimit returns the positions of the output token limit in a body of the request's
// dialect.
func (m *repair) outputLimit(body []byte) (all []jsonscan.Span) {
	whole := jsonscan.Span{End: len(bytes.TrimRight(body, " \t\r\n"))}
	switch m.speaks {
	case dialect.Gemini:
		for _, config := range jsonscan.Fields(body, whole, "generationConfig", "generation_config") {
			all = append(all, jsonscan.Fields(body, config, "maxOutputTokens", "max_output_tokens")...)
		}
		return all
	case dialect.Responses:
		return jsonscan.Fields(body, whole, "max_output_tokens")
	}
	return jsonscan.Fields(body, whole, "max_tokens", "max_completion_tokens")
}

// asked returns the output token limit that was sent; 0 if there was none.
func (m *repair) asked() (n int64) {
	for _, at := range m.outputLimit(m.sent) {
		if v, err := strconv.ParseInt(string(at.Of(m.sent)), 10, 64); err == nil {
			n = max(n, v)
		}
	}
	return n
}

// repaired returns the body of a plan's request with the corrections that are already
// known, and those for the latest refusal if the plan is a corrected copy. What is removed
// is listed in r.Ignored.
func (r *Request) repaired(p *Plan, body []byte) []byte {
	if p.repair == nil {
		return body
	}
	known := r.Planner.repairs.of(p.repair)
	if p.corrected {
		known = append(known[:len(known):len(known)], p.repair.fixes...)
	} else if r.Planner.repairs.thinking.Load() && !slices.Contains(known, fix{kind: dropThinking}) {
		known = append(known[:len(known):len(known)], fix{kind: dropThinking})
	}
	for _, f := range known {
		var names []string
		if body, names = p.repair.apply(body, f, p.corrected); names != nil {
			for _, name := range names {
				r.Ignored = dialect.Ignore(r.Ignored, name)
			}
		}
	}
	p.repair.sent = body
	return body
}

// apply makes one correction in a body. refusedNow means that the provider has just refused
// the body: its thinking is then remembered as refused.
func (m *repair) apply(body []byte, f fix, refusedNow bool) (out []byte, names []string) {
	whole := jsonscan.Span{End: len(bytes.TrimRight(body, " \t\r\n"))}
	var edits []jsonscan.Edit
	switch f.kind {
	case dropNewFields:
		edits, names = anthropic.Lean(body)
	case dropThinking:
		refused := func(signature []byte) bool { return m.r.Planner.repairs.refused(m, signature, refusedNow) }
		switch m.speaks {
		case dialect.Anthropic:
			edits, names = anthropic.WithoutThinking(body, refused)
		case dialect.Gemini:
			edits, names = gemini.WithoutSignatures(body, refused)
		case dialect.Responses:
			edits, names = responses.WithoutReasoning(body, jsonscan.Fields(body, whole, "input")[0], refused)
		}
	case limitOutput:
		for _, at := range m.outputLimit(body) {
			if n, err := strconv.ParseInt(string(at.Of(body)), 10, 64); err == nil && n > f.limit {
				edits = append(edits, jsonscan.Edit{At: at, Text: strconv.AppendInt(nil, f.limit, 10)})
				if m.native {
					names = []string{outputLimits[m.speaks]}
				}
			}
		}
	case inlineInstructions:
		edits, names = gemini.PlainInstructions(body)
	case dropFunctions:
		edits, names = gemini.WithoutMembers(body, "", "tools", "toolConfig")
	case dropFormat:
		edits, names = gemini.WithoutMembers(body, "generationConfig", "responseMimeType", "responseSchema", "responseJsonSchema")
	case dropEncrypted:
		edits, names = responses.WithoutEncrypted(body, jsonscan.Fields(body, whole, "include")[0])
	case fitEffort:
		edits, names = m.withEffort(body, f.takes, f.field)
	case fitThinking:
		edits, names = anthropic.WithThinking(body, f.field)
	case dropField:
		edits, names = m.withoutField(body, f.field)
	case answerCalls:
		edits, names = gemini.AnswerCalls(body)
	case signCalls:
		edits, names = gemini.SignCalls(body)
	case dropSearch:
		edits, names = withoutSearch(body, jsonscan.Fields(body, whole, "tools", "tool_choice"))
	case dropImages:
		switch m.speaks {
		case dialect.Anthropic:
			edits, names = anthropic.WithoutPictures(body)
		case dialect.Responses:
			edits, names = responses.WithoutPictures(body, jsonscan.Fields(body, whole, "input")[0])
		default:
			return openai.WithoutPictures(body)
		}
	case restoreThinking:
		out = openai.WithThoughts(body, m.r.thoughts(m.to))
		if m.native && !bytes.Equal(out, body) {
			names = []string{"messages.reasoning_content"}
		}
		return out, names
	case shortenIDs:
		out = openai.WithShortIDs(body)
		if !bytes.Equal(out, body) {
			names = []string{"messages.tool_calls.id"}
		}
		return out, names
	}
	return jsonscan.Apply(body, edits), names
}

// repairs remembers the corrections that refusals have shown to be needed. It is safe for
// concurrent use.
type repairs struct {
	byModel  sync.Map // repairKey → *learned
	thinking atomic.Bool
	memory   *responses.Memory // digests of refused thinking
}

type repairKey struct {
	provider, baseURL, model string
	speaks                   dialect.Name
}

type learned struct {
	fixes []fix
	at    time.Time
}

func (m *repair) key() repairKey {
	return repairKey{m.to.Provider.Name, m.to.Credential.BaseURL, m.to.Model, m.speaks}
}

// of returns the known corrections for a model.
func (k *repairs) of(m *repair) []fix {
	v, ok := k.byModel.Load(m.key())
	if !ok || m.r.Planner.cfg.Now().Sub(v.(*learned).at) > learntFor {
		return nil
	}
	return v.(*learned).fixes
}

// learn remembers a correction for a model. Refused thinking is remembered by its signature
// instead.
func (k *repairs) learn(m *repair, f fix) {
	if f.kind == dropThinking {
		return
	}
	fixes := slices.DeleteFunc(slices.Clone(k.of(m)), func(old fix) bool { return old.kind == f.kind && old.field == f.field })
	k.byModel.Store(m.key(), &learned{append(fixes, f), m.r.Planner.cfg.Now()})
}

// refused reports whether the model refused the thinking with this signature before. If now
// is set, it has just refused it, which is remembered.
func (k *repairs) refused(m *repair, signature []byte, now bool) bool {
	h := sha256.New()
	h.Write([]byte(m.to.Provider.Name + " " + m.to.Model + " "))
	h.Write(signature)
	key := string(h.Sum(nil))
	if now {
		k.memory.Put(key, nil)
		k.thinking.Store(true)
		return true
	}
	_, ok := k.memory.Get(key)
	return ok
}
