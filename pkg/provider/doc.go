// Package provider owns what Hostless knows of AI providers and does to their
// requests without understanding them: the catalogue (data, in catalogue.json),
// which provider a model is routed to, where a base URL leads, and the editing
// of a JSON body's few members in place, every other byte kept.
//
// It is pure: no I/O, no state. Keys are left to package keys, translation to
// the packages below dialect, and all talking to package gateway.
package provider
