package daemon

import "runtime"

// heapFloor is how much the heap may hold before it is worth collecting. What
// lives in this process is small, so that by its size alone the collector would
// run tens of times a second under load.
const heapFloor = 8 << 20

// raiseHeap makes the collector's goal never less than twice heapFloor, until
// release is called. The memory it holds for that is never touched and so is
// none of the machine's (a limit as of debug.SetMemoryLimit would not do: large
// bodies may exceed any).
func raiseHeap() (release func()) {
	floor := make([]byte, heapFloor)
	return func() { runtime.KeepAlive(floor) }
}
