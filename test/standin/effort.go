package standin

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// The reasoning efforts and ways of thinking that particular models refuse, with their
// providers' messages. Each check returns "" or an error message.

// efforts lists the reasoning efforts that models accept in chat completions and the
// Responses API.
var efforts = []struct {
	model *regexp.Regexp
	takes string
}{
	{regexp.MustCompile(`^gpt-5-pro`), "high"},
	{regexp.MustCompile(`^gpt-5-codex`), "low medium high"},
	{regexp.MustCompile(`^(gpt-4|chatgpt|gpt-5.*-chat|ft:gpt-4)`), ""},
	{regexp.MustCompile(`^gpt-5(-|$)`), "minimal low medium high"},
	{regexp.MustCompile(`^gpt-5\.[2-9].*-pro`), "medium high xhigh"},
	{regexp.MustCompile(`^gpt-5\.1(-|$)`), "none low medium high"},
	{regexp.MustCompile(`^gpt-[56]`), "none low medium high xhigh"},
	{regexp.MustCompile(`^o[1-9].*research`), "medium"},
	{regexp.MustCompile(`^o[1-9]|gpt-oss`), "low medium high"},
	{regexp.MustCompile(`^grok-3-mini`), "low high"},
	{regexp.MustCompile(`^grok-(4|code)`), ""},
	{regexp.MustCompile(`^qwen/qwen3-32b$`), "none default"},
	{regexp.MustCompile(`^(llama|codestral|mistral-large)`), ""},
}

// badWord checks a model's reasoning effort; field is its name in the API.
func badWord(model, field string, effort any) string {
	if effort == nil {
		return ""
	}
	for _, e := range efforts {
		if !e.model.MatchString(model) {
			continue
		}
		word, _ := effort.(string)
		switch takes := strings.Fields(e.takes); {
		case slices.Contains(takes, word):
			return ""
		case strings.HasPrefix(model, "grok-"):
			return fmt.Sprintf("Model %s does not support parameter reasoningEffort.", model)
		case len(takes) == 0:
			return fmt.Sprintf("Unsupported parameter: '%s' is not supported with this model.", field)
		case strings.HasPrefix(model, "qwen"):
			return fmt.Sprintf("`%s` must be one of `none` or `default`", field)
		default:
			return fmt.Sprintf("Unsupported value: '%s' is not supported with the '%s' model. Supported values are: '%s'.", word, model, strings.Join(takes, "', '"))
		}
	}
	return ""
}

var (
	adaptiveOnly = regexp.MustCompile(`^claude-(opus-4-[78]|(opus|sonnet|haiku)-5|fable|mythos)`)
	adaptive     = regexp.MustCompile(`^claude-((opus|sonnet)-4-6|opus-4-[78]|(opus|sonnet|haiku)-5|fable|mythos)`)
	takesEffort  = regexp.MustCompile(`^claude-(opus-4-[5-8]|sonnet-4-6|(opus|sonnet|haiku)-5|fable|mythos)`)
	takesXHigh   = adaptiveOnly
)

// badThinking checks the thinking options of a Messages request.
func badThinking(req map[string]any) string {
	model := str(req, "model")
	effort, kind := str(object(req["output_config"]), "effort"), str(object(req["thinking"]), "type")
	switch {
	case kind == "adaptive" && !adaptive.MatchString(model):
		return "adaptive thinking is not supported on this model"
	case kind == "enabled" && adaptiveOnly.MatchString(model):
		return "\"thinking.type.enabled\" is not supported for this model. Use \"thinking.type.adaptive\" and \"output_config.effort\" to control thinking behavior."
	case effort != "" && !takesEffort.MatchString(model):
		return "This model does not support the effort parameter."
	case effort == "xhigh" && !takesXHigh.MatchString(model):
		return "This model does not support effort level 'xhigh'. Supported levels: high, low, max, medium."
	case effort != "" && !slices.Contains([]string{"low", "medium", "high", "xhigh", "max"}, effort):
		return "output_config.effort: Input should be 'low', 'medium', 'high', 'xhigh' or 'max'"
	}
	for _, name := range []string{"temperature", "top_p", "top_k"} {
		if v, given := req[name]; given && v != 1.0 && adaptiveOnly.MatchString(model) {
			return fmt.Sprintf("`%s` is deprecated for this model.", name)
		}
	}
	if req["temperature"] != nil && req["top_p"] != nil {
		return "`temperature` and `top_p` cannot both be specified for this model. Please use only one."
	}
	return ""
}

// badGenerationConfig checks thinkingConfig and other options that Google's models may
// refuse.
func badGenerationConfig(model string, req map[string]any) string {
	if strings.HasPrefix(model, "gemma-3") {
		switch {
		case req["systemInstruction"] != nil:
			return fmt.Sprintf("Developer instruction is not enabled for models/%s", model)
		case len(list(req["tools"])) > 0:
			return fmt.Sprintf("Function calling is not enabled for models/%s", model)
		}
	}
	config := object(object(req["generationConfig"])["thinkingConfig"])
	if config == nil {
		return ""
	}
	level, budget := strings.ToLower(str(config, "thinkingLevel")), config["thinkingBudget"]
	levels := "minimal low medium high"
	switch {
	case strings.HasPrefix(model, "gemini-3-pro"):
		levels = "low high"
	case strings.Contains(model, "pro"):
		levels = "low medium high"
	}
	switch {
	case !strings.HasPrefix(model, "gemini-2.5") && !strings.HasPrefix(model, "gemini-3"):
		return "Thinking is not enabled for this model."
	case level != "" && budget != nil:
		return "You can only set only one of thinking budget and thinking level."
	case level != "" && strings.HasPrefix(model, "gemini-2.5"):
		return "Thinking level is not supported for this model."
	case level != "" && !slices.Contains(strings.Fields(levels), level):
		return fmt.Sprintf("Thinking level %s is not supported for this model. Please retry with other thinking level.", strings.ToUpper(level))
	case budget == 0.0 && strings.HasPrefix(model, "gemini-2.5-pro"):
		return "Budget 0 is invalid. This model only works in thinking mode."
	}
	if n, _ := budget.(float64); n > 32768 {
		return fmt.Sprintf("The thinking budget %d is invalid. Please choose a value between 128 and 32768.", int(n))
	}
	return ""
}
