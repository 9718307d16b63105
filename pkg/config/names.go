package config

// The values of token-persistence.
const (
	PersistOff      = "off"
	PersistFile     = "file"
	PersistKeychain = "keychain"
)
