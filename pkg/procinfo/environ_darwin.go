package procinfo

import (
	"net"
	"strconv"
	"time"
)

// Variable is not supported: macOS shows a process's environment to debuggers alone.
func Variable(pid int, name string) string { return "" }

// Listening reports whether some process listens on a TCP port of loopback.
func Listening(port int) bool {
	conn, err := net.DialTimeout("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), 200*time.Millisecond)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}
