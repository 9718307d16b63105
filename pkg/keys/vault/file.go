package vault

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hostless/hostless/pkg/secret"
)

// fileVersion is the version of the format of vault.json.
const fileVersion = 1

// Item is one entry of the vault: a provider's key, or a reference to one, with
// everything that determines where the key is sent.
type Item struct {
	Provider     string
	Label        string // distinguishes several keys of a provider; "" for the first
	BaseURL      string
	Dialect      string
	AllowPrivate bool
	Reference    string        // the place that holds the key, as in op://vault/item/field
	Hint         string        // the part of the key that may be shown
	Key          secret.String // empty while the vault is locked, and with a reference
}

// contents is vault.json. encode writes it in exactly one form, so a file that differs in
// any byte was not written by Hostless.
type contents struct {
	Version int      `json:"version"`
	ID      []byte   `json:"id"` // random; distinguishes two vaults with the same KEK
	KEK     kekInfo  `json:"kek"`
	Entries []sealed `json:"entries"`
	MAC     []byte   `json:"mac"` // HMAC-SHA256 of the encoding with an empty MAC
}

// Sources of a KEK.
const (
	fromKeychain   = "keychain"
	fromCredential = "credential"
	fromPassphrase = "passphrase"
)

// kekInfo describes the source of the KEK. The parameters for Argon2id are those of RFC
// 9106. Check is a sealed empty string, which distinguishes a wrong KEK from a modified
// file.
type kekInfo struct {
	Source  string `json:"source"`
	Salt    []byte `json:"salt,omitempty"`
	Time    uint32 `json:"time,omitempty"`
	Memory  uint32 `json:"memory_kib,omitempty"`
	Threads uint8  `json:"threads,omitempty"`
	Check   []byte `json:"check"`
}

// sealed is one entry on disk. All other fields are additional authenticated data of
// Sealed.
type sealed struct {
	Provider     string `json:"provider"`
	Label        string `json:"label"`
	BaseURL      string `json:"base_url"`
	Dialect      string `json:"dialect"`
	AllowPrivate bool   `json:"allow_private"`
	Reference    string `json:"reference"`
	Hint         string `json:"hint"`
	Sealed       []byte `json:"sealed"` // nonce, ciphertext, tag
}

func (s sealed) item() Item {
	return Item{
		Provider: s.Provider, Label: s.Label, BaseURL: s.BaseURL, Dialect: s.Dialect, AllowPrivate: s.AllowPrivate,
		Reference: s.Reference, Hint: s.Hint,
	}
}

// aad encodes everything that determines where the key is sent, as additional
// authenticated data. Each part has its length, so that no two entries have the same
// encoding.
func (s sealed) aad() []byte {
	private := "no"
	if s.AllowPrivate {
		private = "yes"
	}
	return lengthPrefixed("hostless-vault entry", fmt.Sprint(fileVersion), s.Provider, s.Label, s.BaseURL, s.Dialect, private, s.Reference, s.Hint)
}

func lengthPrefixed(parts ...string) (out []byte) {
	for _, p := range parts {
		out = binary.BigEndian.AppendUint32(out, uint32(len(p)))
		out = append(out, p...)
	}
	return out
}

// opener holds the keys derived from a KEK for one vault.
type opener struct {
	entries cipher.AEAD
	files   cipher.AEAD // for Seal and Open
	mac     []byte
	kek     []byte
}

// kekSize is the size of a KEK in bytes (256 bits).
const kekSize = 32

// newOpener derives the keys of a vault from a KEK with HKDF-SHA256 (RFC 5869).
func newOpener(kek, id []byte) (*opener, error) {
	if len(kek) != kekSize {
		return nil, fmt.Errorf("the key-encryption key has %d bytes, not %d", len(kek), kekSize)
	}
	derive := func(purpose string) ([]byte, error) {
		return hkdf.Key(sha256.New, kek, id, "hostless-vault: "+purpose, kekSize)
	}
	aead := func(purpose string) (cipher.AEAD, error) {
		key, err := derive(purpose)
		if err != nil {
			return nil, err
		}
		block, err := aes.NewCipher(key)
		if err != nil {
			return nil, err
		}
		return cipher.NewGCM(block)
	}
	o := opener{kek: kek}
	var err error
	if o.entries, err = aead("entries"); err != nil {
		return nil, err
	}
	if o.files, err = aead("files"); err != nil {
		return nil, err
	}
	o.mac, err = derive("file integrity")
	return &o, err
}

func seal(a cipher.AEAD, plain, aad []byte) []byte {
	nonce := make([]byte, a.NonceSize())
	rand.Read(nonce) // never fails, as documented
	return a.Seal(nonce, nonce, plain, aad)
}

// errSealed is the error of unseal for anything that cannot be unsealed.
var errSealed = errors.New("it cannot be decrypted")

func unseal(a cipher.AEAD, data, aad []byte) ([]byte, error) {
	if len(data) < a.NonceSize() {
		return nil, errSealed
	}
	plain, err := a.Open(nil, data[:a.NonceSize()], data[a.NonceSize():], aad)
	if err != nil {
		return nil, errSealed
	}
	return plain, nil
}

func (k kekInfo) aad(id []byte) []byte {
	return lengthPrefixed("hostless-vault kek", fmt.Sprint(fileVersion), string(id), k.Source, string(k.Salt), fmt.Sprint(k.Time, k.Memory, k.Threads))
}

// opens reports whether the opener has the right KEK.
func (c *contents) opens(o *opener) bool {
	_, err := unseal(o.entries, c.KEK.Check, c.KEK.aad(c.ID))
	return err == nil
}

// newContents returns an empty vault.
func newContents(kek []byte, info kekInfo) (*contents, *opener, error) {
	c := &contents{Version: fileVersion, ID: make([]byte, 16), KEK: info, Entries: []sealed{}}
	rand.Read(c.ID)
	o, err := newOpener(kek, c.ID)
	if err != nil {
		return nil, nil, err
	}
	c.KEK.Check = seal(o.entries, nil, c.KEK.aad(c.ID))
	return c, o, nil
}

// put seals an item, replacing one with the same provider and label.
func (c *contents) put(o *opener, it Item) {
	s := sealed{
		Provider: it.Provider, Label: it.Label, BaseURL: it.BaseURL, Dialect: it.Dialect, AllowPrivate: it.AllowPrivate,
		Reference: it.Reference, Hint: it.Hint,
	}
	s.Sealed = seal(o.entries, []byte(it.Key.Reveal()), s.aad())
	c.remove(it.Provider, it.Label)
	c.Entries = append(c.Entries, s)
	slices.SortFunc(c.Entries, func(a, b sealed) int {
		if n := strings.Compare(a.Provider, b.Provider); n != 0 {
			return n
		}
		return strings.Compare(a.Label, b.Label)
	})
}

func (c *contents) remove(provider, label string) (found bool) {
	n := len(c.Entries)
	c.Entries = slices.DeleteFunc(c.Entries, func(s sealed) bool { return s.Provider == provider && s.Label == label })
	return len(c.Entries) < n
}

func (c *contents) clone() *contents {
	next := *c
	next.Entries = slices.Clone(c.Entries)
	return &next
}

// encode formats the file. With an opener it computes a new MAC.
func (c *contents) encode(o *opener) []byte {
	if o != nil {
		c.MAC = nil
		mac := hmac.New(sha256.New, o.mac)
		mac.Write(c.render())
		c.MAC = mac.Sum(nil)
	}
	return c.render()
}

func (c *contents) render() []byte {
	data, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		panic(err) // strings, numbers and bytes always marshal
	}
	return append(data, '\n')
}

// intact reports whether the file is unchanged since it was written with this KEK.
func (c *contents) intact(o *opener) bool {
	probe := *c
	probe.MAC = nil
	mac := hmac.New(sha256.New, o.mac)
	mac.Write(probe.render())
	return hmac.Equal(mac.Sum(nil), c.MAC)
}

// errForm means that a file is not a vault.
var errForm = errors.New("it is not a key vault")

// decode parses a file. canonical is false if the bytes differ from what encode would
// write, which means that another program wrote the file.
func decode(data []byte) (c *contents, canonical bool, err error) {
	c = &contents{}
	if err := json.Unmarshal(data, c); err != nil {
		return nil, false, errForm
	}
	switch {
	case c.Version > fileVersion:
		return nil, false, fmt.Errorf("it has version %d, which is from a newer Hostless", c.Version)
	case c.Version != fileVersion || len(c.ID) == 0:
		return nil, false, errForm
	}
	if c.Entries == nil {
		c.Entries = []sealed{}
	}
	return c, bytes.Equal(c.render(), data), nil
}
