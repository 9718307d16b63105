package vault

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/argon2"

	"github.com/hostless/hostless/pkg/config"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/secret"
)

// CredentialName is the name of the systemd credential with a KEK: 64 hex digits
// (systemd.exec(5), LoadCredential=).
const CredentialName = "hostless-kek"

// Credential reads the KEK from the service manager's credential, or returns nil if there
// is none. getenv is used to find CREDENTIALS_DIRECTORY.
func Credential(getenv func(string) string) ([]byte, error) {
	dir := getenv("CREDENTIALS_DIRECTORY")
	if dir == "" {
		return nil, nil
	}
	data, err := os.ReadFile(filepath.Join(dir, CredentialName))
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read credential %s: %w", CredentialName, err)
	}
	kek, err := parseKEK(string(data))
	if err != nil {
		return nil, &fault.Error{Kind: fault.Invalid, Message: fmt.Sprintf("the credential %s is not 64 hex digits", CredentialName)}
	}
	return kek, nil
}

func parseKEK(text string) ([]byte, error) {
	kek, err := hex.DecodeString(strings.TrimSpace(text))
	if err == nil && len(kek) != kekSize {
		err = fmt.Errorf("%d bytes", len(kek))
	}
	return kek, err
}

func randomKEK() []byte {
	kek := make([]byte, kekSize)
	rand.Read(kek)
	return kek
}

// Parameters of Argon2id: the second recommended set of RFC 9106, section 4, and the
// limits for the parameters in a file.
const (
	argonTime    = 3
	argonMemory  = 64 << 10 // KiB
	argonThreads = 4
	maxTime      = 16
	maxMemory    = 1 << 20 // KiB
)

// minPassphrase is the minimum length of a new passphrase in bytes.
const minPassphrase = 8

func newPassphrase() kekInfo {
	info := kekInfo{Source: fromPassphrase, Salt: make([]byte, 16), Time: argonTime, Memory: argonMemory, Threads: argonThreads}
	rand.Read(info.Salt)
	return info
}

// derive derives the KEK from a passphrase.
func (k kekInfo) derive(passphrase secret.String) ([]byte, error) {
	if k.Time < 1 || k.Time > maxTime || k.Memory < 8 || k.Memory > maxMemory || k.Threads < 1 || len(k.Salt) < 8 {
		return nil, fmt.Errorf("%s: the passphrase's parameters are out of range", filepath.Base(config.Paths{}.Vault()))
	}
	return argon2.IDKey([]byte(passphrase.Reveal()), k.Salt, k.Time, k.Memory, k.Threads, kekSize), nil
}
