package launch

import (
	"context"
	"fmt"

	"github.com/hostless/hostless/pkg/fault"
)

// Run runs the command of c as an app of Hostless and returns its exit code:
// the child's own, 128+n where signal n ended it, 127 for a command that is not
// found, 126 for one that cannot be executed. An error is one of Hostless
// itself, a *fault.Error whose kind's exit code (or 126, 127) is the code that
// comes with it; nothing has been started then.
//
// With HOSTLESS=0 in the environment the command replaces this process, bare.
// The end of ctx ends the tree as a TERM does.
func Run(ctx context.Context, c Config) (code int, err error) {
	if len(c.Args) == 0 {
		err := &fault.Error{Kind: fault.Usage, Message: "no command to run", Next: "hostless run NAME -- CMD…"}
		return err.Kind.Exit(), err
	}
	return execBare(c)
}

func startError(name string, err error) error {
	return &fault.Error{Kind: fault.Internal, Message: fmt.Sprintf("%s: cannot be executed", name), Err: err}
}
