package dialect

import (
	"slices"
	"strconv"
	"strings"
)

// efforts are the reasoning efforts of the intermediate form, lowest first. A model
// supports some of them.
var efforts = []string{"none", "minimal", "low", "medium", "high", "xhigh", "max"}

// Effort returns the effort for a client's value, in any case. It returns "" if the
// value leaves the choice to the model. For an unknown value it returns "max" and
// false, because newer values have always meant more.
func Effort(word string) (effort string, known bool) {
	word = strings.ToLower(word)
	switch word {
	case "", "auto", "default", "dynamic", "thinking_level_unspecified":
		return "", true
	case "off", "disabled":
		return "none", true
	}
	if slices.Contains(efforts, word) {
		return word, true
	}
	return "max", false
}

// Efforts are the efforts that a model supports, lowest first and separated by spaces. ""
// means that they are not known.
type Efforts string

// NoEffort is for models that refuse the field, whatever its value.
const NoEffort Efforts = " "

// EffortsIn returns the efforts among words, such as those of an error message, or
// NoEffort if there are none.
func EffortsIn(words []string) Efforts {
	var out []string
	for _, e := range efforts {
		if slices.Contains(words, e) {
			out = append(out, e)
		}
	}
	if out == nil {
		return NoEffort
	}
	return Efforts(strings.Join(out, " "))
}

// Words returns the efforts one by one.
func (e Efforts) Words() []string { return strings.Fields(string(e)) }

// Nearest returns the supported effort closest to an effort: the same one, or the
// next higher one, or the highest. If "none" is not supported, it becomes the
// lowest. The result is "" if no effort is supported.
func (e Efforts) Nearest(effort string) string {
	if e == "" {
		return effort
	}
	last := ""
	for _, word := range e.Words() {
		last = word
		if word != "none" && slices.Index(efforts, word) >= slices.Index(efforts, effort) || word == effort {
			return word
		}
	}
	if last == "none" && effort != "none" {
		return ""
	}
	return last
}

const everyEffort Efforts = "none minimal low medium high xhigh max"

// EffortsOf returns the efforts that a model supports, by its name and, for some models,
// its provider. Sources: https://platform.openai.com/docs/guides/reasoning,
// https://platform.claude.com/docs/en/build-with-claude/effort,
// https://ai.google.dev/gemini-api/docs/thinking,
// https://docs.x.ai/docs/guides/reasoning, https://console.groq.com/docs/reasoning,
// https://docs.mistral.ai/capabilities/reasoning.
func EffortsOf(provider, model string) Efforts {
	base := strings.ToLower(model[strings.LastIndexByte(model, '/')+1:])
	begins := func(any ...string) bool {
		return slices.ContainsFunc(any, func(p string) bool { return strings.HasPrefix(base, p) })
	}
	switch {
	case begins("gpt-oss"):
		return "low medium high"
	case begins("gpt-", "chatgpt-", "codex-", "computer-use") || len(base) > 1 && base[0] == 'o' && base[1] >= '1' && base[1] <= '9':
		return openAIs(base)
	case begins("gemini-"):
		return googles(base[len("gemini-"):])
	case begins("gemma-"):
		return NoEffort
	case begins("grok-"):
		return xAIs(base)
	}
	switch provider {
	case "groq":
		if begins("qwen3") {
			return "none" // and default, which is the same as no effort
		}
		return NoEffort
	case "mistral":
		if begins("mistral-small-latest", "mistral-small-26", "mistral-medium-latest", "mistral-medium-26") {
			return "none high"
		}
		return NoEffort
	case "deepseek":
		if begins("deepseek-v4") {
			return "low medium high xhigh max"
		}
	}
	return ""
}

// openAIs returns the efforts of OpenAI's models, at any provider.
func openAIs(base string) Efforts {
	version := func(prefix string) float64 { // 5.2 of gpt-5.2-pro
		rest := base[len(prefix):]
		end := strings.IndexFunc(rest+"-", func(r rune) bool { return r != '.' && (r < '0' || r > '9') })
		n, _ := strconv.ParseFloat(rest[:end], 64)
		return n
	}
	has := func(word string) bool { return slices.Contains(strings.Split(base, "-"), word) }
	switch {
	case base[0] == 'o':
		switch {
		case strings.HasPrefix(base, "o1-mini"), strings.HasPrefix(base, "o1-preview"):
			return NoEffort
		case has("research"):
			return "medium"
		}
		return "low medium high"
	case strings.HasPrefix(base, "codex-"):
		return "low medium high"
	case !strings.HasPrefix(base, "gpt-") || has("chat") || strings.HasPrefix(base, "gpt-4") || strings.HasPrefix(base, "gpt-3"):
		return NoEffort
	}
	switch v := version("gpt-"); {
	case v < 5.05 && has("pro"):
		return "high"
	case v < 5.05 && has("codex"):
		return "low medium high"
	case v < 5.05:
		return "minimal low medium high"
	case has("pro"):
		return "medium high xhigh"
	case has("codex") && (v > 5.15 || has("max")):
		return "low medium high xhigh"
	case has("codex"):
		return "low medium high"
	case v < 5.15:
		return "none low medium high"
	}
	return "none low medium high xhigh"
}

// googles returns the efforts of Google's models: thinkingLevels since Gemini 3, before
// that names for budgets of tokens.
func googles(rest string) Efforts {
	has := func(words ...string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(rest, w) })
	}
	switch {
	case strings.HasPrefix(rest, "1."), strings.HasPrefix(rest, "2.0"), strings.HasPrefix(rest, "embedding"):
		return NoEffort
	case strings.HasPrefix(rest, "2.5"):
		switch {
		case has("image", "tts"):
			return NoEffort
		case has("pro"):
			return "minimal low medium high xhigh max"
		}
		return everyEffort
	case has("tts", "live", "embedding"):
		return NoEffort
	case has("image") && has("pro"):
		return "high"
	case has("image"):
		return "minimal high"
	case strings.HasPrefix(rest, "3-pro"):
		return "low high"
	case has("pro"), strings.HasPrefix(rest, "3.7-flash"):
		return "low medium high"
	}
	return "minimal low medium high"
}

// xAIs returns the efforts of xAI's models. Most of them refuse the field.
func xAIs(base string) Efforts {
	switch {
	case strings.HasPrefix(base, "grok-3-mini"):
		return "low high"
	case strings.Contains(base, "multi-agent"):
		return "low medium high xhigh"
	case strings.HasPrefix(base, "grok-4.20"), strings.HasPrefix(base, "grok-4-"), base == "grok-4", strings.HasPrefix(base, "grok-3"), strings.HasPrefix(base, "grok-2"),
		strings.HasPrefix(base, "grok-code"), strings.HasPrefix(base, "grok-build"):
		return NoEffort
	}
	return "none low medium high"
}
