package vault

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	keyring "github.com/zalando/go-keyring"
)

// helperLife limits the life of a helper whose daemon has exited. It is longer than any
// call waits.
const helperLife = 90 * time.Second

// Helper is the main function of the helper process and returns its exit code. args are
// the arguments after HelperArg. Secrets are only passed over stdin and stdout, which are
// pipes to the daemon.
func Helper(args []string, stdin io.Reader, stdout, stderr io.Writer) (code int) {
	time.AfterFunc(helperLife, func() { os.Exit(exitCode(Broken)) })
	defer func() {
		if p := recover(); p != nil { // go-keyring does not validate the service's responses
			fmt.Fprintf(stderr, "panic of type %T", p)
			code = exitCode(Broken)
		}
	}()
	if len(args) != 3 {
		fmt.Fprint(stderr, "usage: get|set SERVICE ACCOUNT")
		return exitCode(Broken)
	}
	if !findBus() {
		return exitCode(Absent)
	}
	op, service, account := args[0], args[1], args[2]
	var err error
	switch op {
	case "get":
		var value string
		if value, err = keyring.Get(service, account); err == nil {
			_, err = io.WriteString(stdout, value)
		}
	case "set":
		var value []byte
		if value, err = io.ReadAll(io.LimitReader(stdin, maxItem)); err == nil {
			err = keyring.Set(service, account, string(value))
		}
	default:
		err = errors.New("unknown operation")
	}
	if err != nil {
		fmt.Fprint(stderr, err)
		return exitCode(classify(err))
	}
	return 0
}

func exitCode(r Reason) int {
	for code, reason := range exitReasons {
		if reason == r {
			return code
		}
	}
	return 1
}

// findBus reports whether there is a session bus, and sets its address in the
// environment. Without an address, the D-Bus library would try to start a bus.
func findBus() bool {
	if runtime.GOOS != "linux" {
		return true
	}
	switch address := os.Getenv("DBUS_SESSION_BUS_ADDRESS"); {
	case strings.HasPrefix(address, "disabled:"):
		return false
	case address != "" && address != "autolaunch:":
		return true
	}
	for _, dir := range []string{os.Getenv("XDG_RUNTIME_DIR"), "/run/user/" + strconv.Itoa(os.Getuid())} {
		bus := filepath.Join(dir, "bus")
		if info, err := os.Stat(bus); dir != "" && err == nil && info.Mode()&os.ModeSocket != 0 {
			os.Setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path="+bus)
			return true
		}
	}
	return false
}

// classify determines the reason from an error of go-keyring, whose only codes are D-Bus
// names. For security(1) there is only the text.
func classify(err error) Reason {
	if errors.Is(err, keyring.ErrNotFound) {
		return Missing
	}
	if errors.Is(err, keyring.ErrUnsupportedPlatform) {
		return Absent
	}
	text := strings.ToLower(err.Error())
	for _, known := range []struct {
		reason Reason
		words  []string
	}{
		{Dismissed, []string{"failed to unlock correct collection", "canceled", "cancelled", "dismissed", "exit status 128"}},
		{Denied, []string{"AccessDenied", "IsLocked", "locked", "denied", "exit status 36", "exit status 51", "AuthFailed"}},
		{Absent, []string{"ServiceUnknown", "not provided by any .service files", "NameHasNoOwner", "no such file or directory", "connection refused", "Spawn.", "executable file not found", "NoServer", "couldn't determine address"}},
	} {
		for _, w := range known.words {
			if strings.Contains(text, strings.ToLower(w)) {
				return known.reason
			}
		}
	}
	return Broken
}
