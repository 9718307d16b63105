package gemini

import (
	"slices"
	"strings"
)

// Target is what a path of Gemini's API refers to.
type Target struct {
	Model  string // without "models/"; "tunedModels/…" stays
	Verb   string // the part after the colon
	Stream bool   // whether the verb is streamGenerateContent
}

// ParsePath parses /v1beta/models/{model}:{verb}, with any version, and also with
// tunedModels. A model may contain slashes (models/provider/model) and colons (the
// verb is after the last one). path must be decoded, as URL.Path is. ok is false
// for all other paths.
func ParsePath(path string) (t Target, ok bool) {
	rest, ok := strings.CutPrefix(path, "/")
	version, rest, cut := strings.Cut(rest, "/")
	if !ok || !cut || !strings.HasPrefix(version, "v1") {
		return Target{}, false
	}
	colon := strings.LastIndexByte(rest, ':')
	if colon < 0 {
		return Target{}, false
	}
	t.Model, t.Verb = rest[:colon], rest[colon+1:]
	t.Stream = t.Verb == "streamGenerateContent"
	name, ok := strings.CutPrefix(t.Model, "models/")
	if ok {
		t.Model = name
	} else if name, ok = strings.CutPrefix(t.Model, "tunedModels/"); !ok {
		return Target{}, false
	}
	bad := slices.ContainsFunc(strings.Split(name, "/"), func(s string) bool { return s == "" || s == "." || s == ".." })
	if bad || t.Verb == "" || strings.Contains(t.Verb, "/") {
		return Target{}, false
	}
	return t, true
}
