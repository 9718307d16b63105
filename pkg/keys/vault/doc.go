// Package vault owns the sealed provider keys: vault.json, and the key-encryption key
// (KEK) that opens it. The KEK is in the operating system's keychain, in a credential of
// the service, or derived from a passphrase.
//
// A helper process accesses the keychain, so that an unanswered prompt blocks nothing
// else. Packages keys and gateway own unsealed keys and the use of keys.
package vault
