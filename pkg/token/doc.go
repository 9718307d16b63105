// Package token owns bridge tokens: how they are made, what is kept of them
// (hashes, never the token), whom they let in, how far they reach, how often
// they may be used and when they end.
//
// What a request asks for (its provider and model) is left to package gateway,
// who may administer tokens to package control.
package token
