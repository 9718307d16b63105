package openai_test

import (
	"encoding/json"
	"testing"

	"github.com/hostless/hostless/pkg/dialect/openai"
)

func TestMessageTextInEveryForm(t *testing.T) {
	for _, tt := range []struct{ name, in, text, thought string }{
		{"text", `{"content":"a\u00e9"}`, `"a\u00e9"`, ""},
		{"empty", `{"content":"","reasoning_content":""}`, "", ""},
		{"null", `{"content":null,"reasoning":null}`, "", ""},
		{"none", `{}`, "", ""},
		{"thinking", `{"content":"a","reasoning_content":"t"}`, `"a"`, `"t"`},
		{"the other name", `{"reasoning":"t"}`, "", `"t"`},
		{"both words", `{"reasoning_content":"t","reasoning":"t"}`, "", `"t"`},
		{"an object instead of a name", `{"content":"a","reasoning":{"x":1}}`, `"a"`, ""},
		{"parts", `{"content":[{"type":"thinking","thinking":[{"type":"text","text":"t1"},{"type":"text","text":"t2"}]},{"type":"text","text":"a"},{"type":"text","text":"<b>"}]}`, `"a<b>"`, `"t1t2"`},
		{"no parts", `{"content":[1]}`, "", ""},
	} {
		var s struct{ openai.MessageText }
		if err := json.Unmarshal([]byte(tt.in), &s); err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		if text, thought := string(s.Text()), string(s.Thought()); text != tt.text || thought != tt.thought {
			t.Errorf("%s: %s %s, want %s %s", tt.name, text, thought, tt.text, tt.thought)
		}
	}
}
