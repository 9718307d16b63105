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

// announcement holds the content, by path, of hostless.port and hostless.pid, by which
// other programs find the daemon: a number and a newline each.
type announcement map[string]string // path: content

// announce writes the files, replacing those that a killed daemon has left. The file with
// the path of the control socket is kept when the daemon ends, since a service manager may
// hold that socket.
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

// withdraw removes the files unless another daemon has replaced them.
func (a announcement) withdraw() {
	for path, content := range a {
		if found, err := os.ReadFile(path); err == nil && string(found) == content {
			os.Remove(path)
		}
	}
}

// orphanTime is how long to wait for the lock of a daemon that has ended.
const orphanTime = 2 * time.Second

// lockHome locks the home for this daemon. The error names the daemon that holds the lock.
func lockHome(paths config.Paths) (*listen.Lock, error) {
	lock, err := listen.Acquire(paths.Lock())
	// A child that a killed daemon was starting holds its descriptors until it calls exec.
	for end := time.Now().Add(orphanTime); errors.Is(err, listen.ErrLocked) && !procinfo.Alive(number(paths.PID())) && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
		lock, err = listen.Acquire(paths.Lock())
	}
	if !errors.Is(err, listen.ErrLocked) {
		if err == nil { // the daemon of these files was killed
			os.Remove(paths.PID())
			os.Remove(paths.Port())
		}
		return lock, err
	}
	who := "is starting or stopping"
	pid, port := number(paths.PID()), number(paths.Port())
	if pid != 0 && port != 0 {
		who = fmt.Sprintf("is already running (pid %d, port %d)", pid, port)
	}
	return nil, &fault.Error{Kind: fault.Conflict, Message: fmt.Sprintf("a daemon for %s %s", paths.Home, who), Next: "hostless status, or hostless stop first", Err: err}
}

// number reads a file that announce wrote; 0 if there is none.
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
