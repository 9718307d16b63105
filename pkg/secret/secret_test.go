package secret_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/hostless/hostless/pkg/secret"
)

const canary = "sk-canary-0123456789"

type holder struct {
	Key    secret.String
	hidden secret.String
}

func TestNoRenderingShowsTheText(t *testing.T) {
	s := secret.New(canary)
	h := holder{Key: s, hidden: s}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T"} {
		fmt.Fprintf(&out, verb+"\n", s)
		fmt.Fprintf(&out, verb+"\n", &s)
		fmt.Fprintf(&out, verb+"\n", h)
		fmt.Fprintf(&out, verb+"\n", []secret.String{s})
		fmt.Fprintf(&out, verb+"\n", map[string]secret.String{"k": s})
		fmt.Fprintf(&out, verb+"\n", fmt.Errorf("use %v", s))
	}
	slog.New(slog.NewTextHandler(&out, nil)).Info("m", "key", s, "holder", h)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("m", "key", s, "holder", h)
	data, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(data)
	for _, form := range []string{canary, fmt.Sprintf("%x", canary), fmt.Sprintf("%X", canary)} {
		if strings.Contains(out.String(), form) {
			t.Errorf("output shows the secret as %q:\n%s", form, out.String())
		}
	}
}

func TestRevealAndEqual(t *testing.T) {
	var zero secret.String
	s := secret.New(canary)
	if got := s.Reveal(); got != canary {
		t.Errorf("Reveal() = %q, want %q", got, canary)
	}
	if !zero.IsZero() || s.IsZero() || zero.String() != "" {
		t.Error("IsZero is wrong")
	}
	if !s.Equal(secret.New(canary)) || s.Equal(zero) {
		t.Error("Equal is wrong")
	}
	var back struct{ Key secret.String }
	if err := json.Unmarshal([]byte(`{"Key":"`+canary+`"}`), &back); err != nil || back.Key.Reveal() != canary {
		t.Errorf("unmarshal: %v, %q", err, back.Key.Reveal())
	}
}
