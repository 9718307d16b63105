// Package provider owns what Hostless knows of AI providers: the catalogue (data,
// in catalogue.json), which provider a model is routed to, and where a base URL
// leads.
//
// It is pure: no I/O, no state. Keys are left to package keys, translation to
// the packages below dialect, and all talking to package gateway.
package provider
