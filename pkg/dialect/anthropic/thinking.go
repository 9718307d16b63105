package anthropic

import (
	"encoding/json"
	"strconv"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/rawjson"
	"github.com/hostless/hostless/pkg/jsonscan"
)

// budgets are the thinking tokens of older models, by reasoning effort.
var budgets = map[string]int64{"minimal": 1024, "low": 1024, "medium": 2048, "high": 4096, "xhigh": 8192, "max": 16384}

const leastBudget = 1024

// thinking translates reasoning_effort, or copies a Messages `thinking`. It reports
// whether the model will think.
func (t *fromChat) thinking() (bool, error) {
	if raw := rawjson.Set(t.req.Thinking); raw != nil {
		return t.ownThinking(raw)
	}
	// If a tool is forced, there can be no thinking, not even by default.
	off := t.forced() && t.model.DefaultOn && !t.model.AlwaysOn
	if off {
		t.put("thinking", jsonscan.Lit(`{"type":"disabled"}`))
	}
	if t.req.ReasoningEffort == nil || *t.req.ReasoningEffort == "" {
		return false, nil
	}
	effort, known := dialect.Effort(*t.req.ReasoningEffort)
	if !known {
		t.ignore("reasoning_effort")
	}
	budget := budgets[effort]
	switch {
	case effort == "":
		return false, nil
	case !t.model.Thinking:
		if effort != "none" {
			t.ignore("reasoning_effort")
		}
		return false, nil
	case effort == "none" && t.model.AlwaysOn:
		t.effort("low") // the lowest effort
		t.ignore("reasoning_effort")
		return false, nil
	case effort == "none":
		t.put("thinking", jsonscan.Lit(`{"type":"disabled"}`))
		return false, nil
	case t.model.Adaptive:
		takes := t.model.Efforts()
		if off {
			takes = "low medium high" // the efforts without thinking
		}
		nearest := takes.Nearest(effort)
		if nearest != effort {
			t.ignore("reasoning_effort")
		}
		t.effort(nearest)
		if t.forced() {
			return false, nil
		}
		t.put("thinking", t.adaptive())
		return true, nil
	}
	// With a budget, Anthropic refuses forced tools, and also a tool's result whose
	// call has lost the signed thinking before it.
	if t.forced() || t.unsigned() {
		t.ignore("reasoning_effort")
		return false, nil
	}
	if t.maxTokens <= budget {
		t.maxTokens += budget
		if most := int64(t.model.MaxOutput); most > 0 && t.maxTokens > most {
			t.maxTokens = most
		}
		if t.maxTokens <= budget {
			budget = max(t.maxTokens/2, leastBudget)
		}
		if t.maxTokens <= budget {
			t.ignore("reasoning_effort")
			return false, nil
		}
	}
	t.put("thinking", jsonscan.Lit(`{"type":"enabled","budget_tokens":`+strconv.FormatInt(budget, 10)+`}`))
	return true, nil
}

// adaptive returns thinking of the type adaptive. Newer models, which support the
// effort xhigh, omit its text unless a summary is requested.
func (t *fromChat) adaptive() jsonscan.Value {
	if t.model.XHigh {
		return jsonscan.Lit(`{"type":"adaptive","display":"summarized"}`)
	}
	return jsonscan.Lit(`{"type":"adaptive"}`)
}

func (t *fromChat) ownThinking(raw json.RawMessage) (bool, error) {
	var th struct {
		Type   string `json:"type"`
		Budget int64  `json:"budget_tokens"`
	}
	if jsonscan.KindOf(raw) != '{' || jsonscan.Decode(raw, &th) != nil {
		return false, dialect.Invalid("thinking", "thinking must be an object")
	}
	t.put("thinking", jsonscan.Raw(raw).Compact())
	if th.Type == "enabled" && t.maxTokens <= th.Budget {
		t.maxTokens += th.Budget
	}
	if e := t.req.ReasoningEffort; e != nil && t.model.Adaptive && budgets[*e] > 0 && *e != "minimal" {
		t.effort(*e)
	} else if e != nil {
		t.ignore("reasoning_effort")
	}
	return th.Type != "disabled", nil
}

// effort adds output_config.effort next to a format.
func (t *fromChat) effort(effort string) {
	config := jsonscan.Obj(member("effort", text(effort)))
	for i, m := range t.out {
		if m.Name == "output_config" {
			config.Put("format", m.Value.Get("format"))
			t.out[i].Value = config
			return
		}
	}
	t.put("output_config", config)
}

func (t *fromChat) forced() bool { return t.choice == "any" || t.choice == "tool" }

// unsigned reports whether the conversation ends within tool use, or within a
// response, and the assistant's turn there does not begin with its thinking.
func (t *fromChat) unsigned() bool {
	n := len(t.turns)
	if n > 0 && t.turns[n-1].role == "user" {
		if len(t.turns[n-1].results) == 0 {
			return false
		}
		n--
	}
	if n == 0 || len(t.turns[n-1].blocks) == 0 {
		return false
	}
	kind := t.turns[n-1].blocks[0].Get("type")
	return !kind.Is(`"thinking"`) && !kind.Is(`"redacted_thinking"`)
}

// effortOf returns the reasoning_effort closest to a budget of tokens.
func effortOf(budget int64) string {
	switch {
	case budget < budgets["medium"]:
		return "low"
	case budget < budgets["high"]:
		return "medium"
	case budget < budgets["xhigh"]:
		return "high"
	case budget < budgets["max"]:
		return "xhigh"
	}
	return "max"
}
