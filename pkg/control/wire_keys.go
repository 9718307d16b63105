package control

import (
	"fmt"
	"net/http"
	"time"
)

// KeyRequest is the body of PUT /keys/{provider}. Fields of an existing entry that it
// leaves out are kept: key or reference (unless NoKey), base URL and dialect. The daemon
// validates that a new entry is complete.
type KeyRequest struct {
	Key          Secret `json:"key,omitzero"`
	Reference    string `json:"reference,omitempty"` // where the key is kept, as in op://vault/item/field
	NoKey        bool   `json:"no_key,omitempty"`    // the provider needs no key: a stored one is removed
	BaseURL      string `json:"base_url,omitempty"`
	Dialect      string `json:"dialect,omitempty"` // openai, anthropic or gemini
	AllowPrivate bool   `json:"allow_private,omitempty"`
	Label        string `json:"label,omitempty"` // distinguishes several keys of a provider
	// Attributes set the headers that tell the provider about a request, by attribute
	// (app, token, request). "" removes one.
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

	// State is the result of calls with the key: ok, limited (429) or refused (401, 402
	// or 403: the key is skipped while the provider has another one).
	State       string     `json:"state,omitempty"`
	StateStatus int        `json:"state_status,omitempty"` // the provider's response status
	StateUntil  *time.Time `json:"state_until,omitempty"`  // when the key is tried again

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

// KeyStored is the response to PUT /keys/{provider}.
type KeyStored struct {
	Status string `json:"status"` // "stored"
	KeyInfo
	Note string `json:"note,omitempty"` // a sentence about the storage, or something else to know
}

// KeyRemoved is the response to DELETE /keys/{provider}.
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
	Passphrase Secret `json:"passphrase,omitzero"` // for a vault with a passphrase
}

// Migrated is the response to POST /keys/migrate.
type Migrated struct {
	Status string        `json:"status"` // "migrated"
	To     string        `json:"to"`
	Keys   []MigratedKey `json:"keys"`
	Note   string        `json:"note,omitempty"`
}

// MigratedKey is the result for one key.
type MigratedKey struct {
	Provider string `json:"provider"`
	Label    string `json:"label"`
	From     string `json:"from"`              // file, keychain or keys.vault
	Problem  string `json:"problem,omitempty"` // why it was not moved
}

// UnlockRequest is the body of POST /unlock.
type UnlockRequest struct {
	Passphrase Secret `json:"passphrase,omitzero"`
}

// The codes of errors that require a passphrase.
const (
	CodePassphrase    = "passphrase_required"     // of an existing vault
	CodeNewPassphrase = "new_passphrase_required" // of a new vault
)

// Command is a program that cmd:// references may run: one row of GET /commands,
// and the body of PUT /commands/{name}.
type Command struct {
	Name     string   `json:"name"`
	Argv     []string `json:"argv"`                // executed without a shell
	CacheTTL int64    `json:"cache_ttl,omitempty"` // seconds
}

// CommandList is the response to every request for /commands.
type CommandList struct {
	Commands []Command `json:"commands"`
}
