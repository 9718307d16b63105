package reqlog

import (
	"encoding/json"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/hostless/hostless/pkg/gateway/usage"
	"github.com/hostless/hostless/pkg/prices"
)

// The functions of this file encode rows exactly as encoding/json does (TestEncode), but
// without reflection and allocations, because every request pays for its row.

// appendRow appends a row as JSON.
func appendRow(b []byte, r *Row) []byte {
	b = appendText(append(b, `{"id":`...), r.ID)
	b = appendTime(append(b, `,"time":`...), r.Time)
	b = appendText(append(b, `,"app":`...), r.App)
	b = appendText(append(b, `,"token":`...), r.Token)
	b = appendText(append(b, `,"token_name":`...), r.TokenName)
	b = appendText(append(b, `,"client":`...), r.Client)
	b = appendText(append(b, `,"method":`...), r.Method)
	b = appendText(append(b, `,"dialect":`...), r.Dialect)
	b = appendText(append(b, `,"endpoint":`...), r.Endpoint)
	b = appendText(append(b, `,"path":`...), r.Path)
	b = r.Headers.append(append(b, `,"headers":`...))
	b = appendText(append(b, `,"model":`...), r.Model)
	b = appendText(append(b, `,"resolved_model":`...), r.ResolvedModel)
	b = appendText(append(b, `,"provider":`...), r.Provider)
	b = appendText(append(b, `,"key_label":`...), r.KeyLabel)
	b = appendInt(append(b, `,"status":`...), int64(r.Status))
	b = appendText(append(b, `,"error_kind":`...), string(r.ErrorKind))
	b = strconv.AppendBool(append(b, `,"stream":`...), r.Stream)
	b = append(b, `,"first_byte_ms":`...)
	if r.FirstByteMS == nil {
		b = append(b, `null`...)
	} else {
		b = appendInt(b, *r.FirstByteMS)
	}
	b = appendInt(append(b, `,"duration_ms":`...), r.DurationMS)
	b = appendTokens(append(b, `,"tokens":`...), &r.Tokens)
	b = strconv.AppendBool(append(b, `,"estimated":`...), r.Estimated)
	b = appendText(append(b, `,"tier":`...), r.Tier)
	b = appendNano(append(b, `,"cost_usd":`...), r.CostUSD)
	b = strconv.AppendBool(append(b, `,"priced":`...), r.Priced)
	b = appendPrice(append(b, `,"price":`...), r.Price)
	b = appendTexts(append(b, `,"ignored":`...), r.Ignored)
	b = appendAttempts(append(b, `,"attempts":`...), r.Attempts)
	return append(b, '}')
}

func appendAttempts(b []byte, all []Attempt) []byte {
	if all == nil {
		return append(b, `null`...)
	}
	b = append(b, '[')
	for i := range all {
		a := &all[i]
		if i > 0 {
			b = append(b, ',')
		}
		b = appendText(append(b, `{"provider":`...), a.Provider)
		b = appendText(append(b, `,"model":`...), a.Model)
		b = appendText(append(b, `,"key_label":`...), a.KeyLabel)
		b = appendInt(append(b, `,"status":`...), int64(a.Status))
		b = appendText(append(b, `,"error_kind":`...), string(a.ErrorKind))
		b = appendInt(append(b, `,"duration_ms":`...), a.DurationMS)
		b = append(b, '}')
	}
	return append(b, ']')
}

func appendTokens(b []byte, t *usage.Tokens) []byte {
	b = appendInt(append(b, `{"input":`...), t.Input)
	b = appendInt(append(b, `,"cached":`...), t.Cached)
	b = appendInt(append(b, `,"cache_write":`...), t.CacheWrite)
	b = appendInt(append(b, `,"cache_write_1h":`...), t.CacheWrite1h)
	b = appendInt(append(b, `,"audio_input":`...), t.AudioInput)
	b = appendInt(append(b, `,"output":`...), t.Output)
	b = appendInt(append(b, `,"reasoning":`...), t.Reasoning)
	b = appendInt(append(b, `,"audio_output":`...), t.AudioOutput)
	if t.WebSearches != 0 {
		b = appendInt(append(b, `,"web_searches":`...), t.WebSearches)
	}
	return append(b, '}')
}

func appendPrice(b []byte, p *prices.Price) []byte {
	if p == nil {
		return append(b, `null`...)
	}
	b = append(b, '{')
	start := len(b)
	for _, class := range [...]struct {
		name  string
		price *prices.Nano
	}{
		{`"input":`, p.Input}, {`"cached":`, p.Cached}, {`"cache_write":`, p.CacheWrite}, {`"cache_write_1h":`, p.CacheWrite1h},
		{`"output":`, p.Output}, {`"reasoning":`, p.Reasoning}, {`"audio_input":`, p.AudioInput}, {`"audio_output":`, p.AudioOutput},
		{`"web_search":`, p.WebSearch},
	} {
		if class.price == nil {
			continue
		}
		if len(b) > start {
			b = append(b, ',')
		}
		b = appendNano(append(b, class.name...), class.price)
	}
	return append(b, '}')
}

func appendNano(b []byte, n *prices.Nano) []byte {
	if n == nil {
		return append(b, `null`...)
	}
	return append(n.Append(append(b, '"')), '"')
}

func appendTexts(b []byte, all []string) []byte {
	if all == nil {
		return append(b, `null`...)
	}
	b = append(b, '[')
	for i, s := range all {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendText(b, s)
	}
	return append(b, ']')
}

// appendAppRow appends a row of the apps plane as JSON.
func appendAppRow(b []byte, r *AppRow) []byte {
	b = appendText(append(b, `{"id":`...), r.ID)
	b = appendTime(append(b, `,"time":`...), r.Time)
	b = appendText(append(b, `,"app":`...), r.App)
	b = appendText(append(b, `,"method":`...), r.Method)
	b = appendText(append(b, `,"path":`...), r.Path)
	b = appendInt(append(b, `,"status":`...), int64(r.Status))
	b = appendInt(append(b, `,"duration_ms":`...), r.DurationMS)
	if r.Upgrade != "" {
		b = appendText(append(b, `,"upgrade":`...), r.Upgrade)
	}
	return append(b, '}')
}

func appendInt(b []byte, n int64) []byte { return strconv.AppendInt(b, n, 10) }

// appendTime appends a time in RFC 3339 format with nanoseconds.
func appendTime(b []byte, t time.Time) []byte {
	return append(t.AppendFormat(append(b, '"'), time.RFC3339Nano), '"')
}

// appendText appends a JSON string. It leaves text that needs escapes, which is rare in
// rows, to encoding/json.
func appendText(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= utf8.RuneSelf || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			quoted, err := json.Marshal(s)
			if err != nil { // cannot happen for a string
				quoted = []byte(`""`)
			}
			return append(b, quoted...)
		}
	}
	return append(append(append(b, '"'), s...), '"')
}
