package dialect_test

import (
	"strings"
	"testing"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/jsonscan"
)

func TestToolSchema(t *testing.T) {
	const empty = `{"type":"object","properties":{}}`
	for in, want := range map[string]struct{ schema, rule string }{
		"":                           {schema: empty},
		"null":                       {schema: empty},
		"{}":                         {schema: empty},
		"true":                       {schema: empty},
		`{"type":"object"}`:          {schema: empty},
		`{"type":["object","null"]}`: {schema: empty},
		`{"properties":{"a":{}}}`:    {schema: `{"type":"object","properties":{"a":{}}}`},
		`{"type":"object","properties":null,"additionalProperties":false}`: {schema: `{"type":"object","properties":{},"additionalProperties":false}`},
		// A schema that needs no change keeps its bytes, white space included.
		`{ "type": "object", "properties": {"a":{"anyOf": [{"type":"string"}, {"type":"null"}]}} }`: {schema: `{ "type": "object", "properties": {"a":{"anyOf": [{"type":"string"}, {"type":"null"}]}} }`},
		`{"type":"object","properties":{"route":{"type":"string"},"file":{"oneOf":[{"type":"string"}]}},"anyOf":[{"required":["route"]},{"required":["file"]}]}`: {
			schema: `{"type":"object","properties":{"route":{"type":"string"},"file":{"oneOf":[{"type":"string"}]}}}`,
			rule:   `"anyOf":[{"required":["route"]},{"required":["file"]}]`,
		},
		`{"anyOf":[{"type":"object","properties":{"kind":{"const":"a"},"text":{}},"required":["kind","text"]},{"properties":{"kind":{"const":"b"},"url":{}},"required":["url","kind"]}]}`: {
			schema: `{"type":"object","properties":{"kind":{"anyOf":[{"const":"a"},{"const":"b"}]},"text":{},"url":{}},"required":["kind"]}`,
			rule:   `"anyOf"`,
		},
		`{"allOf":[{"$ref":"#/$defs/A"},{"properties":{"b":{}},"required":["b"]}],"$defs":{"A":{"properties":{"a":{}},"required":["a"]}}}`: {
			schema: `{"type":"object","properties":{"a":{},"b":{}},"$defs":{"A":{"properties":{"a":{}},"required":["a"]}},"required":["a","b"]}`,
			rule:   `"allOf"`,
		},
		`{"$ref":"#/definitions/A","definitions":{"A":{"type":"object","properties":{"a":{}}}}}`: {
			schema: `{"type":"object","properties":{"a":{}},"definitions":{"A":{"type":"object","properties":{"a":{}}}}}`,
		},
		`{"$ref":"#"}`: {schema: empty},
		`{"$ref":"#/$defs/A","$defs":{"A":{"$ref":"#/$defs/A"}}}`: {schema: `{"type":"object","properties":{},"$defs":{"A":{"$ref":"#/$defs/A"}}}`},
	} {
		schema, rule, ok := dialect.ToolSchema(jsonscan.Raw([]byte(in)))
		if got := string(schema.JSON()); !ok || got != want.schema || !strings.Contains(rule, want.rule) || (rule == "") != (want.rule == "") {
			t.Errorf("%s: %v\n got %s, %q\nwant %s, %q", in, ok, got, rule, want.schema, want.rule)
		}
	}
	for _, in := range []string{`"x"`, "[]", "1"} {
		if _, _, ok := dialect.ToolSchema(jsonscan.Raw([]byte(in))); ok {
			t.Errorf("%s is accepted as a schema", in)
		}
	}
}
