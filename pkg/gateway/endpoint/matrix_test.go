package endpoint

import (
	"flag"
	"fmt"
	"os"
	"sort"
	"strings"
	"testing"

	"github.com/hostless/hostless/pkg/dialect"
)

var update = flag.Bool("update", false, "rewrite the endpoint matrix of docs/auth-and-security.md")

// matrixTests has, by endpoint kind, the tests in addition to TestEveryDocumentedPath,
// which covers all paths.
var matrixTests = map[Kind][]string{
	Chat:        {"TestEveryDialectOnEveryProvider matrix", "TestEventsAreFlushedOneByOne stream"},
	Embeddings:  {"TestEmbeddingsAndCounts matrix"},
	Generate:    {"TestEveryDialectOnEveryProvider matrix"},
	CountTokens: {"TestEmbeddingsAndCounts matrix"},
	ListModels:  {"TestModels gateway", "TestModelsInPages pages"},
	GetModel:    {"TestModels gateway"},
	WebSocket:   {"TestSocketScope socket"},
	Metadata:    {"TestOllamaMetadata matrix"},
}

// matrixTestsOf has the additional tests of single paths.
var matrixTestsOf = map[string][]string{
	"POST /v1/responses":                     {"TestNativeResponsesPass translate"},
	"GET /v1/responses":                      {"TestResponsesSocket socket", "TestBridgedSocket socket"},
	"GET /v1/realtime":                       {"TestRealtimePassesControlFramesAndSubprotocols socket"},
	"POST /v1/audio/transcriptions":          {"TestForms stream"},
	"DELETE /v1/models/**":                   {"TestDeleteModel gateway"},
	"GET, POST, DELETE /v1/files/**":         {"TestUploadsAreStreamed stream"},
	"POST /api/embed":                        {"TestEmbeddingsAndCounts matrix"},
	"POST /api/embeddings":                   {"TestEmbeddingsAndCounts matrix"},
	"GET, POST, PUT /upload/v1beta/files/**": {"TestGeminiUploadStaysHere matrix"},
}

// matrixRow formats a row of the endpoint table as a line of the matrix.
func matrixRow(r *row) string {
	auth := "token"
	switch {
	case r.kind == Metadata:
		auth = "none"
	case r.scope == Refused:
		auth = "refused"
	}
	streaming := "no"
	switch {
	case r.scope == Refused:
		streaming = "–"
	case r.kind == WebSocket:
		streaming = "messages"
	case strings.HasPrefix(r.pattern, "/api/embed"):
	case r.kind == Generate && r.dialect == dialect.Ollama:
		streaming = "NDJSON"
	case r.kind == Chat, r.kind == Completions, r.kind == Generate:
		streaming = "SSE"
	case r.kind == Pass:
		streaming = "as sent"
	}
	socket := "–"
	if r.kind == WebSocket {
		socket = "yes"
	}
	name := map[dialect.Name]string{
		dialect.OpenAI: "OpenAI", dialect.Responses: "OpenAI Responses", dialect.Anthropic: "Anthropic",
		dialect.Gemini: "Gemini", dialect.Ollama: "Ollama",
	}[r.dialect]
	tests := matrixTests[r.kind]
	if strings.HasPrefix(r.pattern, "/api/embed") {
		tests = nil
	}
	if r.scope == Refused {
		tests = []string{"TestAdministrationInDisguise callable"}
	}
	tests = append(tests[:len(tests):len(tests)], matrixTestsOf[r.methods+" "+r.pattern]...)
	links := make([]string, 0, len(tests))
	for _, test := range tests {
		function, file, _ := strings.Cut(test, " ")
		links = append(links, fmt.Sprintf("[%s](../pkg/gateway/%s_test.go)", function, file))
	}
	if len(links) == 0 {
		links = []string{"[TestEveryDocumentedPath](../pkg/gateway/documented_test.go)"}
	}
	methods := r.methods
	if methods == anyMethod {
		methods = "any"
	}
	return fmt.Sprintf("| %s | `%s` | %s | %s | %s | %s | %s |", methods, r.pattern, name, auth, streaming, socket, strings.Join(links, ", "))
}

// TestEndpointMatrix checks that the endpoint matrix of docs/auth-and-security.md
// has the rows of the table, and no others. -update rewrites it.
func TestEndpointMatrix(t *testing.T) {
	const (
		file = "../../../docs/auth-and-security.md"
		from = "<!-- endpoints: make docs -->\n"
		to   = "<!-- /endpoints -->\n"
	)
	doc, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(doc), from)
	written, after, closed := strings.Cut(rest, to)
	if !ok || !closed {
		t.Fatal("the endpoint matrix is missing")
	}
	var rows []*row
	for _, group := range table {
		rows = append(rows, group...)
	}
	sort.Slice(rows, func(i, j int) bool {
		if rows[i].pattern != rows[j].pattern {
			return rows[i].pattern < rows[j].pattern
		}
		return rows[i].methods < rows[j].methods
	})
	want := "\n| methods | path | dialect | auth | streaming | WebSocket | tested by |\n|---|---|---|---|---|---|---|\n"
	for _, r := range rows {
		want += matrixRow(r) + "\n"
	}
	want += "\n"
	if written == want {
		return
	}
	if !*update {
		t.Fatal("the endpoint matrix of docs/auth-and-security.md is out of date: run make docs")
	}
	if err := os.WriteFile(file, []byte(before+from+want+to+after), 0o644); err != nil {
		t.Fatal(err)
	}
}
