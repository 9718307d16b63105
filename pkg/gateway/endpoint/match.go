package endpoint

import (
	"net/url"
	"slices"
	"strings"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/fault"
)

// Match classifies the path of a request. If the path does not exist, Methods is empty; if
// it lacks the method, Kind is None and Methods has the value of the Allow header. The
// error is fault.Invalid, for a path that another server might read as a different one.
func Match(u *url.URL, method string) (Endpoint, error) {
	if u.RawPath == "" {
		for _, r := range exact[u.Path] {
			if r.methods == method {
				return r.endpoint, nil
			}
		}
	}
	escaped := u.EscapedPath()
	for strings.Contains(escaped, "//") {
		escaped = strings.ReplaceAll(escaped, "//", "/")
	}
	escaped = alias(escaped)
	raw := strings.Split(strings.TrimSuffix(strings.TrimPrefix(escaped, "/"), "/"), "/")
	path := raw
	if strings.IndexByte(escaped, '%') >= 0 {
		path = make([]string, len(raw))
		for i, s := range raw {
			plain, err := url.PathUnescape(s)
			if err != nil {
				return Endpoint{}, fault.New(fault.Invalid, "the path is malformed")
			}
			path[i] = plain
		}
	}
	for _, s := range path {
		if s == "." || s == ".." || strings.ContainsAny(s, "\\\x00") || strings.Contains(s, "../") || strings.Contains(s, "/..") {
			return Endpoint{}, fault.New(fault.Invalid, "the path contains . or .. segments")
		}
	}
	groups := [2]string{path[0]}
	if len(path) > 1 {
		groups = [2]string{path[0] + "/" + path[1], path[0]}
		if r := administration(path[0], path[1]); r != nil {
			return r.at(path, raw), nil
		}
	}
	methods := ""
	for _, key := range groups {
		for _, r := range table[key] {
			if !r.matches(path) {
				continue
			}
			if r.allows(method) {
				return r.at(path, raw), nil
			}
			methods = union(methods, r.methods)
		}
		if methods != "" {
			break // the path exists but lacks this method
		}
	}
	return Endpoint{Methods: methods, segments: path}, nil
}

// administration returns the Refused row of a path that another server might read as an
// administration path: with other letter case, or with an encoded slash, a parameter or a
// space after the name. It returns nil for all other paths.
func administration(version, segment string) *row {
	name := strings.ToLower(strings.TrimSpace(segment))
	if end := strings.IndexAny(name, "/;,?# \t"); end >= 0 {
		name = name[:end]
	}
	for _, r := range table[version+"/"+name] {
		if r.scope == Refused {
			return r
		}
	}
	return nil
}

// at returns the endpoint of row r for a path, given as decoded and as escaped segments.
func (r *row) at(path, raw []string) Endpoint {
	e := r.endpoint
	e.segments = path
	skip := 1
	if raw[0] == "upload" {
		skip, e.Upload = 2, true
	}
	if e.Dialect == dialect.Ollama {
		skip = 0
	}
	e.Path = "/" + strings.Join(raw[skip:], "/")
	return e
}

// union returns list with those of methods that it lacks.
func union(list, methods string) string {
	if list == "" {
		return methods
	}
	for m := range strings.SplitSeq(methods, ", ") {
		if !slices.Contains(strings.Split(list, ", "), m) {
			list += ", " + m
		}
	}
	return list
}

// versionless has the first segments of paths that clients build from a base URL that lacks
// its version.
var versionless = map[string]bool{
	"messages": true, "chat": true, "completions": true, "responses": true, "embeddings": true, "models": true, "realtime": true,
}

// alias rewrites paths that clients build incorrectly: with the version missing or repeated
// (/messages, /v1/v1/…), with the prefix of Gemini's OpenAI-compatible API, or with a model
// that has a slash and no models/ prefix (/v1beta/PROVIDER/MODEL:generateContent).
func alias(path string) string {
	first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	switch {
	case isSlashedModel(path):
		return "/v1beta/models" + path[len("/v1beta"):]
	case versionless[first]:
		return "/v1" + path
	case strings.HasPrefix(path, "/v1/v1/"):
		return path[3:]
	case strings.HasPrefix(path, "/v1beta/v1beta/"):
		return path[7:]
	case strings.HasPrefix(path, "/v1beta/openai/"):
		return "/v1" + path[len("/v1beta/openai"):]
	}
	return path
}

// isSlashedModel reports whether a path below /v1beta is a model with a method that lacks
// the models/ prefix.
func isSlashedModel(path string) bool {
	rest, below := strings.CutPrefix(path, "/v1beta/")
	collection, _, slashed := strings.Cut(rest, "/")
	if !below || !slashed || collection == "models" || collection == "tunedModels" || collection == "v1beta" {
		return false
	}
	switch rest[strings.LastIndexByte(rest, ':')+1:] {
	case "generateContent", "streamGenerateContent", "countTokens", "embedContent", "batchEmbedContents":
		return true
	}
	return false
}
