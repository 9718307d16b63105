package procinfo

import (
	"net"
	"strconv"
	"time"
)

// Variable always returns "": macOS shows a process's environment only to debuggers.
func Variable(pid int, name string) string { return "" }

// Listening reports whether a process listens on a loopback TCP port.
func Listening(port int) bool {
	conn, err := net.DialTimeout("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), 200*time.Millisecond)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}
