package vault

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/hostless/hostless/pkg/config"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/secret"
)

// legacyAccount is the keychain account of Hostless 0.4's vault key: 64 hex digits.
const legacyAccount = "master-key"

// LegacyItem is a key of keys.vault, or the reason why it cannot be opened.
type LegacyItem struct {
	Provider string
	BaseURL  string
	Key      secret.String
	Err      error
}

// OpenLegacy opens keys.vault of Hostless 0.4: a JSON object whose values are base64 of a
// nonce, AES-256-GCM ciphertext and tag, without additional data. It waits for the
// keychain long enough for a user to answer a prompt.
func (v *Vault) OpenLegacy(ctx context.Context, path string) ([]LegacyItem, error) {
	data, _, err := config.ReadPrivate(path)
	if err != nil {
		return nil, fmt.Errorf("read the vault of an earlier version: %w", err)
	}
	var file struct {
		Entries []struct {
			Provider string  `json:"provider"`
			Key      string  `json:"encrypted_key"`
			BaseURL  *string `json:"base_url"`
		} `json:"entries"`
	}
	if json.Unmarshal(data, &file) != nil {
		return nil, &fault.Error{Kind: fault.Conflict, Message: path + " cannot be read as a vault of an earlier version", Next: "move it away"}
	}
	if len(file.Entries) == 0 {
		return nil, nil
	}
	if v.keychain == nil {
		return nil, legacyFault(path, &KeychainError{Reason: Absent})
	}
	ctx, cancel := context.WithTimeout(ctx, unlockWait)
	defer cancel()
	text, err := v.keychain.Get(ctx, keychainService, legacyAccount)
	if err != nil {
		return nil, legacyFault(path, err)
	}
	key, err := parseKEK(text.Reveal())
	if err != nil {
		return nil, legacyFault(path, errors.New("the keychain's master key is not 64 hex digits"))
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	var items []LegacyItem
	for _, e := range file.Entries {
		it := LegacyItem{Provider: strings.ToLower(e.Provider)}
		if e.BaseURL != nil {
			it.BaseURL = *e.BaseURL
		}
		blob, err := base64.StdEncoding.DecodeString(e.Key)
		if err == nil {
			blob, err = unseal(gcm, blob, nil)
		}
		if err != nil {
			it.Err = errors.New("it cannot be decrypted with the keychain's master key")
		}
		it.Key = secret.New(string(blob))
		items = append(items, it)
	}
	return items, nil
}

func legacyFault(path string, err error) error {
	why := sentence(err)
	if reasonOf(err) == Missing {
		why = "the keychain does not have its master key"
	}
	return &fault.Error{
		Kind: fault.Locked, Message: fmt.Sprintf("%s of an earlier version cannot be opened: %s", path, why),
		Next: "to migrate without its keys, move it away, then: hostless keys migrate", Err: err,
	}
}
