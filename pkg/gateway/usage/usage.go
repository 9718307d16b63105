// Package usage reads the token usage that providers report in their responses.
//
// It defines one set of token classes for all dialects, and maps the counts of each
// provider to it. Prices and budgets are the business of the pipeline's observers.
package usage

// Tokens counts the tokens of a response by class. The classes nest: a part is counted in
// its whole too, so the fields must not be added up. The zero value means no usage. No
// count is negative.
type Tokens struct {
	// Input is the whole prompt: uncached text, what was read from the provider's prompt
	// cache, and what was written to it.
	Input int64 `json:"input"`
	// Cached is the part of Input that was read from the prompt cache.
	Cached int64 `json:"cached"`
	// CacheWrite is the part of Input that was written to the prompt cache, with any
	// lifetime. Cached and CacheWrite do not overlap.
	CacheWrite int64 `json:"cache_write"`
	// CacheWrite1h is the part of CacheWrite with a lifetime of one hour; the rest has the
	// provider's default lifetime (five minutes at Anthropic).
	CacheWrite1h int64 `json:"cache_write_1h"`
	// AudioInput is the part of Input that is audio.
	AudioInput int64 `json:"audio_input"`
	// Output is everything that the model generated, including reasoning.
	Output int64 `json:"output"`
	// Reasoning is the part of Output that is reasoning.
	Reasoning int64 `json:"reasoning"`
	// AudioOutput is the part of Output that is audio.
	AudioOutput int64 `json:"audio_output"`
	// WebSearches is the number of web searches that the provider made. They are not tokens,
	// but are charged for as well.
	WebSearches int64 `json:"web_searches,omitempty"`
}

// IsZero reports whether all counts are zero.
func (t Tokens) IsZero() bool { return t == Tokens{} }

// Add adds the tokens of another response, for totals over several requests.
func (t *Tokens) Add(o Tokens) {
	t.Input += o.Input
	t.Cached += o.Cached
	t.CacheWrite += o.CacheWrite
	t.CacheWrite1h += o.CacheWrite1h
	t.AudioInput += o.AudioInput
	t.Output += o.Output
	t.Reasoning += o.Reasoning
	t.AudioOutput += o.AudioOutput
	t.WebSearches += o.WebSearches
}

// Merge combines the reports of two events of one stream. Providers repeat earlier counts
// or report cumulative ones, so each class keeps its largest value.
func (t *Tokens) Merge(o Tokens) {
	t.Input = max(t.Input, o.Input)
	t.Cached = max(t.Cached, o.Cached)
	t.CacheWrite = max(t.CacheWrite, o.CacheWrite)
	t.CacheWrite1h = max(t.CacheWrite1h, o.CacheWrite1h)
	t.AudioInput = max(t.AudioInput, o.AudioInput)
	t.Output = max(t.Output, o.Output)
	t.Reasoning = max(t.Reasoning, o.Reasoning)
	t.AudioOutput = max(t.AudioOutput, o.AudioOutput)
	t.WebSearches = max(t.WebSearches, o.WebSearches)
}

// Report is the usage report of a response, or of one event of a stream.
type Report struct {
	Tokens Tokens
	// Tier is the provider's name of the service tier that was used ("default", "flex",
	// "priority", "batch", …), on which prices depend; "" if it was not reported.
	Tier string
	// Response is the ID of a response of the Responses API ("resp_…"), which the provider
	// may store; "" in other APIs.
	Response string
}

// Merge combines the reports of two events of one stream; see Tokens.Merge. A later tier
// replaces an earlier one.
func (r *Report) Merge(o Report) {
	r.Tokens.Merge(o.Tokens)
	if o.Tier != "" {
		r.Tier = o.Tier
	}
	if o.Response != "" {
		r.Response = o.Response
	}
}
