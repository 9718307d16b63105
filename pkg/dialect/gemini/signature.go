package gemini

import (
	"container/list"
	"strings"
	"sync"
)

// skipValidator is the signature that Google documents for calls that have none to
// replay (https://ai.google.dev/gemini-api/docs/thought-signatures, FAQ).
const skipValidator = "skip_thought_signature_validator"

// inID separates a tool call's id from the signature that some gateways append to
// it.
const inID = "__thought__"

// Signatures remembers Gemini's thought signatures for clients that send tool calls
// back without them. Implementations must be safe for concurrent use.
type Signatures interface {
	// Get returns the signature of a tool call, or "" if none is known.
	Get(id string) string
	// Put remembers the signature of a tool call.
	Put(id, signature string)
}

type forgetful struct{}

func (forgetful) Get(string) string  { return "" }
func (forgetful) Put(string, string) {}

// maxSignature is the maximum size of an entry of a SignatureCache, in bytes.
const maxSignature = 64 << 10

// SignatureCache is an in-memory implementation of Signatures. It evicts the least
// recently used entries.
type SignatureCache struct {
	mu      sync.Mutex
	max     int
	entries map[string]*list.Element
	order   *list.List // of *signed, most recently used first
}

type signed struct{ id, signature string }

// NewSignatureCache returns a cache of at most max entries of at most 64 KiB each.
// If max is 0 or less, it holds 4096 entries.
func NewSignatureCache(max int) *SignatureCache {
	if max <= 0 {
		max = 4096
	}
	return &SignatureCache{max: max, entries: map[string]*list.Element{}, order: list.New()}
}

// Get returns the signature of a tool call, or "" if none is known.
func (c *SignatureCache) Get(id string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.entries[id]
	if !ok {
		return ""
	}
	c.order.MoveToFront(e)
	return e.Value.(*signed).signature
}

// Put remembers the signature of a tool call. It ignores empty signatures and those
// that are too large.
func (c *SignatureCache) Put(id, signature string) {
	if id == "" || signature == "" || len(id)+len(signature) > maxSignature {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.entries[id]; ok {
		e.Value.(*signed).signature = signature
		c.order.MoveToFront(e)
		return
	}
	c.entries[strings.Clone(id)] = c.order.PushFront(&signed{strings.Clone(id), strings.Clone(signature)})
	for c.order.Len() > c.max {
		last := c.order.Back()
		c.order.Remove(last)
		delete(c.entries, last.Value.(*signed).id)
	}
}

// Export returns the signatures by tool call, most recently used last, for Import in
// another process.
func (c *SignatureCache) Export() [][2]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make([][2]string, 0, c.order.Len())
	for e := c.order.Back(); e != nil; e = e.Prev() {
		s := e.Value.(*signed)
		out = append(out, [2]string{s.id, s.signature})
	}
	return out
}

// Import remembers signatures that Export returned.
func (c *SignatureCache) Import(entries [][2]string) {
	for _, e := range entries {
		c.Put(e[0], e[1])
	}
}
