package endpoint

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/hostless/hostless/pkg/dialect"
)

// TestDocumentedSurfaces compares the table of docs/proxy-api.md with the endpoint table.
func TestDocumentedSurfaces(t *testing.T) {
	doc, err := os.ReadFile("../../../docs/proxy-api.md")
	if err != nil {
		t.Fatal(err)
	}
	places := map[ModelAt]string{NoModel: "–", InBody: "body", InForm: "form or body", InPath: "path", InMessages: "query or messages"}
	limited := map[Scope]string{
		ByProvider: "allowed", ByModel: "in scope", ByModelOrDefault: "given and in scope", ByModelWhereGiven: "in scope where given",
		Opaque: "403", Refused: "403, like every token",
	}
	tells := map[dialect.Name]string{dialect.OpenAI: "OpenAI", dialect.Responses: "OpenAI", dialect.Anthropic: "Anthropic", dialect.Gemini: "Gemini", dialect.Ollama: "Ollama"}
	served := map[string]bool{}
	for _, group := range table {
		for _, r := range group {
			scoped := limited[r.scope]
			if r.kind == Metadata {
				scoped = "needs no token"
			}
			methods := r.methods
			if methods == anyMethod {
				methods = "any"
			}
			line := fmt.Sprintf("| %s | `%s` | %s | %s | %s |", methods, r.pattern, places[r.model], scoped, tells[r.dialect])
			served[line] = true
			if !strings.Contains(string(doc), line+"\n") {
				t.Errorf("missing: %s", line)
			}
		}
	}
	_, rest, ok := strings.Cut(string(doc), "## Every path\n")
	if !ok {
		t.Fatal("there is no section of every path")
	}
	section, _, _ := strings.Cut(rest, "\n## ")
	for line := range strings.SplitSeq(section, "\n") {
		if strings.Contains(line, "| `/") && !served[line] {
			t.Errorf("not served so: %s", line)
		}
	}
}
