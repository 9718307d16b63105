package procinfo

import (
	"bytes"
	"os"
	"strconv"
)

// Variable is a variable of the environment that a process was started with, ""
// where it has none or may not be looked at.
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

// Listening reports whether some process, of whatever user, listens on a TCP port
// that loopback reaches.
func Listening(port int) bool {
	for _, open := range openSockets() {
		if open == port {
			return true
		}
	}
	return false
}
