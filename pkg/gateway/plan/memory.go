package plan

import (
	"encoding/json"

	"github.com/hostless/hostless/pkg/dialect/responses"
	"github.com/hostless/hostless/pkg/jsonscan"
)

// Conversations returns the memory of previous_response_id and item_reference for this
// caller. It has only the responses of the caller's own token, and not those for which the
// caller set `store` to false. Clients that use the API's default refer to a response or
// its items in the next request instead of sending them again. The memory is not
// persistent, and bounded.
func (r *Request) Conversations(body []byte) responses.Store {
	owner := r.owner()
	if r.Connection != "" {
		// The responses of a WebSocket are remembered until it closes.
		return ownStore{r.Planner, owner + " " + r.Connection, true, true}
	}
	store, _ := jsonscan.Member(body, "store")
	keep := string(store.Of(body)) != "false" // as OpenAI does by default
	return ownStore{r.Planner, owner, keep, keep}
}

// owner identifies the memory to use. Each token has its own.
func (r *Request) owner() string {
	if r.Call.Grant == nil {
		return "dev"
	}
	return r.Call.Grant.Prefix()
}

// The limits of these memories.
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
