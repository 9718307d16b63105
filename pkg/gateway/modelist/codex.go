package modelist

import (
	"slices"
	"strings"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/anthropic"
	"github.com/hostless/hostless/pkg/prices"
)

// codexModel is a model in the list that Codex reads (ModelInfo in codex-rs/protocol of
// https://github.com/openai/codex). If an entry lacks a required member or has an unknown
// effort, Codex drops the whole list.
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

// codexInstructions is the system prompt that Codex uses for a model of this list. Codex
// has no default for models that it does not know itself.
const codexInstructions = `You are a coding agent in Codex, a program in the user's terminal. You work on the user's machine, in the given working directory, with the given tools.

Work until the request is complete, then report. Look before you change anything: read the relevant files, and the repository's own instructions (AGENTS.md) if there are any; for each file the deepest AGENTS.md above it applies. Search with rg if it is installed. Run several independent reads at once.

Changing files:
- Use apply_patch if you have it, otherwise the shell. Keep changes small and in the style of the surrounding code.
- Fix the cause, not the symptom. Do not touch what is outside of the task, and leave changes alone that you did not make.
- Never revert, reset or delete the user's work, and never commit or push, unless the user asks for it.

Checking: run the project's own tests, linters or builds for what you changed, from the narrowest to the widest. Report what you ran and the result. Never claim that something works unless you have seen it work.

The sandbox and the approval rules are the user's decisions. If a command is refused, ask for what you need and explain why, or find another way within the rules.

Plans: for work in several steps keep a plan with update_plan if you have it, with one step in progress at a time, and keep it up to date.

Answers: plain, short and in the user's language. Name files with path and line (src/app.ts:42). Do not print large files that you wrote, since the user has them. End with the remaining work, if any.`

// codexModels returns the models that generate text, in the order of the list.
func (s *Service) codexModels(all []Model) []codexModel {
	list := []codexModel{}
	for _, m := range all {
		if !writes(m) {
			continue
		}
		list = append(list, s.codexEntry(m, len(list)))
	}
	return list
}

func (s *Service) codexEntry(m Model, priority int) codexModel {
	title := m.Title
	if title == "" {
		title = m.ID
	}
	c := codexModel{
		Slug: m.ID, DisplayName: title, Description: "by " + m.Provider, Efforts: []codexEffort{}, ShellType: "shell_command", Visibility: "list", SupportedInAPI: true,
		Priority: priority, BaseInstructions: codexInstructions, DefaultSummary: "auto", WebSearch: "text", Truncation: codexTruncation{"bytes", 10_000}, ParallelCalls: true,
		EffectivePercent: 95, ExperimentalTools: []string{}, AdditionalSpeedTiers: []string{}, InputModalities: []string{"text", "image"},
	}
	if window := s.window(m); window > 0 {
		c.ContextWindow, c.MaxContextWindow = &window, &window
	}
	if s.Facts(m.Provider, m.Info.ID).TextOnly {
		c.InputModalities = []string{"text"}
	}
	c.setEfforts(s.efforts(m))
	if m.Provider == "openai" {
		freeform := "freeform"
		c.ApplyPatch, c.Verbosity = &freeform, strings.HasPrefix(m.Info.ID, "gpt-5")
	}
	return c
}

// codexEfforts are the efforts that Codex offers, lowest first. There are more, which not
// every version of it knows.
var codexEfforts = []codexEffort{
	{"low", "Fast responses with little reasoning"}, {"medium", "Balanced reasoning for most tasks"}, {"high", "Deep reasoning for difficult tasks"},
	{"xhigh", "Deepest reasoning for the most difficult tasks"},
}

// setEfforts sets the efforts that the model supports, and the default among them.
func (c *codexModel) setEfforts(supported []string) {
	for _, e := range codexEfforts {
		if slices.Contains(supported, e.Effort) {
			c.Efforts = append(c.Efforts, e)
		}
	}
	if len(c.Efforts) == 0 {
		return
	}
	c.Summaries, c.DefaultEffort = true, &c.Efforts[0].Effort
	for i := range c.Efforts {
		if c.Efforts[i].Effort == "medium" {
			c.DefaultEffort = &c.Efforts[i].Effort
		}
	}
}

// efforts returns the efforts that a model supports, as far as they are known.
func (s *Service) efforts(m Model) []string {
	known := s.Facts(m.Provider, m.Info.ID).Efforts
	if known == "" {
		known = dialect.EffortsOf(m.Provider, m.Info.ID)
	}
	if byName := anthropic.ModelByName(m.Info.ID); known == "" && byName.Thinking {
		known = byName.Efforts()
	}
	return known.Words()
}

// window returns the context window of a model in tokens, from the provider's list or else
// from the model facts; 0 if it is unknown.
func (s *Service) window(m Model) int {
	if m.Input > 0 {
		return m.Input
	}
	return s.Facts(m.Provider, m.Info.ID).Context
}

// notForAgents has parts of the names of models that generate text but are of no use to
// agents.
var notForAgents = []string{"tts", "image", "audio", "speech", "guard", "-live", "aqa", "nano-banana", "transcribe", "realtime"}

// writes reports whether agents can use a model.
func writes(m Model) bool {
	id := strings.ToLower(m.Info.ID)
	return m.makes() == prices.Text && !slices.ContainsFunc(notForAgents, func(word string) bool { return strings.Contains(id, word) })
}
