package gemini

import (
	"container/list"
	"strings"
	"sync"
)

// skipValidator is what Google documents for calls that have no signature to
// replay (https://ai.google.dev/gemini-api/docs/thought-signatures, FAQ).
const skipValidator = "skip_thought_signature_validator"

// inID parts a tool call's id from a signature that some gateways append to it.
const inID = "__thought__"

// Signatures remembers Gemini's thought signatures, for clients that send tool
// calls back without them. Implementations are safe for concurrent use.
type Signatures interface {
	// Get gives the signature of a tool call, "" where none is known.
	Get(id string) string
	// Put remembers it.
	Put(id, signature string)
}

type forgetful struct{}

func (forgetful) Get(string) string  { return "" }
func (forgetful) Put(string, string) {}

// maxSignature bounds what one entry of a SignatureCache may hold.
const maxSignature = 64 << 10

// SignatureCache is a Signatures in memory that forgets the longest unused.
type SignatureCache struct {
	mu      sync.Mutex
	max     int
	entries map[string]*list.Element
	order   *list.List // of *signed, the latest in front
}

type signed struct{ id, signature string }

// NewSignatureCache makes a cache of at most max entries, each of at most
// 64 KiB; 4096 entries if max is 0 or less.
func NewSignatureCache(max int) *SignatureCache {
	if max <= 0 {
		max = 4096
	}
	return &SignatureCache{max: max, entries: map[string]*list.Element{}, order: list.New()}
}

// Get returns the signature of a tool call, "" where none is known.
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

// Put remembers the signature of a tool call. Empty ones and ones past the
// bound are not kept.
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
