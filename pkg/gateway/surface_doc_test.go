package gateway

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/hostless/hostless/pkg/dialect"
)

// TestDocumentedSurfaces holds the table of docs/proxy-api.md against the one
// that is served by: each line stands in both.
func TestDocumentedSurfaces(t *testing.T) {
	doc, err := os.ReadFile("../../docs/proxy-api.md")
	if err != nil {
		t.Fatal(err)
	}
	places := map[place]string{nowhere: "–", inBody: "body", inForm: "form or body", inPath: "path", inFrame: "query or messages"}
	limited := map[rule]string{
		byProvider: "allowed", byModel: "in scope", byModelIfAny: "given and in scope", byModelGiven: "in scope where given",
		opaque: "403", refused: "403, like every token",
	}
	tells := map[dialect.Name]string{dialect.OpenAI: "OpenAI", dialect.Responses: "OpenAI", dialect.Anthropic: "Anthropic", dialect.Gemini: "Gemini", dialect.Ollama: "Ollama"}
	served := map[string]bool{}
	for _, group := range table {
		for _, s := range group {
			rule := limited[s.rule]
			if s.kind == metadata {
				rule = "needs no token"
			}
			methods := s.methods
			if methods == anyMethod {
				methods = "any"
			}
			line := fmt.Sprintf("| %s | `%s` | %s | %s | %s |", methods, s.pattern, places[s.model], rule, tells[s.speaks])
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
