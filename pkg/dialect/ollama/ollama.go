// Package ollama translates Ollama's API (https://docs.ollama.com/api) to OpenAI's
// chat completions and embeddings and back, so that Ollama's clients can use any
// provider: ToChat for /api/chat, GenerateToChat for /api/generate, EmbedToOpenAI
// for /api/embed and EmbeddingsToOpenAI for /api/embeddings.
//
// It owns these mappings, the responses of Ollama's model endpoints (/api/tags,
// /api/show, /api/ps, /api/version) and its errors. Which models there are, and all
// I/O, is up to the gateway.
//
// Streams: each event that a Stream emits has one JSON object as its Data. The
// gateway writes it as one line (newline-delimited JSON), and leaves out events
// without Data, because there is no place for comments.
package ollama

import (
	"encoding/json"
	"time"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/jsonscan"
)

// ContentType is the media type of Ollama's responses that are not streams.
const ContentType = "application/json; charset=utf-8"

// Options configure a translation. The zero value is usable.
type Options struct {
	// Now is the clock for created_at and the durations. The default is time.Now.
	Now func() time.Time
}

func (o Options) withDefaults() Options {
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// request has the members that /api/chat and /api/generate share, and those of
// either.
type request struct {
	Model       string          `json:"model"`
	Stream      *bool           `json:"stream"`
	Format      json.RawMessage `json:"format"`
	Options     json.RawMessage `json:"options"`
	Think       json.RawMessage `json:"think"`
	KeepAlive   json.RawMessage `json:"keep_alive"`
	Logprobs    bool            `json:"logprobs"`
	TopLogprobs json.RawMessage `json:"top_logprobs"`

	// /api/chat
	Messages []json.RawMessage `json:"messages"`
	Tools    []json.RawMessage `json:"tools"`

	// /api/generate
	Prompt   jsonscan.String   `json:"prompt"`
	System   jsonscan.String   `json:"system"`
	Images   []jsonscan.String `json:"images"`
	Suffix   string            `json:"suffix"`
	Template string            `json:"template"`
	Raw      bool              `json:"raw"`
	Context  []json.RawMessage `json:"context"`

	Rest jsonscan.Rest `json:"-"` // ignored and reported
}

// ToChat translates /api/chat. Whether the response is a stream is read from the
// body and not from dialect.Request. A request without messages only loads or
// unloads a model: answer it with Idle.
func ToChat(options Options) dialect.Translator {
	return translator(options, false)
}

// GenerateToChat translates /api/generate in the same way.
func GenerateToChat(options Options) dialect.Translator {
	return translator(options, true)
}

func translator(options Options, generate bool) dialect.Translator {
	options = options.withDefaults()
	return func(in dialect.Request) (*dialect.Call, error) {
		c := &converter{provider: in.Provider, model: in.Model}
		if err := jsonscan.Decode(in.Body, &c.req); err != nil {
			return nil, dialect.Unreadable("Ollama", err)
		}
		out, err := c.translate(in, generate)
		if err != nil {
			return nil, err
		}
		for _, m := range c.req.Rest {
			if m.Value.Set() {
				c.ignore(m.Name)
			}
		}
		name := c.req.Model
		if name == "" {
			name = in.Model
		}
		call := &dialect.Call{
			Path: "/chat/completions", Stream: c.stream(), Ignored: c.ignored,
			Reply: &reply{options: options, model: name, generate: generate, silent: c.silent, start: options.Now()},
		}
		call.SetChat(in, out)
		return call, nil
	}
}

// Idle answers a request without a prompt, with which clients load a model (or,
// with keep_alive 0, unload it). path is the request's path. The response is one
// object, whether or not a stream was requested. ok is false for all other
// requests.
func Idle(path string, body []byte, now time.Time) (answer []byte, ok bool) {
	var req request
	if err := jsonscan.Decode(body, &req); err != nil || req.Model == "" {
		return nil, false
	}
	generate := path == "/api/generate"
	if generate && (!req.Prompt.Empty() || len(req.Images) > 0) || !generate && len(req.Messages) > 0 {
		return nil, false
	}
	reason := "load"
	if s := string(req.KeepAlive); s == "0" || s == `"0"` || s == `"0s"` {
		reason = "unload"
	}
	b := jsonscan.AppendQuote([]byte(`{"model":`), req.Model)
	b = jsonscan.AppendQuote(append(b, `,"created_at":`...), stamp(now))
	if generate {
		b = append(b, `,"response":""`...)
	} else {
		b = append(b, `,"message":{"role":"assistant","content":""}`...)
	}
	b = jsonscan.AppendQuote(append(b, `,"done_reason":`...), reason)
	return append(b, `,"done":true}`...), true
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000Z") }
