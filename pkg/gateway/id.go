package gateway

import (
	"strconv"
	"sync/atomic"
)

// requestIDs names requests: what a gateway chose at random when it was made, and a
// number. It is safe for concurrent use.
type requestIDs struct {
	prefix string
	n      atomic.Uint64
}

func (r *requestIDs) next() string {
	var buf [40]byte
	return string(strconv.AppendUint(append(append(buf[:0], r.prefix...), '-'), r.n.Add(1), 36))
}
