package reference

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// failure is what went wrong with a program, in words that hold none of its output.
type failure struct {
	program string
	what    string
}

func (f *failure) Error() string { return f.program + " " + f.what }

// execute runs a program without a shell and gives its standard output. It has
// no terminal and an empty standard input, so that one that would ask a question
// fails; after limit it is killed with all that it started.
func execute(argv, environ []string, limit time.Duration) (string, error) {
	program := filepath.Base(argv[0])
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	path, err := lookPath(argv[0], environ)
	if err != nil {
		return "", &failure{program, "is not in the daemon's PATH"}
	}
	cmd := exec.CommandContext(ctx, path, argv[1:]...)
	cmd.Args[0] = argv[0]
	cmd.Env = withoutOurs(environ)
	cmd.Dir = "/"
	out := &output{full: cancel}
	cmd.Stdout = out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	err = cmd.Run()
	var exit *exec.ExitError
	switch {
	case out.overflow:
		return "", &failure{program, fmt.Sprintf("printed more than %d bytes", maxOutput)}
	case ctx.Err() != nil:
		return "", &failure{program, fmt.Sprintf("did not answer within %s", limit)}
	case err == nil || errors.Is(err, exec.ErrWaitDelay): // a child of its own holds the pipe
		return out.text.String(), nil
	case errors.As(err, &exit) && exit.Exited():
		return "", &failure{program, fmt.Sprintf("ended with exit status %d", exit.ExitCode())}
	case errors.As(err, &exit):
		return "", &failure{program, "was ended by a signal"}
	}
	return "", &failure{program, "cannot be run"}
}

// maxOutput bounds what a program may print.
const maxOutput = 64 << 10

// output keeps what a program prints, and has it ended when it is too much.
type output struct {
	text     bytes.Buffer // not embedded: its ReadFrom would go round Write
	full     func()
	overflow bool
}

func (o *output) Write(p []byte) (int, error) {
	if o.overflow || o.text.Len()+len(p) > maxOutput {
		o.overflow = true
		o.full()
		return 0, errors.New("too much output")
	}
	return o.text.Write(p)
}

// lookPath finds a program in the PATH that the programs get.
func lookPath(name string, environ []string) (string, error) {
	if strings.ContainsRune(name, '/') {
		return exec.LookPath(name)
	}
	for _, kv := range environ {
		if list, ok := strings.CutPrefix(kv, "PATH="); ok {
			for _, dir := range filepath.SplitList(list) {
				if !filepath.IsAbs(dir) {
					continue
				}
				if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
					return path, nil
				}
			}
		}
	}
	return "", exec.ErrNotFound
}

// withoutOurs drops what the service manager gave the daemon alone.
func withoutOurs(environ []string) (out []string) {
	for _, kv := range environ {
		switch name, _, _ := strings.Cut(kv, "="); name {
		case "NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "WATCHDOG_USEC", "WATCHDOG_PID", "CREDENTIALS_DIRECTORY":
		default:
			out = append(out, kv)
		}
	}
	return out
}

// bitwarden gives the command that reads a field of an item: of the fields that bw
// knows by name directly, of one of a person's own out of the item.
func bitwarden(id, field string) (argv []string, pick func(string) (string, error)) {
	switch field {
	case "password", "username", "notes", "totp", "uri":
		return []string{"bw", "get", field, id, "--nointeraction", "--raw"}, func(out string) (string, error) { return out, nil }
	}
	return []string{"bw", "get", "item", id, "--nointeraction"}, func(out string) (string, error) {
		var item struct {
			Fields []struct{ Name, Value string }
		}
		if json.Unmarshal([]byte(out), &item) != nil {
			return "", &failure{"bw", "did not print an item"}
		}
		for _, f := range item.Fields {
			if f.Name == field {
				return f.Value, nil
			}
		}
		return "", &failure{"bw", fmt.Sprintf("has no field %q in this item", field)}
	}
}
