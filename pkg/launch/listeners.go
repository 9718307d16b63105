package launch

import "sort"

// listener is a TCP port on which a process of the tree accepts.
type listener struct {
	port  int
	depth int // of the process below the run: the app itself is 1
}

// sortListeners puts the likeliest app first: the shallowest process, then the
// lowest port.
func sortListeners(found []listener) {
	sort.Slice(found, func(i, j int) bool {
		if found[i].depth != found[j].depth {
			return found[i].depth < found[j].depth
		}
		return found[i].port < found[j].port
	})
}
