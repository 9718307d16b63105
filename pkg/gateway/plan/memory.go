package plan

import (
	"encoding/json"

	"github.com/hostless/hostless/pkg/dialect/responses"
	"github.com/hostless/hostless/pkg/jsonscan"
)

// Conversations is the memory of previous_response_id and item_reference for this
// caller: of its own token's responses alone, and of those unless it asked that nothing
// be stored. Clients that take the API's default name a response, or its items, in the
// next request instead of sending them. It is in memory alone, and bounded.
func (r *Request) Conversations(body []byte) responses.Store {
	owner := r.owner()
	if r.Connection != "" {
		// A WebSocket's responses are remembered for as long as it lives.
		return ownStore{r.Planner, owner + " " + r.Connection, true, true}
	}
	store, _ := jsonscan.Member(body, "store")
	keep := string(store.Of(body)) != "false" // as OpenAI keeps them where nothing is said
	return ownStore{r.Planner, owner, keep, keep}
}

// owner tells whose memory is used: each token has its own.
func (r *Request) owner() string {
	if r.Call.Grant == nil {
		return "dev"
	}
	return r.Call.Grant.Prefix()
}

// The bounds of those memories.
const (
	memoryEntries = 1024
	memoryBytes   = 32 << 20

	itemEntries = 16384
	itemBytes   = 16 << 20
)

type ownStore struct {
	p               *Planner
	owner           string
	keep, keepItems bool
}

// Get implements responses.Store.
func (s ownStore) Get(id string) ([]json.RawMessage, bool) { return s.p.memory.Get(s.owner + " " + id) }

// Put implements responses.Store.
func (s ownStore) Put(id string, messages []json.RawMessage) {
	if s.keep {
		s.p.memory.Put(s.owner+" "+id, messages)
	}
}

// Item implements responses.Store.
func (s ownStore) Item(id string) (json.RawMessage, bool) { return s.p.items.Item(s.owner + " " + id) }

// PutItem implements responses.Store.
func (s ownStore) PutItem(id string, item json.RawMessage) {
	if s.keepItems {
		s.p.items.PutItem(s.owner+" "+id, item)
	}
}
