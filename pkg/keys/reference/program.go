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

// failure describes a failed program without any of its output.
type failure struct {
	program string
	what    string
}

func (f *failure) Error() string { return f.program + " " + f.what }

// execute runs a program without a shell and returns its standard output. The program has
// no terminal and an empty standard input, so it fails if it asks for anything. After
// limit it is killed with its descendants.
func execute(argv, environ []string, limit time.Duration) (string, error) {
	program := filepath.Base(argv[0])
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	path, err := lookPath(argv[0], environ)
	if err != nil {
		return "", &failure{program, "was not found in the daemon's PATH"}
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
		return "", &failure{program, fmt.Sprintf("did not finish within %s", limit)}
	case err == nil || errors.Is(err, exec.ErrWaitDelay): // a child process still holds the pipe
		return out.text.String(), nil
	case errors.As(err, &exit) && exit.Exited():
		return "", &failure{program, fmt.Sprintf("exited with status %d", exit.ExitCode())}
	case errors.As(err, &exit):
		return "", &failure{program, "was killed by a signal"}
	}
	return "", &failure{program, "cannot be run"}
}

// maxOutput is the maximum output of a program in bytes.
const maxOutput = 64 << 10

// output collects a program's output and kills the program if there is too much.
type output struct {
	text     bytes.Buffer // not embedded: its ReadFrom would bypass Write
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

// lookPath finds a program in the PATH of environ.
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

// withoutOurs removes the variables that the service manager set for the daemon only.
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

// bitwarden returns the command that reads a field of an item. The standard fields have a
// command of their own; custom fields are picked from the whole item.
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
