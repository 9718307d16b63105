// Package keys owns provider keys at rest: where each is stored (keys.env, or the vault
// of package vault), how keys.env is read, written and watched, and how keys move between
// the two.
//
// Package vault seals keys; package reference resolves keys that are held elsewhere.
// Packages provider and gateway know the providers and use the keys.
package keys
