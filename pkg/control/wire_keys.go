package control

import (
	"fmt"
	"net/http"
	"time"
)

// KeyRequest is the body of PUT /keys/{provider}. What it leaves out of an entry
// that is there already stays: its key or reference (unless NoKey), its base URL
// and dialect. The daemon checks that a new entry has what it needs.
type KeyRequest struct {
	Key          Secret `json:"key,omitzero"`
	Reference    string `json:"reference,omitempty"` // where the key is held, as in op://vault/item/field
	NoKey        bool   `json:"no_key,omitempty"`    // the provider takes none: a stored one is dropped
	BaseURL      string `json:"base_url,omitempty"`
	Dialect      string `json:"dialect,omitempty"` // openai, anthropic or gemini
	AllowPrivate bool   `json:"allow_private,omitempty"`
	Label        string `json:"label,omitempty"` // tells several keys of a provider apart
	// Attributes change what the provider is told of requests: by what (app, token,
	// request) the header that carries it; "" takes one back.
	Attributes map[string]string `json:"attributes,omitempty"`
}

// KeyInfo is one row of GET /keys; the key itself is never shown.
type KeyInfo struct {
	Provider     string `json:"provider"`
	Label        string `json:"label"`
	BaseURL      string `json:"base_url"`
	Storage      string `json:"storage"` // file or keychain
	Hint         string `json:"hint"`    // the last characters of a long key
	HasKey       bool   `json:"has_key"` // a key or a reference is stored
	Reference    string `json:"reference,omitempty"`
	Locked       bool   `json:"locked"`
	Dialect      string `json:"dialect,omitempty"`
	AllowPrivate bool   `json:"allow_private,omitempty"`

	// State is how calls with the key went: ok, limited (429) or refused (401, 402 or
	// 403: it is passed over while the provider has another one).
	State       string     `json:"state,omitempty"`
	StateStatus int        `json:"state_status,omitempty"` // that the provider answered
	StateUntil  *time.Time `json:"state_until,omitempty"`  // when it is tried again

	Attributes map[string]string `json:"attributes,omitempty"`
}

// Trouble says what keeps a key from being used, "" where nothing is known against it.
func (k *KeyInfo) Trouble() string {
	text := ""
	switch {
	case k.Locked:
		return "locked"
	case k.StateStatus == 0:
		return ""
	case k.StateStatus == http.StatusTooManyRequests:
		text = "rate-limited"
	default:
		text = fmt.Sprintf("refused with %d", k.StateStatus)
	}
	if k.StateUntil != nil {
		text += ", tried again at " + k.StateUntil.Local().Format("15:04:05")
	}
	return text
}

// KeyList answers GET /keys.
type KeyList struct {
	Keys []KeyInfo `json:"keys"`
}

// KeyStored answers PUT /keys/{provider}.
type KeyStored struct {
	Status string `json:"status"` // "stored"
	KeyInfo
	Note string `json:"note,omitempty"` // a sentence: why the key is where it is, or what else to know
}

// KeyRemoved answers DELETE /keys/{provider}.
type KeyRemoved struct {
	Status   string `json:"status"` // "removed"
	Provider string `json:"provider"`
	Label    string `json:"label,omitempty"`
	// Labels are those of the removed keys, if there were several; "" is that of a key
	// without one.
	Labels []string `json:"labels,omitempty"`
}

// MigrateRequest is the body of POST /keys/migrate.
type MigrateRequest struct {
	To         string `json:"to,omitempty"`        // keychain (the default) or file
	Passphrase Secret `json:"passphrase,omitzero"` // of a vault that is opened with one
}

// Migrated answers POST /keys/migrate.
type Migrated struct {
	Status string        `json:"status"` // "migrated"
	To     string        `json:"to"`
	Keys   []MigratedKey `json:"keys"`
	Note   string        `json:"note,omitempty"`
}

// MigratedKey is what became of one key.
type MigratedKey struct {
	Provider string `json:"provider"`
	Label    string `json:"label"`
	From     string `json:"from"`              // file, keychain or keys.vault
	Problem  string `json:"problem,omitempty"` // why it stays where it was
}

// UnlockRequest is the body of POST /unlock.
type UnlockRequest struct {
	Passphrase Secret `json:"passphrase,omitzero"`
}

// The codes of errors that ask for a passphrase.
const (
	CodePassphrase    = "passphrase_required"     // the vault's
	CodeNewPassphrase = "new_passphrase_required" // of a vault to be made
)

// Command is a program that cmd:// references may run: one row of GET /commands,
// and the body of PUT /commands/{name}.
type Command struct {
	Name     string   `json:"name"`
	Argv     []string `json:"argv"`                // no shell reads it
	CacheTTL int64    `json:"cache_ttl,omitempty"` // seconds
}

// CommandList answers every request for /commands.
type CommandList struct {
	Commands []Command `json:"commands"`
}
