// Package vault owns provider keys that are sealed at rest: vault.json, and the
// key-encryption key (KEK) that opens it. The KEK is kept in the operating
// system's keychain, given to the service as a credential, or derived from a
// passphrase.
//
// The keychain is asked in a helper process, so that a prompt that nobody answers
// holds up nothing else. Keys that are not sealed, and what a key is used for, are
// left to packages keys and gateway.
package vault
