package procinfo

import (
	"bytes"
	"os"
	"strconv"
)

// Variable returns a variable of the environment with which a process was started, or ""
// if it is not set or not readable.
func Variable(pid int, name string) string {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
	if err != nil {
		return ""
	}
	for entry := range bytes.SplitSeq(data, []byte{0}) {
		if value, ok := bytes.CutPrefix(entry, []byte(name+"=")); ok {
			return string(value)
		}
	}
	return ""
}

// Listening reports whether a process of any user listens on a TCP port that is reachable
// over loopback.
func Listening(port int) bool {
	for _, open := range openSockets() {
		if open == port {
			return true
		}
	}
	return false
}
