package dialect_test

import (
	"strings"
	"testing"

	"github.com/hostless/hostless/pkg/dialect"
)

func TestErrorText(t *testing.T) {
	for body, want := range map[string]string{
		`{"object":"error","message":"no such model","code":40401}`:                   "no such model",
		`{"detail":"Not Found"}`:                                                      "Not Found",
		`{"detail":[{"loc":["body","x"],"msg":"field required"},{"msg":"too long"}]}`: "field required; too long",
		`{"error":"flat"}`:                    "flat",
		`{"error":{"message":"within"}}`:      "within",
		`{"error":null,"message":"m"}`:        "m",
		`{"error_description":"expired"}`:     "expired",
		`{}`:                                  "",
		`[]`:                                  "[]",
		" upstream timed out\n":               "upstream timed out",
		"<html>bad gateway</html>":            "",
		strings.Repeat("x", 3000):             "",
		"\xff":                                "\ufffd",
		`{"message":"a","message":"b"} extra`: `{"message":"a","message":"b"} extra`,
		"":                                    "",
	} {
		if got := dialect.ErrorText([]byte(body)); got != want {
			t.Errorf("ErrorText(%.60s) = %q, want %q", body, got, want)
		}
	}
}
