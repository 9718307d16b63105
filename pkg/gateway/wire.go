package gateway

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/gemini"
	"github.com/hostless/hostless/pkg/dialect/openai"
	"github.com/hostless/hostless/pkg/dialect/responses"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/gateway/body"
	"github.com/hostless/hostless/pkg/gateway/endpoint"
	"github.com/hostless/hostless/pkg/gateway/upstream"
	"github.com/hostless/hostless/pkg/jsonscan"
)

// way is how a request gets to a provider: natively where translate is nil.
type way struct {
	endpoint  *upstream.Endpoint
	translate dialect.Translator
	// instead is the way to go where the native one turns out not to exist, which
	// only trying tells of a user's own base URL; nil where there is none.
	instead *way
}

// wire finds the way from the request's surface to its provider: natively where
// the provider speaks the surface's dialect, else translated through chat
// completions, where that surface can be.
func (c *exchange) wire() (way, error) {
	s := c.matched
	switch {
	case s.Kind == endpoint.Chat:
		return c.wireChat()
	case s.Kind == endpoint.Embeddings:
		return c.wireEmbed(nil)
	case s.Kind == endpoint.Generate || s.Kind == endpoint.CountTokens:
		return c.wireGenerate()
	}
	e, err := c.endpoint(s.Dialect)
	if e == nil && err == nil && s.Kind == endpoint.Pass && c.provider.Primary() == dialect.Anthropic && c.r.Header.Get("Anthropic-Version") != "" {
		e, err = c.endpoint(dialect.Anthropic) // its files, skills and the like have OpenAI's paths
	}
	if e == nil && err == nil && s.Dialect == dialect.Responses {
		// A provider that is only known to speak chat may have the rest of
		// OpenAI's surface all the same.
		e, err = c.endpoint(dialect.OpenAI)
	}
	if err != nil {
		return way{}, err
	}
	if e == nil {
		return way{}, c.unsupported()
	}
	return way{endpoint: e}, nil
}

func (c *exchange) endpoint(speaks dialect.Name) (*upstream.Endpoint, error) {
	return c.g.up.Endpoint(c.provider, c.cred, speaks)
}

func (c *exchange) unsupported() error {
	return &fault.Error{
		Kind: fault.Invalid, Param: "model", Code: "unsupported_endpoint",
		Message: fmt.Sprintf("provider %q has no %s", c.provider.Name, c.matched.Pattern),
	}
}

// wireChat is the way of a chat completion: in the provider's own dialect where
// that is another one, since its compatibility layer, if any, carries less.
func (c *exchange) wireChat() (way, error) {
	for _, speaks := range [...]dialect.Name{dialect.OpenAI, dialect.Anthropic, dialect.Gemini} {
		if speaks == dialect.OpenAI && c.provider.Primary() != dialect.OpenAI {
			continue
		}
		e, err := c.endpoint(speaks)
		if err != nil {
			return way{}, err
		}
		if e == nil {
			continue
		}
		if speaks == dialect.OpenAI {
			return way{endpoint: e}, nil
		}
		return way{endpoint: e, translate: c.fromChat(speaks)}, nil
	}
	return way{}, c.unsupported()
}

// wireEmbed is the way of OpenAI's embeddings, first being what translates the
// caller's request to them.
func (c *exchange) wireEmbed(first dialect.Translator) (way, error) {
	if c.provider.Primary() == dialect.Gemini {
		e, err := c.endpoint(dialect.Gemini)
		if err != nil || e == nil {
			return way{}, err
		}
		onward := gemini.EmbedFromOpenAI()
		if first != nil {
			onward = dialect.Chain(first, onward)
		}
		return way{endpoint: e, translate: onward}, nil
	}
	e, err := c.endpoint(dialect.OpenAI)
	if err != nil {
		return way{}, err
	}
	if e == nil {
		return way{}, c.unsupported()
	}
	return way{endpoint: e, translate: first}, nil
}

// wireGenerate is the way of a surface that is a dialect's own: native, or first
// to chat and from there on as a chat completion goes.
func (c *exchange) wireGenerate() (way, error) {
	native, err := c.endpoint(c.matched.Dialect)
	if err != nil {
		return way{}, err
	}
	own := false
	switch local := c.provider.Port > 0; c.matched.Dialect {
	case dialect.Responses:
		own = (local || c.cred.BaseURL != "") && c.provider.Primary() == dialect.OpenAI
	case dialect.Anthropic:
		own = local && c.matched.Kind == endpoint.Generate // older versions do not speak it
	}
	if native == nil && own && c.provider.Custom && c.matched.Dialect == dialect.Responses {
		// A user's own base URL may speak responses; asking is the only way to know.
		if native, err = c.endpoint(dialect.OpenAI); err != nil {
			return way{}, err
		}
	}
	if native != nil && !(own && c.g.lacks(native)) {
		w := way{endpoint: native}
		if own {
			if other, err := c.wireTranslated(); err == nil {
				w.instead = &other
			}
		}
		return w, nil
	}
	return c.wireTranslated()
}

func (c *exchange) wireTranslated() (way, error) {
	first, embeds := c.toMiddle()
	switch {
	case first == nil:
		return way{}, c.unsupported()
	case embeds:
		return c.wireEmbed(first)
	}
	onward, err := c.wireChat()
	if err != nil {
		return way{}, err
	}
	if onward.translate != nil {
		return way{endpoint: onward.endpoint, translate: dialect.Chain(first, onward.translate)}, nil
	}
	return way{endpoint: onward.endpoint, translate: openai.Plain(first, c.provider.ChatFacts())}, nil
}

// lacks reports whether an endpoint was found, not long ago, not to have the
// native surface.
func (g *Gateway) lacks(e *upstream.Endpoint) bool {
	at, ok := g.lacking.Load(e)
	return ok && g.since(at.(time.Time)) < time.Hour
}

// conversations is the memory of previous_response_id for this caller: of its
// own token's responses alone, and of those only that it asked to be stored. The
// items of an answer are kept unless it asked that nothing be: clients that take
// the API's default name them in the next request instead of sending them.
func (c *exchange) conversations(body []byte) responses.Store {
	owner := "dev"
	if c.grant != nil {
		owner = c.grant.Prefix()
	}
	if c.connection != nil {
		// A WebSocket's responses are remembered for as long as it lives.
		return ownStore{c.g, owner + " " + c.connection.id, true, true}
	}
	store, _ := jsonscan.Member(body, "store")
	return ownStore{c.g, owner, string(store.Of(body)) == "true", string(store.Of(body)) != "false"}
}

// The bounds of those memories.
const (
	memoryEntries = 1024
	memoryBytes   = 32 << 20

	itemEntries = 16384
	itemBytes   = 16 << 20
)

type ownStore struct {
	g               *Gateway
	owner           string
	keep, keepItems bool
}

// Get implements responses.Store.
func (s ownStore) Get(id string) ([]json.RawMessage, bool) { return s.g.memory.Get(s.owner + " " + id) }

// Put implements responses.Store.
func (s ownStore) Put(id string, messages []json.RawMessage) {
	if s.keep {
		s.g.memory.Put(s.owner+" "+id, messages)
	}
}

// Item implements responses.Store.
func (s ownStore) Item(id string) (json.RawMessage, bool) { return s.g.items.Item(s.owner + " " + id) }

// PutItem implements responses.Store.
func (s ownStore) PutItem(id string, item json.RawMessage) {
	if s.keepItems {
		s.g.items.PutItem(s.owner+" "+id, item)
	}
}

// sendOr sends natively, and goes the other way where the upstream has no such
// path.
func (c *exchange) sendOr(o *upstream.Request, instead way, b *body.Body) error {
	ctx, cancel := c.context()
	defer cancel()
	resp, err := c.roundTrip(ctx, o)
	if err != nil {
		return c.unanswered(ctx, err)
	}
	defer resp.Body.Close()
	if !c.missing(ctx, resp) {
		return c.answer(ctx, resp)
	}
	c.g.lacking.Store(o.Endpoint, c.g.cfg.Now())
	return c.sendTranslated(instead, b.Bytes(), b.Stream)
}
