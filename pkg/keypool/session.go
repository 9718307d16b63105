package keypool

import (
	"bytes"
	"container/list"
	"encoding/json"
	"errors"
	"hash/fnv"
	"net/http"
	"strings"

	"github.com/hostless/hostless/pkg/gateway/pipeline"
	"github.com/hostless/hostless/pkg/jsonscan"
)

// session identifies a conversation with a provider by a hash of its name. The hash
// is the same after a restart, and so is the key that the conversation starts with.
type session uint64

// sessionHeaders are the request headers in which agents and SDKs name a
// conversation: those of Claude Code, Codex (with underscores in earlier versions),
// opencode, OpenRouter and of others that use the same ones.
var sessionHeaders = []string{
	"X-Claude-Code-Session-Id", "Session_id", "Session-Id", "Conversation_id", "Conversation-Id", "Thread-Id",
	"X-Session-Affinity", "X-Session-Id", "X-Opencode-Session", "X-Task-Id", "X-Conversation-Id",
}

// Limits for the length of a name, and of a first message.
const (
	maxName  = 256
	maxFirst = 16 << 10
)

// named returns the session for a kind of name and the name.
func named(provider, kind, name string) session {
	h := fnv.New64a()
	for _, part := range [...]string{provider, kind, name} {
		h.Write([]byte(part))
		h.Write([]byte{0})
	}
	return session(mix(h.Sum64()))
}

// mix distributes a hash over all of its bits (the finalizer of MurmurHash3).
func mix(h uint64) uint64 {
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

// rank orders the keys for a session, highest first (rendezvous hashing): adding or
// removing a key only moves that key's sessions.
func (s session) rank(label string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(label))
	return mix(uint64(s) ^ mix(h.Sum64()))
}

// storedSession returns the session of the conversation that a stored response
// belongs to.
func storedSession(provider, id string) session { return named(provider, "response", id) }

// sessionOf returns the conversation that a call belongs to. It is identified by
// its name in the headers or in the body, otherwise by its first message, otherwise
// by the token. Calls without a model, for files, batches and other things that an
// account stores, form one conversation, so that they all use the same key.
func sessionOf(call *pipeline.Call, provider string) session {
	if call.Model == "" {
		return named(provider, "stored", "")
	}
	if call.Header != nil {
		if name := headerName(call.Header); name != "" {
			return named(provider, "session", name)
		}
	}
	var c conversation
	c.read(call.Body)
	switch {
	case c.previous != "":
		return storedSession(provider, c.previous)
	case c.name != "":
		return named(provider, "session", c.name)
	case c.first != "":
		return named(provider, "first", c.first)
	case call.Grant != nil:
		return named(provider, "token", call.Grant.Prefix())
	}
	return named(provider, "", "")
}

func headerName(h http.Header) string {
	for _, name := range sessionHeaders {
		if values := h[name]; len(values) > 0 && values[0] != "" {
			return values[0][:min(len(values[0]), maxName)]
		}
	}
	return ""
}

// conversation holds what identifies a conversation in a body.
type conversation struct {
	previous string // previous_response_id
	name     string // prompt_cache_key, or the ID of a conversation or session
	first    string // beginning of the first message
}

// read reads a body of any dialect. It finds nothing in one that is not a JSON
// object.
func (c *conversation) read(data []byte) {
	var turns, user jsonscan.Span
	jsonscan.Skim(data, func(key []byte, v jsonscan.Span) error {
		switch string(key) {
		case "previous_response_id":
			c.previous, _ = jsonscan.Text(v.Of(data))
		case "prompt_cache_key", "session_id":
			if name, _ := jsonscan.Text(v.Of(data)); name != "" {
				c.name = name
			}
		case "conversation":
			if name := idOf(v.Of(data)); name != "" {
				c.name = name
			}
		case "metadata":
			user = v
		case "messages", "input", "contents", "prompt":
			turns = v
		}
		return nil
	})
	if c.name == "" && user.End > 0 && data[user.Start] == '{' {
		c.name = sessionOfUser(user.Of(data))
	}
	if c.name == "" && c.previous == "" && turns.End > 0 {
		c.first = firstText(turns.Of(data))
	}
}

// idOf reads a conversation's ID: a string, or the id member of an object.
func idOf(raw []byte) string {
	if jsonscan.KindOf(raw) == '{' {
		id, _ := jsonscan.Member(raw, "id")
		raw = id.Of(raw)
	}
	text, _ := jsonscan.Text(raw)
	return text
}

// sessionOfUser returns the session in metadata.user_id as Claude Code writes it:
// `user_…_account_…_session_UUID`, or JSON with a session_id. Other values name a
// user and not a conversation.
func sessionOfUser(metadata []byte) string {
	id, _ := jsonscan.Member(metadata, "user_id")
	text, _ := jsonscan.Text(id.Of(metadata))
	if strings.HasPrefix(text, "{") {
		var user struct {
			Session string `json:"session_id"`
		}
		if json.Unmarshal([]byte(text), &user) != nil {
			return ""
		}
		return user.Session
	}
	if _, session, ok := strings.Cut(text, "_session_"); ok {
		return session
	}
	return ""
}

// firstText returns the beginning of the user's first message. It reads only the
// text, because marks such as cache_control move as a conversation grows.
func firstText(turns []byte) string {
	if text, ok := jsonscan.Text(turns); ok {
		return text[:min(len(text), maxFirst)]
	}
	if jsonscan.KindOf(turns) != '[' {
		return ""
	}
	found := ""
	jsonscan.SkimElements(turns, func(at jsonscan.Span) error {
		turn := at.Of(turns)
		if text, ok := jsonscan.Text(turn); ok { // the input of embeddings is a list of texts
			found = text
			return errFound
		}
		if jsonscan.KindOf(turn) != '{' {
			return nil
		}
		role, _ := jsonscan.Member(turn, "role")
		if name, _ := jsonscan.Text(role.Of(turn)); name != "" && name != "user" {
			return nil
		}
		if found = textOf(turn); found != "" {
			return errFound
		}
		return nil
	})
	return found[:min(len(found), maxFirst)]
}

// textOf reads the text of a turn from its content or parts, which are one text or
// a list.
func textOf(turn []byte) string {
	content, ok := jsonscan.Member(turn, "content")
	if !ok {
		content, _ = jsonscan.Member(turn, "parts")
	}
	raw := content.Of(turn)
	if text, ok := jsonscan.Text(raw); ok {
		return text
	}
	var all strings.Builder
	for _, piece := range jsonscan.Elements(raw) {
		at, _ := jsonscan.Member(piece, "text")
		text, _ := jsonscan.Text(at.Of(piece))
		if all.WriteString(text); all.Len() > maxFirst {
			break
		}
	}
	return all.String()
}

// errFound ends a scan.
var errFound = errors.New("found")

// storedMarks occur in bodies that refer to things stored in an account.
var storedMarks = [][]byte{[]byte(`"previous_response_id"`), []byte(`"conversation"`), []byte(`"file_id"`), []byte(`"file_ids"`), []byte(`"vector_store_ids"`), []byte(`"container"`), []byte(`"cachedContent"`), []byte(`"fileData"`)}

// notHere reports whether a response says that the key's account does not have what
// the call refers to. The account of another key may have it.
func notHere(call *pipeline.Call, o *pipeline.Outcome) bool {
	switch o.Status {
	case http.StatusNotFound, http.StatusBadRequest:
	default:
		return false
	}
	if call.Model == "" {
		return o.Status == http.StatusNotFound
	}
	for _, mark := range storedMarks {
		if bytes.Contains(call.Body, mark) {
			return true
		}
	}
	return false
}

// maxSessions is how many conversations are remembered.
const maxSessions = 16 << 10

// sessions remembers the keys of the latest conversations. The zero value is empty.
type sessions struct {
	byID   map[session]*list.Element
	latest list.List // of bound, latest first
}

type bound struct {
	session session
	label   string
}

func (s *sessions) get(id session) (label string, ok bool) {
	e := s.byID[id]
	if e == nil {
		return "", false
	}
	s.latest.MoveToFront(e)
	return e.Value.(*bound).label, true
}

func (s *sessions) bind(id session, label string) {
	if e := s.byID[id]; e != nil {
		e.Value.(*bound).label = label
		s.latest.MoveToFront(e)
		return
	}
	if s.byID == nil {
		s.byID = map[session]*list.Element{}
	}
	if len(s.byID) >= maxSessions {
		oldest := s.latest.Back()
		delete(s.byID, s.latest.Remove(oldest).(*bound).session)
	}
	s.byID[id] = s.latest.PushFront(&bound{id, label})
}
