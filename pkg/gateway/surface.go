package gateway

import (
	"net/url"
	"slices"
	"strings"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/fault"
)

// rule says how a token's scope is held against a surface.
type rule int

const (
	// byProvider: the surface carries no model by nature (files, stored objects,
	// listings); the provider scope alone decides.
	byProvider rule = iota
	// byModel: a model must be given, and be in scope.
	byModel
	// byModelIfAny: the provider has a default for an absent model. A token with
	// a model scope must give one.
	byModelIfAny
	// byModelGiven: an absent model leaves one as it is that was checked when the
	// object was made; a given one must be in scope.
	byModelGiven
	// opaque: the models used cannot be seen from here (files of requests, workflows,
	// direct sessions with the provider): refused to tokens with a model scope.
	opaque
	// refused: administration of the provider's account: to nobody.
	refused
)

// place is where a surface carries its model.
type place int

const (
	nowhere place = iota
	inBody        // `model` of a JSON body
	inForm        // the `model` part of multipart/form-data, or of a JSON body
	inPath        // a path segment
	inFrame       // WebSocket frames, or ?model=
)

// kind is how a surface is served.
type kind int

const (
	pass     kind = iota // bytes through, OpenAI-compatible or the surface's own dialect
	chat                 // chat completions: usage on streams, translated where needed
	generate             // a dialect's own generation: native, or translated through chat
	count                // Anthropic's count_tokens
	models               // the union of models
	model                // one model
	socket               // a WebSocket
	metadata             // Ollama's metadata
)

// surface classifies a path of the AI plane. The table below is the only place
// that knows them; whatever it does not name falls to the last lines.
type surface struct {
	methods string // separated by ", "
	pattern string // `*` is one segment, a closing `**` any number of them
	speaks  dialect.Name
	kind    kind
	rule    rule
	model   place

	segments []string
	below    string // the pattern below its version, where it has no wildcard
}

var table = compile([]surface{
	// Generation.
	{"POST", "/v1/chat/completions", dialect.OpenAI, chat, byModel, inBody, nil, ""},
	{"GET", "/v1/chat/completions", dialect.OpenAI, pass, byProvider, nowhere, nil, ""},
	{"GET, POST, DELETE", "/v1/chat/completions/*", dialect.OpenAI, pass, byProvider, nowhere, nil, ""},
	{"GET", "/v1/chat/completions/*/messages", dialect.OpenAI, pass, byProvider, nowhere, nil, ""},
	{"POST", "/v1/completions", dialect.OpenAI, chat, byModel, inBody, nil, ""},
	{"POST", "/v1/embeddings", dialect.OpenAI, pass, byModel, inBody, nil, ""},
	{"POST", "/v1/rerank", dialect.OpenAI, pass, byModel, inBody, nil, ""},
	{"POST", "/v1/moderations", dialect.OpenAI, pass, byModelIfAny, inBody, nil, ""},
	{"POST", "/v1/responses", dialect.Responses, generate, byModel, inBody, nil, ""},
	{"GET", "/v1/responses", dialect.Responses, socket, byModel, inFrame, nil, ""},
	{"POST", "/v1/responses/compact", dialect.Responses, pass, byModel, inBody, nil, ""},
	{"POST", "/v1/responses/input_tokens", dialect.Responses, pass, byModelIfAny, inBody, nil, ""},
	{"GET, DELETE", "/v1/responses/*", dialect.Responses, pass, byProvider, nowhere, nil, ""},
	{"POST", "/v1/responses/*/cancel", dialect.Responses, pass, byProvider, nowhere, nil, ""},
	{"GET", "/v1/responses/*/input_items", dialect.Responses, pass, byProvider, nowhere, nil, ""},
	{"GET, POST, DELETE", "/v1/conversations/**", dialect.OpenAI, pass, byProvider, nowhere, nil, ""},

	// Speech, pictures, films.
	{"POST", "/v1/audio/speech", dialect.OpenAI, pass, byModel, inBody, nil, ""},
	{"POST", "/v1/audio/transcriptions", dialect.OpenAI, pass, byModel, inForm, nil, ""},
	{"POST", "/v1/audio/translations", dialect.OpenAI, pass, byModel, inForm, nil, ""},
	{"GET, POST, DELETE", "/v1/audio/voices/**", dialect.OpenAI, pass, byProvider, nowhere, nil, ""},
	{"GET, POST, DELETE", "/v1/audio/voice_consents/**", dialect.OpenAI, pass, byProvider, nowhere, nil, ""},
	{"POST", "/v1/images/generations", dialect.OpenAI, pass, byModelIfAny, inBody, nil, ""},
	{"POST", "/v1/images/edits", dialect.OpenAI, pass, byModelIfAny, inForm, nil, ""},
	{"POST", "/v1/images/variations", dialect.OpenAI, pass, byModelIfAny, inForm, nil, ""},
	{"POST", "/v1/videos", dialect.OpenAI, pass, byModelIfAny, inForm, nil, ""},
	{"GET", "/v1/videos/**", dialect.OpenAI, pass, byProvider, nowhere, nil, ""},
	{"DELETE", "/v1/videos/*", dialect.OpenAI, pass, byProvider, nowhere, nil, ""},
	{"POST", "/v1/videos/**", dialect.OpenAI, pass, opaque, nowhere, nil, ""},
	{"GET", "/v1/realtime", dialect.OpenAI, socket, byModel, inFrame, nil, ""},
	{"GET, POST", "/v1/realtime/**", dialect.OpenAI, pass, opaque, nowhere, nil, ""},

	// Stored things.
	{"GET, POST, DELETE", "/v1/files/**", dialect.OpenAI, pass, byProvider, nowhere, nil, ""},
	{"GET, POST, DELETE", "/v1/uploads/**", dialect.OpenAI, pass, byProvider, nowhere, nil, ""},
	{"POST", "/v1/batches", dialect.OpenAI, pass, opaque, nowhere, nil, ""},
	{"GET, POST", "/v1/batches/**", dialect.OpenAI, pass, byProvider, nowhere, nil, ""},
	{"GET, POST, DELETE", "/v1/vector_stores/**", dialect.OpenAI, pass, byProvider, nowhere, nil, ""},
	{"GET, POST, DELETE", "/v1/containers/**", dialect.OpenAI, pass, byProvider, nowhere, nil, ""},
	{"GET, POST, DELETE", "/v1/skills/**", dialect.OpenAI, pass, byProvider, nowhere, nil, ""},
	{"GET, POST", "/v1/content_provenance_checks/**", dialect.OpenAI, pass, byProvider, nowhere, nil, ""},
	{"GET", "/v1/evals/**", dialect.OpenAI, pass, byProvider, nowhere, nil, ""},
	{"POST, DELETE", "/v1/evals/**", dialect.OpenAI, pass, opaque, nowhere, nil, ""},
	{"POST", "/v1/fine_tuning/jobs", dialect.OpenAI, pass, byModel, inBody, nil, ""},
	{"GET", "/v1/fine_tuning/**", dialect.OpenAI, pass, byProvider, nowhere, nil, ""},
	{"POST, DELETE", "/v1/fine_tuning/**", dialect.OpenAI, pass, opaque, nowhere, nil, ""},
	{"POST", "/v1/assistants", dialect.OpenAI, pass, byModel, inBody, nil, ""},
	{"POST", "/v1/assistants/*", dialect.OpenAI, pass, byModelGiven, inBody, nil, ""},
	{"GET, DELETE", "/v1/assistants/**", dialect.OpenAI, pass, byProvider, nowhere, nil, ""},
	{"POST", "/v1/threads/runs", dialect.OpenAI, pass, byModelIfAny, inBody, nil, ""},
	{"POST", "/v1/threads/*/runs", dialect.OpenAI, pass, byModelIfAny, inBody, nil, ""},
	{"GET, POST, DELETE", "/v1/threads/**", dialect.OpenAI, pass, byProvider, nowhere, nil, ""},
	{"GET, POST, DELETE", "/v1/chatkit/**", dialect.OpenAI, pass, opaque, nowhere, nil, ""},

	// Anthropic's.
	{"POST", "/v1/messages", dialect.Anthropic, generate, byModel, inBody, nil, ""},
	{"POST", "/v1/messages/count_tokens", dialect.Anthropic, count, byModel, inBody, nil, ""},
	{"POST", "/v1/messages/batches", dialect.Anthropic, pass, opaque, nowhere, nil, ""},
	{"GET, POST, DELETE", "/v1/messages/batches/**", dialect.Anthropic, pass, byProvider, nowhere, nil, ""},
	{"POST", "/v1/complete", dialect.Anthropic, pass, byModel, inBody, nil, ""},

	// Models. Gemini's methods stand below a model's name in its v1 as well.
	{"GET", "/v1/models", dialect.OpenAI, models, byProvider, nowhere, nil, ""},
	{"GET", "/v1/models/**", dialect.OpenAI, model, byModel, inPath, nil, ""},
	{"POST", "/v1/models/**", dialect.Gemini, generate, byModel, inPath, nil, ""},
	{"DELETE", "/v1/models/**", dialect.OpenAI, pass, byModel, inPath, nil, ""},

	// Administration of the account, and hosted agents that act with its rights.
	{anyMethod, "/v1/organization/**", dialect.OpenAI, pass, refused, nowhere, nil, ""},
	{anyMethod, "/v1/organizations/**", dialect.OpenAI, pass, refused, nowhere, nil, ""},
	{anyMethod, "/v1/projects/**", dialect.OpenAI, pass, refused, nowhere, nil, ""},
	{anyMethod, "/v1/dashboard/**", dialect.OpenAI, pass, refused, nowhere, nil, ""},
	{anyMethod, "/v1/admin/**", dialect.OpenAI, pass, refused, nowhere, nil, ""},
	{anyMethod, "/v1/agents/**", dialect.Anthropic, pass, refused, nowhere, nil, ""},
	{anyMethod, "/v1/sessions/**", dialect.Anthropic, pass, refused, nowhere, nil, ""},
	{anyMethod, "/v1/environments/**", dialect.Anthropic, pass, refused, nowhere, nil, ""},
	{anyMethod, "/v1/vaults/**", dialect.Anthropic, pass, refused, nowhere, nil, ""},
	{anyMethod, "/v1/memory_stores/**", dialect.Anthropic, pass, refused, nowhere, nil, ""},

	// What is not known here: let through for tokens without a model scope.
	{anyMethod, "/v1/**", dialect.OpenAI, pass, opaque, inBody, nil, ""},

	// Gemini's.
	{"GET", "/v1beta/models", dialect.Gemini, models, byProvider, nowhere, nil, ""},
	{"GET", "/v1beta/models/**", dialect.Gemini, model, byModel, inPath, nil, ""},
	{"POST", "/v1beta/models/**", dialect.Gemini, generate, byModel, inPath, nil, ""},
	{"POST", "/v1beta/cachedContents", dialect.Gemini, pass, byModel, inBody, nil, ""},
	{"GET, PATCH, DELETE", "/v1beta/cachedContents/**", dialect.Gemini, pass, byProvider, nowhere, nil, ""},
	{"GET, POST, DELETE", "/v1beta/files/**", dialect.Gemini, pass, byProvider, nowhere, nil, ""},
	{"GET, POST, PUT", "/upload/v1beta/files/**", dialect.Gemini, pass, byProvider, nowhere, nil, ""},
	{"GET, POST, PUT", "/upload/v1beta/**", dialect.Gemini, pass, opaque, nowhere, nil, ""},
	{"GET, DELETE", "/v1beta/operations/**", dialect.Gemini, pass, byProvider, nowhere, nil, ""},
	{"GET, POST, PATCH, DELETE", "/v1beta/fileSearchStores/**", dialect.Gemini, pass, byProvider, nowhere, nil, ""},
	{anyMethod, "/v1beta/**", dialect.Gemini, pass, opaque, inBody, nil, ""},

	// Ollama's.
	{"POST", "/api/chat", dialect.Ollama, generate, byModel, inBody, nil, ""},
	{"POST", "/api/generate", dialect.Ollama, generate, byModel, inBody, nil, ""},
	{"POST", "/api/embed", dialect.Ollama, generate, byModel, inBody, nil, ""},
	{"POST", "/api/embeddings", dialect.Ollama, generate, byModel, inBody, nil, ""},
	{"GET, HEAD", "/api/tags", dialect.Ollama, metadata, byProvider, nowhere, nil, ""},
	{"POST", "/api/show", dialect.Ollama, metadata, byProvider, nowhere, nil, ""},
	{"GET, HEAD", "/api/ps", dialect.Ollama, metadata, byProvider, nowhere, nil, ""},
	{"GET, HEAD", "/api/version", dialect.Ollama, metadata, byProvider, nowhere, nil, ""},
})

// exact finds the lines without wildcards at once: the way of nearly every
// request.
var exact = func() map[string][]*surface {
	m := map[string][]*surface{}
	for _, group := range table {
		for _, s := range group {
			if !strings.Contains(s.pattern, "*") {
				m[s.pattern] = append(m[s.pattern], s)
			}
		}
	}
	return m
}()

const anyMethod = "GET, POST, PUT, PATCH, DELETE"

// compile splits the patterns and groups them by their first two segments; a
// group's own lines come before those of the version as a whole.
func compile(lines []surface) map[string][]*surface {
	m := map[string][]*surface{}
	for i := range lines {
		s := &lines[i]
		s.segments = strings.Split(s.pattern[1:], "/")
		if s.below = s.pattern; s.speaks != dialect.Ollama {
			s.below = s.pattern[1+len(s.segments[0]):]
		}
		key := group(s.segments)
		m[key] = append(m[key], s)
	}
	return m
}

func group(segments []string) string {
	if len(segments) == 1 || segments[1] == "**" {
		return segments[0]
	}
	return segments[0] + "/" + segments[1]
}

func (s *surface) matches(path []string) bool {
	for i, want := range s.segments {
		if want == "**" {
			return i > 1 || len(path) > i
		}
		if i >= len(path) || want != "*" && want != path[i] || path[i] == "" {
			return false
		}
	}
	return len(path) == len(s.segments)
}

func (s *surface) allows(method string) bool {
	if s.methods == method {
		return true
	}
	return slices.Contains(strings.Split(s.methods, ", "), method) || method == "HEAD" && s.kind != socket && s.allows("GET")
}

// location is a classified path.
type location struct {
	surface  *surface // nil where there is no such path
	methods  string   // all methods of the path
	segments []string // decoded
	raw      string   // the escaped path below its version, "/chat/completions"
	upload   bool     // below /upload
}

// locate classifies a request's path. An error is fault.Invalid (a path that
// another reader could take for another one); a path that does not exist has no
// surface; a method that the path does not have leaves surface nil and methods
// filled.
func locate(u *url.URL, method string) (location, error) {
	if u.RawPath == "" {
		for _, s := range exact[u.Path] {
			if s.methods == method {
				return location{surface: s, methods: s.methods, raw: s.below}, nil
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
				return location{}, fault.New(fault.Invalid, "the path is malformed")
			}
			path[i] = plain
		}
	}
	for _, s := range path {
		if s == "." || s == ".." || strings.ContainsAny(s, "\\\x00") || strings.Contains(s, "../") || strings.Contains(s, "/..") {
			return location{}, fault.New(fault.Invalid, "the path has . or .. in it")
		}
	}
	loc := location{segments: path}
	groups := [2]string{path[0]}
	if len(path) > 1 {
		groups = [2]string{path[0] + "/" + path[1], path[0]}
		if s := administration(path[0], path[1]); s != nil {
			loc.surface = s
			loc.finish(raw)
			return loc, nil
		}
	}
	for _, key := range groups {
		for _, s := range table[key] {
			if !s.matches(path) {
				continue
			}
			if s.allows(method) {
				loc.surface = s
				loc.finish(raw)
				return loc, nil
			}
			loc.addMethods(s.methods)
		}
		if loc.methods != "" {
			return loc, nil // the path is known, the method is not its
		}
	}
	return loc, nil
}

// administration gives the surface of a path that another reader could take for
// one that is refused: in other letters, or with an encoded slash, a parameter or
// a blank after its name. Nil where it is none.
func administration(version, segment string) *surface {
	name := strings.ToLower(strings.TrimSpace(segment))
	if end := strings.IndexAny(name, "/;,?# \t"); end >= 0 {
		name = name[:end]
	}
	for _, s := range table[version+"/"+name] {
		if s.rule == refused {
			return s
		}
	}
	return nil
}

func (l *location) finish(raw []string) {
	l.methods = l.surface.methods
	skip := 1
	if raw[0] == "upload" {
		skip, l.upload = 2, true
	}
	if l.surface.speaks == dialect.Ollama {
		skip = 0
	}
	l.raw = "/" + strings.Join(raw[skip:], "/")
}

func (l *location) addMethods(methods string) {
	if l.methods == "" {
		l.methods = methods
		return
	}
	for m := range strings.SplitSeq(methods, ", ") {
		if !slices.Contains(strings.Split(l.methods, ", "), m) {
			l.methods += ", " + m
		}
	}
}

// versionless are the beginnings of the paths that clients make of a base URL
// without its version.
var versionless = map[string]bool{
	"messages": true, "chat": true, "completions": true, "responses": true, "embeddings": true, "models": true, "realtime": true,
}

// alias maps the paths that clients make of base URLs with too little or too
// much of a version: /messages, /v1/v1/…, and Gemini's OpenAI-compatible layer;
// and those of clients that take a model with a slash for a path of its own,
// /v1beta/PROVIDER/MODEL:generateContent.
func alias(path string) string {
	first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	switch {
	case ofSlashedModel(path):
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

// ofSlashedModel reports whether a path below /v1beta asks a model that is not
// said to be one.
func ofSlashedModel(path string) bool {
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
