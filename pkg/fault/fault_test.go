package fault_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/hostless/hostless/pkg/fault"
)

func TestEveryKindHasARow(t *testing.T) {
	for kind := fault.Internal; kind <= fault.Usage; kind++ {
		if kind.Status() < 400 || kind.Type() == "" || kind.Exit() == 0 {
			t.Errorf("kind %d: status %d, type %q, exit %d", kind, kind.Status(), kind.Type(), kind.Exit())
		}
		if got := fault.KindOf(kind.Status(), kind.Type()); got != kind {
			t.Errorf("KindOf(%d, %q) = %d, want %d", kind.Status(), kind.Type(), got, kind)
		}
	}
}

func TestFrom(t *testing.T) {
	cause := errors.New("open /private/path: denied")
	e := fault.From(fmt.Errorf("read key: %w", cause))
	if e.Kind != fault.Internal || strings.Contains(e.Error(), "private") || !errors.Is(e, cause) {
		t.Errorf("From(unknown) = %+v", e)
	}
	scope := &fault.Error{Kind: fault.Scope, Message: "no", Next: "hostless token create"}
	if got := fault.From(fmt.Errorf("call: %w", scope)); got != scope {
		t.Errorf("From(wrapped) = %+v", got)
	}
	if fault.From(nil) != nil || !fault.Is(fmt.Errorf("x: %w", scope), fault.Scope) || fault.Is(scope, fault.Origin) {
		t.Error("From(nil) or Is is wrong")
	}
}
