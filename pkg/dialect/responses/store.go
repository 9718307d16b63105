package responses

import (
	"container/list"
	"encoding/json"
	"slices"
	"sync"
)

// Store remembers conversations for previous_response_id, and the items of
// responses for item_reference. Implementations must be safe for concurrent use.
type Store interface {
	// Get returns the chat messages up to and including the response.
	Get(id string) ([]json.RawMessage, bool)
	// Put stores the chat messages up to and including the response.
	Put(id string, messages []json.RawMessage)
	// Item returns an item of an earlier response.
	Item(id string) (json.RawMessage, bool)
	// PutItem stores an item of a response.
	PutItem(id string, item json.RawMessage)
}

// Memory is an in-memory Store with limits. It evicts the least recently used
// entries. It is safe for concurrent use.
type Memory struct {
	maxEntries, maxBytes int

	mu    sync.Mutex
	size  int
	byID  map[string]*list.Element
	order *list.List // front: most recently used
}

type memoryEntry struct {
	id       string
	messages []json.RawMessage
	size     int
}

// NewMemory returns a Memory for at most maxEntries conversations and items and
// maxBytes bytes.
func NewMemory(maxEntries, maxBytes int) *Memory {
	return &Memory{maxEntries: maxEntries, maxBytes: maxBytes, byID: map[string]*list.Element{}, order: list.New()}
}

// Get implements Store.
func (m *Memory) Get(id string) ([]json.RawMessage, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e, ok := m.byID[id]
	if !ok {
		return nil, false
	}
	m.order.MoveToFront(e)
	return e.Value.(*memoryEntry).messages, true
}

// Put implements Store. It ignores a conversation that is larger than the limit.
func (m *Memory) Put(id string, messages []json.RawMessage) {
	entry := &memoryEntry{id: id, messages: messages, size: len(id)}
	for _, raw := range messages {
		entry.size += len(raw)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.drop(m.byID[id])
	if entry.size > m.maxBytes {
		return
	}
	m.byID[id] = m.order.PushFront(entry)
	m.size += entry.size
	for m.size > m.maxBytes || m.order.Len() > m.maxEntries {
		m.drop(m.order.Back())
	}
}

// Item implements Store.
func (m *Memory) Item(id string) (json.RawMessage, bool) {
	kept, ok := m.Get(id)
	if !ok || len(kept) != 1 {
		return nil, false
	}
	return kept[0], true
}

// PutItem implements Store.
func (m *Memory) PutItem(id string, item json.RawMessage) { m.Put(id, []json.RawMessage{item}) }

func (m *Memory) drop(e *list.Element) {
	if e == nil {
		return
	}
	entry := m.order.Remove(e).(*memoryEntry)
	delete(m.byID, entry.id)
	m.size -= entry.size
}

// Remembered is an entry of a Memory, for Export and Import.
type Remembered struct {
	ID       string            `json:"id"`
	Messages []json.RawMessage `json:"messages"`
}

// Export returns the most recently used entries, of at most maxBytes together, oldest
// first.
func (m *Memory) Export(maxBytes int) []Remembered {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []Remembered
	size := 0
	for e := m.order.Front(); e != nil; e = e.Next() {
		entry := e.Value.(*memoryEntry)
		if size += entry.size; size > maxBytes {
			break
		}
		out = append(out, Remembered{entry.id, entry.messages})
	}
	slices.Reverse(out)
	return out
}

// Import stores entries that Export returned, in another process.
func (m *Memory) Import(entries []Remembered) {
	for _, e := range entries {
		m.Put(e.ID, e.Messages)
	}
}
