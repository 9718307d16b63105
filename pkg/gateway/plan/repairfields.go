package plan

import (
	"bytes"
	"strings"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/gemini"
	"github.com/hostless/hostless/pkg/dialect/openai"
	"github.com/hostless/hostless/pkg/jsonscan"
)

// findFields returns the corrections for a refusal of single fields: the effort, the type
// of thinking, or an option that can be left out. lower is the error message in lower case.
func (m *repair) findFields(lower string) (fixes []fix) {
	if m.speaks == dialect.Anthropic && openai.RefusesThinkingType(lower) {
		for _, way := range [...]string{"adaptive", "enabled"} {
			if f := (fix{kind: fitThinking, field: way}); m.changes(f) {
				return []fix{f}
			}
		}
	}
	if takes, ok := openai.RefusesEffort(lower); ok {
		f := fix{kind: fitEffort, takes: takes}
		if openai.RefusesThinking(lower) {
			f.field = "thinkingConfig"
		}
		if m.changes(f) {
			return []fix{f}
		}
	}
	if m.speaks == dialect.Gemini || !openai.RefusesOption(lower) {
		return nil
	}
	for _, name := range openai.Options {
		if f := (fix{kind: dropField, field: name}); openai.NamesField(lower, name) && m.changes(f) {
			fixes = append(fixes, f)
		}
	}
	if len(fixes) == 2 && strings.Contains(lower, "cannot both") {
		return fixes[1:]
	}
	return fixes
}

// whole returns the position of the JSON object in a body.
func whole(body []byte) jsonscan.Span {
	return jsonscan.Span{End: len(bytes.TrimRight(body, " \t\r\n"))}
}

// withEffort returns the edits that replace the effort of a request by the nearest that
// the model supports, or remove it, and the names of the fields. If field is not empty,
// that member of Gemini's generationConfig is removed instead.
func (m *repair) withEffort(body []byte, takes dialect.Efforts, field string) (edits []jsonscan.Edit, names []string) {
	switch m.speaks {
	case dialect.OpenAI:
		edits, names = fitted(body, whole(body), "reasoning_effort", "", takes)
		more, named := fitted(body, jsonscan.Fields(body, whole(body), "reasoning")[0], "effort", "reasoning.", takes)
		return append(edits, more...), append(names, named...)
	case dialect.Responses:
		return fitted(body, jsonscan.Fields(body, whole(body), "reasoning")[0], "effort", "reasoning.", takes)
	case dialect.Anthropic:
		return fitted(body, jsonscan.Fields(body, whole(body), "output_config")[0], "effort", "output_config.", takes)
	case dialect.Ollama:
		return fitted(body, whole(body), "think", "", takes)
	case dialect.Gemini:
		if field != "" {
			return gemini.WithoutMembers(body, "generationConfig", field)
		}
		for _, config := range jsonscan.Fields(body, whole(body), "generationConfig", "generation_config") {
			for _, thinking := range jsonscan.Fields(body, config, "thinkingConfig", "thinking_config") {
				for _, name := range [...]string{"thinkingLevel", "thinking_level", "thinkingBudget", "thinking_budget"} {
					if at := jsonscan.Fields(body, thinking, name)[0]; at.End > at.Start {
						more, named := fitted(body, thinking, name, "generationConfig.thinkingConfig.", takes)
						edits, names = append(edits, more...), append(names, named...)
					}
				}
			}
		}
	}
	return edits, names
}

// fitted is withEffort for one member of an object. A token budget is removed.
func fitted(body []byte, object jsonscan.Span, name, prefix string, takes dialect.Efforts) (edits []jsonscan.Edit, names []string) {
	at := jsonscan.Fields(body, object, name)[0]
	if at.End <= at.Start {
		return nil, nil
	}
	word, text := jsonscan.Text(at.Of(body))
	asked, _ := dialect.Effort(word)
	nearest := takes.Nearest(asked)
	switch {
	case text && nearest == strings.ToLower(word):
		return nil, nil
	case text && nearest != "":
		if word == strings.ToUpper(word) {
			nearest = strings.ToUpper(nearest)
		}
		edits = []jsonscan.Edit{{At: at, Text: jsonscan.Quote(nearest)}}
	default:
		edits = jsonscan.CutMembers(body, object, func(member string) bool { return member == name })
	}
	return edits, []string{prefix + name}
}

// withoutField returns the edits that remove an option from a request. The output token
// limit of chat completions is renamed to the other one of its two names.
func (m *repair) withoutField(body []byte, name string) (edits []jsonscan.Edit, names []string) {
	at := jsonscan.Fields(body, whole(body), name)[0]
	if at.End <= at.Start {
		return nil, nil
	}
	if other := openai.OtherLimit(name); other != "" {
		if m.speaks != dialect.OpenAI {
			return nil, nil
		}
		if there := jsonscan.Fields(body, whole(body), other)[0]; there.End <= there.Start {
			key := jsonscan.Quote(name)
			start := bytes.LastIndex(body[:at.Start], key)
			if start < 0 {
				return nil, nil
			}
			return []jsonscan.Edit{{At: jsonscan.Span{Start: start, End: start + len(key)}, Text: jsonscan.Quote(other)}}, []string{name}
		}
	}
	return jsonscan.CutMembers(body, whole(body), func(member string) bool { return member == name }), []string{name}
}
