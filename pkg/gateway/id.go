package gateway

import (
	"strconv"
	"sync/atomic"
)

// requestIDs generates request IDs: a random prefix for each gateway and a counter. It is
// safe for concurrent use.
type requestIDs struct {
	prefix string
	n      atomic.Uint64
}

func (r *requestIDs) next() string {
	var buf [40]byte
	return string(strconv.AppendUint(append(append(buf[:0], r.prefix...), '-'), r.n.Add(1), 36))
}
