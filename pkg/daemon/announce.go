package daemon

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/hostless/hostless/pkg/config"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/listen"
	"github.com/hostless/hostless/pkg/procinfo"
)

// announcement is hostless.port and hostless.pid, by which other programs find
// the daemon: one number and a newline each.
type announcement map[string]string // path: content

// announce writes the files; those that a killed daemon left are replaced. The
// word of where the control socket is stays: a manager may hold it.
func announce(paths config.Paths, port int) (announcement, error) {
	if err := paths.Point(); err != nil {
		return nil, err
	}
	a := announcement{paths.PID(): fmt.Sprintln(os.Getpid()), paths.Port(): fmt.Sprintln(port)}
	for _, path := range []string{paths.PID(), paths.Port()} {
		if err := config.WritePrivate(path, []byte(a[path])); err != nil {
			a.withdraw()
			return nil, err
		}
	}
	return a, nil
}

// withdraw removes the files that are still as announce wrote them.
func (a announcement) withdraw() {
	for path, content := range a {
		if found, err := os.ReadFile(path); err == nil && string(found) == content {
			os.Remove(path)
		}
	}
}

// orphanTime is how long a lock of a daemon that is no more is waited for.
const orphanTime = 2 * time.Second

// lockHome makes this daemon the only one of its home. The error says who runs.
func lockHome(paths config.Paths) (*listen.Lock, error) {
	lock, err := listen.Acquire(paths.Lock())
	// A child that a killed daemon was just starting holds its descriptors until it
	// has become another program.
	for end := time.Now().Add(orphanTime); errors.Is(err, listen.ErrLocked) && !procinfo.Alive(number(paths.PID())) && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
		lock, err = listen.Acquire(paths.Lock())
	}
	if !errors.Is(err, listen.ErrLocked) {
		if err == nil { // the daemon named in these files did not end in order
			os.Remove(paths.PID())
			os.Remove(paths.Port())
		}
		return lock, err
	}
	who := "is starting or stopping"
	pid, port := number(paths.PID()), number(paths.Port())
	if pid != 0 && port != 0 {
		who = fmt.Sprintf("runs already (pid %d, port %d)", pid, port)
	}
	return nil, &fault.Error{Kind: fault.Conflict, Message: fmt.Sprintf("a daemon for %s %s", paths.Home, who), Next: "hostless status", Err: err}
}

// number reads a file that announce wrote; 0 where there is none.
func number(path string) int {
	data, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		return 0
	}
	return n
}
