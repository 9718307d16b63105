package procinfo

import "sort"

// Listener is a TCP port on which a process of a tree accepts connections that
// loopback reaches.
type Listener struct {
	Port  int
	PID   int
	Depth int // of the process, as in Process
}

// sortListeners puts the likeliest app first: the shallowest process, then the
// lowest port.
func sortListeners(found []Listener) {
	sort.Slice(found, func(i, j int) bool {
		if found[i].Depth != found[j].Depth {
			return found[i].Depth < found[j].Depth
		}
		return found[i].Port < found[j].Port
	})
}
