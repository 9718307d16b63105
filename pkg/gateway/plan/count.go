package plan

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/anthropic"
	"github.com/hostless/hostless/pkg/dialect/gemini"
	"github.com/hostless/hostless/pkg/dialect/openai"
	"github.com/hostless/hostless/pkg/dialect/responses"
	"github.com/hostless/hostless/pkg/gateway/pipeline"
	"github.com/hostless/hostless/pkg/gateway/upstream"
	"github.com/hostless/hostless/pkg/jsonscan"
)

// The rules of providers that this file uses; see rule.
const (
	withoutCompaction = "no responses/compact"
	withoutCounting   = "no responses/input_tokens"
)

// planCompact plans a compaction: OpenAI's own endpoint, or a summary that the model
// writes.
func (r *Request) planCompact(to *pipeline.Candidate) ([]Plan, error) {
	native, err := r.nativeResponses(to, withoutCompaction)
	if err != nil || native != nil && to.Provider.Name == "openai" && to.Credential.BaseURL == "" {
		return own(to, native), err
	}
	translated, err := r.planText(to, func(in dialect.Request) (*dialect.Call, error) {
		return responses.Compact(r.responsesOptions(in.Body))(in)
	})
	if err != nil || native == nil {
		return translated, err
	}
	return r.withFallbacks(to, native, withoutCompaction, translated), nil
}

// planCount plans a request to input_tokens: OpenAI's own endpoint, another provider's
// token counter, or an estimate.
func (r *Request) planCount(to *pipeline.Candidate) ([]Plan, error) {
	native, err := r.nativeResponses(to, withoutCounting)
	if err != nil {
		return nil, err
	}
	first := func(in dialect.Request) (*dialect.Call, error) {
		return responses.ToChat(r.responsesOptions(in.Body))(in)
	}
	answer := func(n int64) []byte {
		return fmt.Appendf(nil, `{"object":"response.input_tokens","input_tokens":%d}`, n)
	}
	if native != nil {
		return r.withFallbacks(to, native, withoutCounting, []Plan{r.estimate(to, first, answer)}), nil
	}
	return r.planCounter(to, first, answer, r.estimate(to, first, answer))
}

// planMessagesCount plans Anthropic's count_tokens: by the provider's endpoint of the same
// dialect, by its token counter in another one, or by an estimate.
func (r *Request) planMessagesCount(to *pipeline.Candidate) ([]Plan, error) {
	answer := func(n int64) []byte { return fmt.Appendf(nil, `{"input_tokens":%d}`, n) }
	estimate := Plan{To: to, Estimate: func() ([]byte, error) {
		n, err := anthropic.EstimateTokens(r.Call.Body)
		if err != nil {
			return nil, err
		}
		return answer(int64(n)), nil
	}}
	native, err := r.Endpoint(to, dialect.Anthropic)
	switch {
	case err != nil:
		return nil, err
	case native != nil && to.Provider.Name == "anthropic":
		return own(to, native), nil
	case native != nil && !r.Planner.knows(ruleOf(withoutCounting, to, "")):
		estimate.Anyway = true
		return r.withFallbacks(to, native, withoutCounting, []Plan{estimate}), nil // other providers of the Messages API may not count
	case native != nil:
		return []Plan{estimate}, nil
	}
	return r.planCounter(to, r.messagesToChat(openai.Everything()), answer, estimate)
}

// planGeminiCount plans Gemini's countTokens in the same way.
func (r *Request) planGeminiCount(to *pipeline.Candidate) ([]Plan, error) {
	native, err := r.Endpoint(to, dialect.Gemini)
	if native != nil || err != nil {
		return own(to, native), err
	}
	answer := func(n int64) []byte { return fmt.Appendf(nil, `{"totalTokens":%d}`, n) }
	estimate := Plan{To: to, Estimate: func() ([]byte, error) { return gemini.CountTokens(r.Call.Body) }}
	return r.planCounter(to, gemini.CountToChat(r.geminiOptions()), answer, estimate)
}

// planCounter plans a count by the token counter of a provider with another dialect, with
// estimate as fallback. Other providers get the estimate only. first translates the
// caller's request to chat completions; answer encodes the count.
func (r *Request) planCounter(to *pipeline.Candidate, first dialect.Translator, answer func(int64) []byte, estimate Plan) ([]Plan, error) {
	speaks := to.Provider.Primary()
	if speaks != dialect.Anthropic && speaks != dialect.Gemini {
		return []Plan{estimate}, nil
	}
	e, err := r.Endpoint(to, speaks)
	if err != nil || e == nil {
		return []Plan{estimate}, err
	}
	estimate.Fallback, estimate.Anyway = true, true
	count := func(in dialect.Request) (*dialect.Call, error) {
		in.Stream = false
		call, err := dialect.Chain(first, r.fromChatTranslator(to, speaks))(in)
		if err != nil {
			return nil, err
		}
		call.Reply, call.Stream = counted{call.Reply, answer, estimate.Estimate}, false
		if speaks == dialect.Anthropic {
			call.Path, call.Body = "/messages/count_tokens", only(call.Body, "model", "messages", "system", "tools", "tool_choice", "thinking")
			return call, nil
		}
		call.Path = strings.Replace(call.Path, ":generateContent", ":countTokens", 1)
		whole := jsonscan.Obj(jsonscan.Field{Name: "model", Value: jsonscan.Quoted(GeminiModels + in.Model)})
		for name, value := range jsonscan.Raw(call.Body).Members() {
			whole.Put(name, value)
		}
		call.Body = jsonscan.Obj(jsonscan.Field{Name: "generateContentRequest", Value: whole}).JSON()
		return call, nil
	}
	return []Plan{{To: to, Endpoint: e, Translate: count}, estimate}, nil
}

// estimate plans a count that Hostless estimates itself.
func (r *Request) estimate(to *pipeline.Candidate, first dialect.Translator, answer func(int64) []byte) Plan {
	return Plan{To: to, Estimate: func() ([]byte, error) {
		call, err := dialect.Chain(first, anthropic.FromChat(anthropic.Options{}))(dialect.Request{Model: to.Model, Provider: to.Provider.Name, Header: http.Header{}, Body: r.Call.Body})
		if err != nil {
			return nil, err
		}
		n, err := anthropic.EstimateTokens(call.Body)
		if err != nil {
			return nil, err
		}
		return answer(int64(n)), nil
	}}
}

// only returns the object with those of its members that are named.
func only(object []byte, names ...string) []byte {
	out := jsonscan.Obj()
	for name, value := range jsonscan.Raw(object).Members() {
		if slices.Contains(names, name) {
			out.Put(name, value)
		}
	}
	return out.JSON()
}

// counted is a dialect.Reply that converts the response of a token counter.
type counted struct {
	dialect.Reply
	answer   func(int64) []byte
	estimate func() ([]byte, error) // for a response that cannot be read
}

// Body reads the count, in the format of either provider.
func (c counted) Body(body []byte) ([]byte, error) {
	var count struct {
		Input int64 `json:"input_tokens"`
		Total int64 `json:"totalTokens"`
	}
	if err := jsonscan.Decode(body, &count); err != nil || max(count.Input, count.Total) == 0 {
		return c.estimate()
	}
	return c.answer(max(count.Input, count.Total)), nil
}

// nativeResponses returns the endpoint of a candidate that has, or may have, a part of the
// Responses API. It returns nil if the candidate does not have it or is known to lack it.
func (r *Request) nativeResponses(to *pipeline.Candidate, lacks string) (*upstream.Endpoint, error) {
	if to.Provider.Primary() != dialect.OpenAI || r.Planner.knows(ruleOf(lacks, to, "")) {
		return nil, nil
	}
	e, err := r.responsesEndpoint(to)
	if e != nil && r.Planner.endpointMissing(e) {
		e = nil
	}
	return e, err
}

// withFallbacks returns the native plan followed by others, which are tried if the native
// endpoint turns out not to exist.
func (r *Request) withFallbacks(to *pipeline.Candidate, native *upstream.Endpoint, lacks string, others []Plan) []Plan {
	for i := range others {
		others[i].Fallback = true
	}
	if len(others) > 0 {
		others[0].AppliesTo = nil
		others[0].Learn = func() { r.Planner.learn(ruleOf(lacks, to, "")) }
	}
	return append(own(to, native), others...)
}

func own(to *pipeline.Candidate, native *upstream.Endpoint) []Plan {
	return []Plan{{To: to, Endpoint: native}}
}

func (r *Request) responsesOptions(body []byte) responses.Options {
	return responses.Options{Store: r.Conversations(body), Now: r.Planner.cfg.Now}
}
