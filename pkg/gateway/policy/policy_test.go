package policy_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/gateway/body"
	"github.com/hostless/hostless/pkg/gateway/policy"
	"github.com/hostless/hostless/pkg/provider"
	"github.com/hostless/hostless/pkg/token"
)

func resolve(model string) (provider.Target, error) { return provider.Default().Route(model, nil), nil }

func parse(t *testing.T, text string) *body.Body {
	t.Helper()
	b, err := body.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestAllow(t *testing.T) {
	scope := token.Scope{Providers: []string{"openai"}, Models: []string{"gpt-4o*"}}
	if err := policy.Allow(scope, "openai", "gpt-4o-mini"); err != nil {
		t.Error(err)
	}
	if err := policy.Allow(scope, "openai", ""); err != nil {
		t.Error(err)
	}
	for _, to := range [][2]string{{"anthropic", ""}, {"openai", "o3"}} {
		if err := policy.Allow(scope, to[0], to[1]); !fault.Is(err, fault.Scope) {
			t.Errorf("%v: %v", to, err)
		}
	}
}

func TestModelRefs(t *testing.T) {
	deep := `{"model":"m","method":` + strings.Repeat(`{"a":`, 100) + `1` + strings.Repeat(`}`, 100) + `}`
	for text, want := range map[string]string{
		`{"model":"m","messages":[{"model":"x","tools":[{"model":"y"}]}]}`:                                               `[]`,
		`{"model":"m","tools":[{"type":"a","model":"x"},{"parameters":{"model":"y"}},{"MODEL":"z","mod\u0065l":"w"},7]}`: `[{x tools} {z tools} {w tools}]`,
		`{"tools":null,"Tools":[{"model":""},{"model":null},{"model":1}]}`:                                               `[]`,
		`{"method":{"a":[{"model":"x"}],"b":{"model":"y"},"model":"z"}}`:                                                 `[{z method} {x method} {y method}]`,
		`{"models":["a"]}`:                   `scope_error`,
		`{"Fallbacks":[]}`:                   `scope_error`,
		`{"tools":{"model":"x"}}`:            `invalid_request_error`,
		`{"tools":[{"model":"x"},]}`:         `invalid_request_error`,
		`{"tools":[{"model":"gpt\-image"}]}`: `invalid_request_error`,
		`{"tools":[{"mode\l":"x"}]}`:         `invalid_request_error`,
		`{"method":[1 2]}`:                   `invalid_request_error`,
		deep:                                 `invalid_request_error`,
	} {
		refs, err := policy.ModelRefs(parse(t, text).Holders)
		got := fmt.Sprint(refs)
		if err != nil {
			got = fault.From(err).Kind.Type()
		}
		if got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
}

func TestAuthorize(t *testing.T) {
	scope := token.Scope{Models: []string{"gpt-4o-mini"}}
	for text, kind := range map[string]fault.Kind{
		`{"model":"gpt-4o-mini","tools":[{"model":"gpt-4o-mini"}]}`:     0,
		`{"model":"gpt-4o-mini","tools":[{"model":"gpt-image-1"}]}`:     fault.Scope,
		`{"model":"gpt-4o-mini","Model":"gpt-4o-mini"}`:                 fault.Invalid,
		`{"model":"gpt-4o-mini","model":"openai/gpt-4o-mini"}`:          fault.Invalid,
		`{"model":"gpt-4o-mini","m\u006fdel":"gpt-4o-mini","tools":[]}`: 0,
	} {
		err := policy.Authorize(scope, parse(t, text), resolve)
		if kind == 0 && err != nil || kind != 0 && !fault.Is(err, kind) {
			t.Errorf("%s: %v, want kind %d", text, err, kind)
		}
	}
}

func TestAuthorizeGemini(t *testing.T) {
	for text, allowed := range map[string]bool{
		`{}`: true, `{"model":"models/gemini-2.5-flash"}`: true, `{"model":null}`: true,
		`{"model":"models/gemini-2.5-pro"}`: false, `{"requests":[{"model":1}]}`: false, `{"Model":"gemini-2.5-pro"}`: false,
		`{"requests":[{"model":"models/gemini-2.5-flash"},{}]}`:                     true,
		`{"requests":[{"model":"models/gemini-2.5-flash"},{"mod\u0065l":"other"}]}`: false,
		`{"generate_content_request":{"model":"other"}}`:                            false,
		`{"generateContentRequest":{"contents":[{"model":"other"}]}}`:               true,
	} {
		err := policy.AuthorizeGemini(parse(t, text), "gemini-2.5-flash", resolve)
		if (err == nil) != allowed {
			t.Errorf("%s: %v, want allowed: %v", text, err, allowed)
		}
	}
}
