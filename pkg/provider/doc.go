// Package provider owns what Hostless knows about AI providers: the catalogue
// (data, in catalogue.json), which provider a model is routed to, and how a base
// URL is resolved.
//
// It is pure: no I/O, no state. Keys belong to package keys, translation to the
// packages below dialect, and the traffic to package gateway.
package provider
