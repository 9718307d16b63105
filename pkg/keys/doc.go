// Package keys owns provider keys at rest: where each is stored (keys.env, or the
// vault of package vault), how keys.env is read, written and watched, and how keys
// move between the two.
//
// Sealing is package vault's, keys that are held elsewhere are package reference's.
// Which providers there are and what a key is used for is left to packages
// provider and gateway.
package keys
