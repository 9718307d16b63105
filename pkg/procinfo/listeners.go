package procinfo

import "sort"

// Listener is a TCP port, reachable over loopback, on which a process of a tree listens.
type Listener struct {
	Port  int
	PID   int
	Depth int // depth of the process, as in Process
}

// sortListeners puts the most likely app first: the process with the lowest depth, then
// the lowest port.
func sortListeners(found []Listener) {
	sort.Slice(found, func(i, j int) bool {
		if found[i].Depth != found[j].Depth {
			return found[i].Depth < found[j].Depth
		}
		return found[i].Port < found[j].Port
	})
}
