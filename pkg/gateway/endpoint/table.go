package endpoint

import (
	"slices"
	"strings"

	"github.com/hostless/hostless/pkg/dialect"
)

// row is one row of the endpoint table.
type row struct {
	methods string // separated by ", "
	pattern string // `*` matches one segment, a final `**` any number of segments
	dialect dialect.Name
	kind    Kind
	scope   Scope
	model   ModelAt

	segments []string // of the pattern
	endpoint Endpoint // result of Match for a path that equals the pattern
}

const anyMethod = "GET, POST, PUT, PATCH, DELETE"

var table = compile([]row{
	// Generation.
	{"POST", "/v1/chat/completions", dialect.OpenAI, Chat, ByModel, InBody, nil, Endpoint{}},
	{"GET", "/v1/chat/completions", dialect.OpenAI, Pass, ByProvider, NoModel, nil, Endpoint{}},
	{"GET, POST, DELETE", "/v1/chat/completions/*", dialect.OpenAI, Pass, ByProvider, NoModel, nil, Endpoint{}},
	{"GET", "/v1/chat/completions/*/messages", dialect.OpenAI, Pass, ByProvider, NoModel, nil, Endpoint{}},
	{"POST", "/v1/completions", dialect.OpenAI, Completions, ByModel, InBody, nil, Endpoint{}},
	{"POST", "/v1/embeddings", dialect.OpenAI, Embeddings, ByModel, InBody, nil, Endpoint{}},
	{"POST", "/v1/rerank", dialect.OpenAI, Pass, ByModel, InBody, nil, Endpoint{}},
	{"POST", "/v1/moderations", dialect.OpenAI, Pass, ByModelOrDefault, InBody, nil, Endpoint{}},
	{"POST", "/v1/responses", dialect.Responses, Generate, ByModel, InBody, nil, Endpoint{}},
	{"GET", "/v1/responses", dialect.Responses, WebSocket, ByModel, InMessages, nil, Endpoint{}},
	{"POST", "/v1/responses/compact", dialect.Responses, Pass, ByModel, InBody, nil, Endpoint{}},
	{"POST", "/v1/responses/input_tokens", dialect.Responses, Pass, ByModelOrDefault, InBody, nil, Endpoint{}},
	{"GET, DELETE", "/v1/responses/*", dialect.Responses, Pass, ByProvider, NoModel, nil, Endpoint{}},
	{"POST", "/v1/responses/*/cancel", dialect.Responses, Pass, ByProvider, NoModel, nil, Endpoint{}},
	{"GET", "/v1/responses/*/input_items", dialect.Responses, Pass, ByProvider, NoModel, nil, Endpoint{}},
	{"GET, POST, DELETE", "/v1/conversations/**", dialect.OpenAI, Pass, ByProvider, NoModel, nil, Endpoint{}},

	// Speech, images, video.
	{"POST", "/v1/audio/speech", dialect.OpenAI, Pass, ByModel, InBody, nil, Endpoint{}},
	{"POST", "/v1/audio/transcriptions", dialect.OpenAI, Pass, ByModel, InForm, nil, Endpoint{}},
	{"POST", "/v1/audio/translations", dialect.OpenAI, Pass, ByModel, InForm, nil, Endpoint{}},
	{"GET, POST, DELETE", "/v1/audio/voices/**", dialect.OpenAI, Pass, ByProvider, NoModel, nil, Endpoint{}},
	{"GET, POST, DELETE", "/v1/audio/voice_consents/**", dialect.OpenAI, Pass, ByProvider, NoModel, nil, Endpoint{}},
	{"POST", "/v1/images/generations", dialect.OpenAI, Pass, ByModelOrDefault, InBody, nil, Endpoint{}},
	{"POST", "/v1/images/edits", dialect.OpenAI, Pass, ByModelOrDefault, InForm, nil, Endpoint{}},
	{"POST", "/v1/images/variations", dialect.OpenAI, Pass, ByModelOrDefault, InForm, nil, Endpoint{}},
	{"POST", "/v1/videos", dialect.OpenAI, Pass, ByModelOrDefault, InForm, nil, Endpoint{}},
	{"GET", "/v1/videos/**", dialect.OpenAI, Pass, ByProvider, NoModel, nil, Endpoint{}},
	{"DELETE", "/v1/videos/*", dialect.OpenAI, Pass, ByProvider, NoModel, nil, Endpoint{}},
	{"POST", "/v1/videos/**", dialect.OpenAI, Pass, Opaque, NoModel, nil, Endpoint{}},
	{"GET", "/v1/realtime", dialect.OpenAI, WebSocket, ByModel, InMessages, nil, Endpoint{}},
	{"GET, POST", "/v1/realtime/**", dialect.OpenAI, Pass, Opaque, NoModel, nil, Endpoint{}},

	// Stored objects.
	{"GET, POST, DELETE", "/v1/files/**", dialect.OpenAI, Pass, ByProvider, NoModel, nil, Endpoint{}},
	{"GET, POST, DELETE", "/v1/uploads/**", dialect.OpenAI, Pass, ByProvider, NoModel, nil, Endpoint{}},
	{"POST", "/v1/batches", dialect.OpenAI, Pass, Opaque, NoModel, nil, Endpoint{}},
	{"GET, POST", "/v1/batches/**", dialect.OpenAI, Pass, ByProvider, NoModel, nil, Endpoint{}},
	{"GET, POST, DELETE", "/v1/vector_stores/**", dialect.OpenAI, Pass, ByProvider, NoModel, nil, Endpoint{}},
	{"GET, POST, DELETE", "/v1/containers/**", dialect.OpenAI, Pass, ByProvider, NoModel, nil, Endpoint{}},
	{"GET, POST, DELETE", "/v1/skills/**", dialect.OpenAI, Pass, ByProvider, NoModel, nil, Endpoint{}},
	{"GET, POST", "/v1/content_provenance_checks/**", dialect.OpenAI, Pass, ByProvider, NoModel, nil, Endpoint{}},
	{"GET", "/v1/evals/**", dialect.OpenAI, Pass, ByProvider, NoModel, nil, Endpoint{}},
	{"POST, DELETE", "/v1/evals/**", dialect.OpenAI, Pass, Opaque, NoModel, nil, Endpoint{}},
	{"POST", "/v1/fine_tuning/jobs", dialect.OpenAI, Pass, ByModel, InBody, nil, Endpoint{}},
	{"GET", "/v1/fine_tuning/**", dialect.OpenAI, Pass, ByProvider, NoModel, nil, Endpoint{}},
	{"POST, DELETE", "/v1/fine_tuning/**", dialect.OpenAI, Pass, Opaque, NoModel, nil, Endpoint{}},
	{"POST", "/v1/assistants", dialect.OpenAI, Pass, ByModel, InBody, nil, Endpoint{}},
	{"POST", "/v1/assistants/*", dialect.OpenAI, Pass, ByModelWhereGiven, InBody, nil, Endpoint{}},
	{"GET, DELETE", "/v1/assistants/**", dialect.OpenAI, Pass, ByProvider, NoModel, nil, Endpoint{}},
	{"POST", "/v1/threads/runs", dialect.OpenAI, Pass, ByModelOrDefault, InBody, nil, Endpoint{}},
	{"POST", "/v1/threads/*/runs", dialect.OpenAI, Pass, ByModelOrDefault, InBody, nil, Endpoint{}},
	{"GET, POST, DELETE", "/v1/threads/**", dialect.OpenAI, Pass, ByProvider, NoModel, nil, Endpoint{}},
	{"GET, POST, DELETE", "/v1/chatkit/**", dialect.OpenAI, Pass, Opaque, NoModel, nil, Endpoint{}},

	// Anthropic.
	{"POST", "/v1/messages", dialect.Anthropic, Generate, ByModel, InBody, nil, Endpoint{}},
	{"POST", "/v1/messages/count_tokens", dialect.Anthropic, CountTokens, ByModel, InBody, nil, Endpoint{}},
	{"POST", "/v1/messages/batches", dialect.Anthropic, Pass, Opaque, NoModel, nil, Endpoint{}},
	{"GET, POST, DELETE", "/v1/messages/batches/**", dialect.Anthropic, Pass, ByProvider, NoModel, nil, Endpoint{}},
	{"POST", "/v1/complete", dialect.Anthropic, Pass, ByModel, InBody, nil, Endpoint{}},

	// Models. Gemini's v1 API has methods below the model name too.
	{"GET", "/v1/models", dialect.OpenAI, ListModels, ByProvider, NoModel, nil, Endpoint{}},
	{"GET", "/v1/models/**", dialect.OpenAI, GetModel, ByModel, InPath, nil, Endpoint{}},
	{"POST", "/v1/models/**", dialect.Gemini, Generate, ByModel, InPath, nil, Endpoint{}},
	{"DELETE", "/v1/models/**", dialect.OpenAI, Pass, ByModel, InPath, nil, Endpoint{}},

	// Account administration, and hosted agents, which act with the account's rights.
	{anyMethod, "/v1/organization/**", dialect.OpenAI, Pass, Refused, NoModel, nil, Endpoint{}},
	{anyMethod, "/v1/organizations/**", dialect.OpenAI, Pass, Refused, NoModel, nil, Endpoint{}},
	{anyMethod, "/v1/projects/**", dialect.OpenAI, Pass, Refused, NoModel, nil, Endpoint{}},
	{anyMethod, "/v1/dashboard/**", dialect.OpenAI, Pass, Refused, NoModel, nil, Endpoint{}},
	{anyMethod, "/v1/admin/**", dialect.OpenAI, Pass, Refused, NoModel, nil, Endpoint{}},
	{anyMethod, "/v1/agents/**", dialect.Anthropic, Pass, Refused, NoModel, nil, Endpoint{}},
	{anyMethod, "/v1/sessions/**", dialect.Anthropic, Pass, Refused, NoModel, nil, Endpoint{}},
	{anyMethod, "/v1/environments/**", dialect.Anthropic, Pass, Refused, NoModel, nil, Endpoint{}},
	{anyMethod, "/v1/vaults/**", dialect.Anthropic, Pass, Refused, NoModel, nil, Endpoint{}},
	{anyMethod, "/v1/memory_stores/**", dialect.Anthropic, Pass, Refused, NoModel, nil, Endpoint{}},

	// Unknown paths: allowed for tokens that are not limited to certain models.
	{anyMethod, "/v1/**", dialect.OpenAI, Pass, Opaque, InBody, nil, Endpoint{}},

	// Gemini.
	{"GET", "/v1beta/models", dialect.Gemini, ListModels, ByProvider, NoModel, nil, Endpoint{}},
	{"GET", "/v1beta/models/**", dialect.Gemini, GetModel, ByModel, InPath, nil, Endpoint{}},
	{"POST", "/v1beta/models/**", dialect.Gemini, Generate, ByModel, InPath, nil, Endpoint{}},
	{"POST", "/v1beta/cachedContents", dialect.Gemini, Pass, ByModel, InBody, nil, Endpoint{}},
	{"GET, PATCH, DELETE", "/v1beta/cachedContents/**", dialect.Gemini, Pass, ByProvider, NoModel, nil, Endpoint{}},
	{"GET, POST, DELETE", "/v1beta/files/**", dialect.Gemini, Pass, ByProvider, NoModel, nil, Endpoint{}},
	{"GET, POST, PUT", "/upload/v1beta/files/**", dialect.Gemini, Pass, ByProvider, NoModel, nil, Endpoint{}},
	{"GET, POST, PUT", "/upload/v1beta/**", dialect.Gemini, Pass, Opaque, NoModel, nil, Endpoint{}},
	{"GET, DELETE", "/v1beta/operations/**", dialect.Gemini, Pass, ByProvider, NoModel, nil, Endpoint{}},
	{"GET, POST, PATCH, DELETE", "/v1beta/fileSearchStores/**", dialect.Gemini, Pass, ByProvider, NoModel, nil, Endpoint{}},
	{anyMethod, "/v1beta/**", dialect.Gemini, Pass, Opaque, InBody, nil, Endpoint{}},

	// Ollama.
	{"POST", "/api/chat", dialect.Ollama, Generate, ByModel, InBody, nil, Endpoint{}},
	{"POST", "/api/generate", dialect.Ollama, Generate, ByModel, InBody, nil, Endpoint{}},
	{"POST", "/api/embed", dialect.Ollama, Generate, ByModel, InBody, nil, Endpoint{}},
	{"POST", "/api/embeddings", dialect.Ollama, Generate, ByModel, InBody, nil, Endpoint{}},
	{"GET, HEAD", "/api/tags", dialect.Ollama, Metadata, ByProvider, NoModel, nil, Endpoint{}},
	{"POST", "/api/show", dialect.Ollama, Metadata, ByProvider, NoModel, nil, Endpoint{}},
	{"GET, HEAD", "/api/ps", dialect.Ollama, Metadata, ByProvider, NoModel, nil, Endpoint{}},
	{"GET, HEAD", "/api/version", dialect.Ollama, Metadata, ByProvider, NoModel, nil, Endpoint{}},
})

// exact maps a pattern without wildcards to its rows. Nearly every request matches one.
var exact = func() map[string][]*row {
	m := map[string][]*row{}
	for _, group := range table {
		for _, r := range group {
			if !strings.Contains(r.pattern, "*") {
				m[r.pattern] = append(m[r.pattern], r)
			}
		}
	}
	return m
}()

// compile splits the patterns into segments and groups the rows by their first two
// segments. Such a group takes precedence over the rows of a whole version.
func compile(lines []row) map[string][]*row {
	m := map[string][]*row{}
	for i := range lines {
		r := &lines[i]
		r.segments = strings.Split(r.pattern[1:], "/")
		r.endpoint = Endpoint{Kind: r.kind, Scope: r.scope, ModelAt: r.model, Dialect: r.dialect, Pattern: r.pattern, Methods: r.methods, Path: r.pattern}
		if r.dialect != dialect.Ollama {
			r.endpoint.Path = r.pattern[1+len(r.segments[0]):]
		}
		key := group(r.segments)
		m[key] = append(m[key], r)
	}
	return m
}

func group(segments []string) string {
	if len(segments) == 1 || segments[1] == "**" {
		return segments[0]
	}
	return segments[0] + "/" + segments[1]
}

func (r *row) matches(path []string) bool {
	for i, want := range r.segments {
		if want == "**" {
			return i > 1 || len(path) > i
		}
		if i >= len(path) || want != "*" && want != path[i] || path[i] == "" {
			return false
		}
	}
	return len(path) == len(r.segments)
}

func (r *row) allows(method string) bool {
	if r.methods == method {
		return true
	}
	return slices.Contains(strings.Split(r.methods, ", "), method) || method == "HEAD" && r.kind != WebSocket && r.allows("GET")
}
