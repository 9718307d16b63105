package launch

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestEnvironmentOfAnInnerRun: what an outer run put into the environment is
// neither news nor the inner app's.
func TestEnvironmentOfAnInnerRun(t *testing.T) {
	outer := []string{"HOSTLESS_TOKEN=sk_local_outer", "OPENAI_API_KEY=sk_local_outer", "ANTHROPIC_API_KEY=sk_local_own", "GROQ_API_KEY=sk_local_outer"}
	ai := aiEnv{held: []string{"openai", "groq"}}
	env, changed, removed := childEnv{token: "sk_local_inner", gateway: "http://g", ai: ai}.build(outer)
	if len(changed)+len(removed) != 0 {
		t.Errorf("it is told that %v changed and %v went", changed, removed)
	}
	tokens := func(env []string) []string {
		return slices.DeleteFunc(env, func(v string) bool { return !strings.Contains(v, "=sk_local_") })
	}
	want := []string{"HOSTLESS_TOKEN=sk_local_inner", "OPENAI_API_KEY=sk_local_inner", "ANTHROPIC_API_KEY=sk_local_own"}
	if diff := cmp.Diff(want, tokens(env)); diff != "" {
		t.Errorf("with a token (-want +got):\n%s", diff)
	}
	env, _, _ = childEnv{gateway: "http://g", ai: ai}.build(outer)
	if diff := cmp.Diff([]string{"ANTHROPIC_API_KEY=sk_local_own"}, tokens(env)); diff != "" {
		t.Errorf("without a token (-want +got):\n%s", diff)
	}
}
