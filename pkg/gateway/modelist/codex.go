package modelist

import (
	"strings"
	"sync"

	"github.com/hostless/hostless/pkg/dialect/anthropic"
	"github.com/hostless/hostless/pkg/prices"
)

// codexModel is a model as Codex reads its list (ModelInfo in codex-rs/protocol of
// https://github.com/openai/codex): an entry that lacks a required member makes it drop
// the whole list, and so does an effort that it does not know.
type codexModel struct {
	Slug                 string          `json:"slug"`
	DisplayName          string          `json:"display_name"`
	Description          string          `json:"description"`
	DefaultEffort        *string         `json:"default_reasoning_level"`
	Efforts              []codexEffort   `json:"supported_reasoning_levels"`
	ShellType            string          `json:"shell_type"`
	Visibility           string          `json:"visibility"`
	SupportedInAPI       bool            `json:"supported_in_api"`
	Priority             int             `json:"priority"`
	AvailabilityNux      *string         `json:"availability_nux"`
	Upgrade              *string         `json:"upgrade"`
	BaseInstructions     string          `json:"base_instructions"`
	ModelMessages        *string         `json:"model_messages"`
	Summaries            bool            `json:"supports_reasoning_summaries"`
	DefaultSummary       string          `json:"default_reasoning_summary"`
	Verbosity            bool            `json:"support_verbosity"`
	DefaultVerbosity     *string         `json:"default_verbosity"`
	ApplyPatch           *string         `json:"apply_patch_tool_type"`
	WebSearch            string          `json:"web_search_tool_type"`
	Truncation           codexTruncation `json:"truncation_policy"`
	ParallelCalls        bool            `json:"supports_parallel_tool_calls"`
	OriginalImages       bool            `json:"supports_image_detail_original"`
	ContextWindow        *int            `json:"context_window"`
	MaxContextWindow     *int            `json:"max_context_window"`
	AutoCompact          *int            `json:"auto_compact_token_limit"`
	EffectivePercent     int             `json:"effective_context_window_percent"`
	ExperimentalTools    []string        `json:"experimental_supported_tools"`
	AdditionalSpeedTiers []string        `json:"additional_speed_tiers"`
	InputModalities      []string        `json:"input_modalities"`
	SearchTool           bool            `json:"supports_search_tool"`
	PreferWebSockets     bool            `json:"prefer_websockets"`
}

type codexEffort struct {
	Effort      string `json:"effort"`
	Description string `json:"description"`
}

type codexTruncation struct {
	Mode  string `json:"mode"`
	Limit int    `json:"limit"`
}

// codexInstructions are what Codex tells a model of the list that it runs; it has no
// words of its own for a model that a list describes.
const codexInstructions = `You are a coding agent in Codex, a program in the user's terminal. You work on the user's machine, in the directory that you are told, with the tools that you are given.

Work until the request is wholly done, then say so. Look before you change anything: read the files that matter, and the repository's own instructions (AGENTS.md) where it has some, of which the deepest one counts for the files below it. Search with rg where it is there. Run several independent reads at once.

Changing files:
- Use apply_patch where you have it, and the shell otherwise. Keep changes small and in the style of the code around them.
- Mend the cause, not the symptom. Do not touch what the task is not about, and leave changes that you did not make alone.
- Never revert, reset or delete the user's work, and never commit or push, unless you are asked to.

Checking: run the project's own tests, linters or builds for what you changed, from the narrowest to the wider. Tell what you ran and what came of it. Never say that something works that you have not seen working.

The sandbox and the approvals that you are told of are the user's decisions. Where a command is refused, ask for what you need and say why, or find another way within them.

Plans: for work of several steps keep a plan with update_plan where you have it, one step in progress at a time, and bring it up to date as you go.

Answers: plain, short and in the user's language. Name files with their paths and lines (src/app.ts:42). Show no large files that you wrote, since the user has them. End with what is left to do, if anything.`

// codexModels gives the models that write text, in the list's order.
func codexModels(all []Model) []codexModel {
	list := []codexModel{}
	for _, m := range all {
		if !writes(m.Info.ID) {
			continue
		}
		list = append(list, codexEntry(m, len(list)))
	}
	return list
}

func codexEntry(m Model, priority int) codexModel {
	title := m.Title
	if title == "" {
		title = m.ID
	}
	c := codexModel{
		Slug: m.ID, DisplayName: title, Description: "by " + m.Provider, Efforts: []codexEffort{}, ShellType: "shell_command", Visibility: "list", SupportedInAPI: true,
		Priority: priority, BaseInstructions: codexInstructions, DefaultSummary: "auto", WebSearch: "text", Truncation: codexTruncation{"bytes", 10_000}, ParallelCalls: true,
		EffectivePercent: 95, ExperimentalTools: []string{}, AdditionalSpeedTiers: []string{}, InputModalities: []string{"text", "image"},
	}
	if window := window(m); window > 0 {
		c.ContextWindow, c.MaxContextWindow = &window, &window
	}
	if known := anthropic.ModelByName(m.Info.ID); known.Thinking {
		medium := "medium"
		c.DefaultEffort, c.Summaries = &medium, true
		c.Efforts = []codexEffort{{"low", "Quick answers with little thinking"}, {"medium", "Thinks as much as most tasks need"}, {"high", "Thinks long, for hard tasks"}}
		if known.XHigh {
			c.Efforts = append(c.Efforts, codexEffort{"xhigh", "Thinks longest, for the hardest tasks"})
		}
	}
	if m.Provider == "openai" {
		freeform := "freeform"
		c.ApplyPatch, c.Verbosity = &freeform, strings.HasPrefix(m.Info.ID, "gpt-5")
	}
	return c
}

var book = sync.OnceValue(func() *prices.Book { return prices.NewBook(nil, prices.Default()) })

// window is how many tokens a model reads: by the provider's list, else by the snapshot
// of model facts; 0 where neither tells.
func window(m Model) int {
	if m.Input > 0 {
		return m.Input
	}
	if known := book().Find(m.Provider, m.Info.ID); known != nil {
		return known.Limit.Context
	}
	return 0
}

// notText are words in the names of models that do something else than write text.
var notText = []string{
	"embed", "whisper", "tts", "dall-e", "moderation", "realtime", "transcribe", "image", "imagen", "sora", "veo", "lyria", "audio", "speech", "rerank",
	"guard", "babbage", "davinci", "-live", "aqa", "nano-banana",
}

// writes reports whether a model, by its name, is one that agents can use.
func writes(id string) bool {
	id = strings.ToLower(id)
	for _, word := range notText {
		if strings.Contains(id, word) {
			return false
		}
	}
	return true
}
