// Package usage reads what a provider's answer says it used.
//
// It owns one set of token classes for all dialects and the rules that map each
// provider's own counts to it. What tokens cost, and who pays for them, is decided
// by those who observe requests.
package usage

// Tokens counts the tokens of one answer by class. The classes nest: a part is
// counted in its whole as well, so that no sum over all fields means anything.
// The zero value says that nothing was used. All counts are at least zero.
type Tokens struct {
	// Input is the whole prompt: fresh text, what was read from the provider's
	// prompt cache, and what was written to it.
	Input int64 `json:"input"`
	// Cached is the part of Input that was read from the prompt cache.
	Cached int64 `json:"cached"`
	// CacheWrite is the part of Input that was written to the prompt cache, of
	// whatever lifetime. Cached and CacheWrite do not overlap.
	CacheWrite int64 `json:"cache_write"`
	// CacheWrite1h is the part of CacheWrite that is kept for one hour; the rest has
	// the provider's default lifetime (five minutes at Anthropic).
	CacheWrite1h int64 `json:"cache_write_1h"`
	// AudioInput is the part of Input that was audio.
	AudioInput int64 `json:"audio_input"`
	// Output is all that the model generated, its reasoning included.
	Output int64 `json:"output"`
	// Reasoning is the part of Output that was spent on reasoning.
	Reasoning int64 `json:"reasoning"`
	// AudioOutput is the part of Output that is audio.
	AudioOutput int64 `json:"audio_output"`
}

// IsZero reports whether nothing was used.
func (t Tokens) IsZero() bool { return t == Tokens{} }

// Add counts another answer's tokens in: for totals over several requests.
func (t *Tokens) Add(o Tokens) {
	t.Input += o.Input
	t.Cached += o.Cached
	t.CacheWrite += o.CacheWrite
	t.CacheWrite1h += o.CacheWrite1h
	t.AudioInput += o.AudioInput
	t.Output += o.Output
	t.Reasoning += o.Reasoning
	t.AudioOutput += o.AudioOutput
}

// Merge combines what two events of one stream report. Providers repeat earlier
// counts and report cumulative ones, so each class keeps its largest value.
func (t *Tokens) Merge(o Tokens) {
	t.Input = max(t.Input, o.Input)
	t.Cached = max(t.Cached, o.Cached)
	t.CacheWrite = max(t.CacheWrite, o.CacheWrite)
	t.CacheWrite1h = max(t.CacheWrite1h, o.CacheWrite1h)
	t.AudioInput = max(t.AudioInput, o.AudioInput)
	t.Output = max(t.Output, o.Output)
	t.Reasoning = max(t.Reasoning, o.Reasoning)
	t.AudioOutput = max(t.AudioOutput, o.AudioOutput)
}

// Report is what an answer, or one event of a stream, says of its own cost.
type Report struct {
	Tokens Tokens
	// Tier is the provider's own name of the service tier that answered
	// ("default", "flex", "priority", "batch", …), which its prices depend on; ""
	// where the answer does not name one.
	Tier string
	// Response is the ID of a response of the Responses API, which the provider may
	// keep ("resp_…"); "" elsewhere.
	Response string
}

// Merge combines what two events of one stream report; see Tokens.Merge. A later
// tier replaces an earlier one.
func (r *Report) Merge(o Report) {
	r.Tokens.Merge(o.Tokens)
	if o.Tier != "" {
		r.Tier = o.Tier
	}
	if o.Response != "" {
		r.Response = o.Response
	}
}
