// Package keys owns provider keys at rest: the file keys.env, how it is read,
// written and watched, and the seam for a vault that seals keys with the
// system's keychain.
//
// Which providers there are and what a key is used for is left to packages
// provider and gateway.
package keys
