// Package token owns bridge tokens: how they are made and stored (as hashes, never the
// token itself), who may use them, their scope, their rate limits and their expiry.
//
// Package gateway determines the provider and model of a request; package control decides
// who may administer tokens.
package token
