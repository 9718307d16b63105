package daemon

import "runtime"

// heapFloor is the heap size in bytes below which collecting is not worthwhile. The live
// heap of this process is small, so by its size the collector would run tens of times a
// second under load.
const heapFloor = 8 << 20

// raiseHeap keeps the collector's goal at twice heapFloor or more until release is called.
// The ballast that it allocates for that is never touched, so it uses no physical memory.
// debug.SetMemoryLimit is no alternative, since large bodies may exceed any limit.
func raiseHeap() (release func()) {
	floor := make([]byte, heapFloor)
	return func() { runtime.KeepAlive(floor) }
}
