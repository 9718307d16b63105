// Package sdkgo runs the tests of test/sdk/go, which are a separate module, with the real
// binaries and stand-ins for the providers.
package sdkgo

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hostless/hostless/test/harness"
	"github.com/hostless/hostless/test/standin"
)

func TestMain(m *testing.M) { harness.Main(m) }

func TestGoSDK(t *testing.T) {
	if testing.Short() {
		t.Skip("the SDK is not fetched in a short run")
	}
	dir := filepath.Join(harness.Root(), "test", "sdk", "go")
	test := filepath.Join(t.TempDir(), "sdk.test")
	build := exec.CommandContext(t.Context(), "go", "test", "-c", "-o", test, ".")
	build.Dir = dir
	if out, err := build.CombinedOutput(); err != nil {
		fetching := exec.CommandContext(t.Context(), "go", "mod", "download")
		fetching.Dir = dir
		if fetching.Run() == nil {
			t.Fatalf("%v\n%s", err, out)
		}
		harness.Missing(t, "the SDK's modules cannot be downloaded: ", err)
	}
	d := harness.Start(t)
	stands := map[string]*standin.Server{
		"openai": standin.OpenAI(t, "sk-proj-canary-openai-000000000000"), "mine": standin.OpenAI(t, "key-of-mine-canary-0000000"),
		"anthropic": standin.Anthropic(t, "sk-ant-canary-0000000000000000"), "google": standin.Gemini(t, "AIzaCanary0000000000000000000000000000"),
	}
	for name, s := range stands {
		if r := d.CLIWith(s.Key, "keys", "add", name, "-", "--base-url", s.URL); r.Code != 0 {
			t.Fatalf("keys add %s: %s", name, r.Stderr)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, test, "-test.v")
	cmd.Dir = dir
	cmd.Env = append(d.Env, "HOSTLESS_API="+d.URL+"/v1", "HOSTLESS_TOKEN="+d.Must("token", "create", "--name", "sdk"),
		"HOSTLESS_SCOPED="+d.Must("token", "create", "--providers", "anthropic"), "HOSTLESS_WRONG=sk_local_wrong", "NO_PROXY=localhost,127.0.0.1")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestOtherSurfaces") {
		t.Errorf("%v\n%s", err, out)
	}
	for name, s := range stands {
		if strings.Contains(string(out)+d.Log(), s.Key) {
			t.Errorf("%s's key is in an output", name)
		}
		for _, seen := range s.Requests() {
			if !s.Authorized(seen) {
				t.Errorf("%s: %s %s was sent without the provider's key", name, seen.Method, seen.Path)
			}
		}
		if len(s.Generations()) == 0 {
			t.Errorf("%s never got a request", name)
		}
	}
}
