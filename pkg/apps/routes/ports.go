package routes

import (
	"errors"
	"net"
	"strconv"
	"syscall"
	"time"

	"github.com/hostless/hostless/pkg/fault"
)

// The range that apps get their ports from, and how long one stays promised to
// an app that has not opened it.
const (
	firstPort   = 4000
	lastPort    = 4999
	reservation = 2 * time.Minute
)

// blocked are the ports that browsers refuse (WHATWG Fetch, "port blocking",
// https://fetch.spec.whatwg.org/#port-blocking), from 1024 up.
var blocked = map[int]bool{
	1719: true, 1720: true, 1723: true, 2049: true, 3659: true, 4045: true, 4190: true, 5060: true, 5061: true,
	6000: true, 6566: true, 6665: true, 6666: true, 6667: true, 6668: true, 6669: true, 6679: true, 6697: true, 10080: true,
}

// owned are the ports in and around the range that other tools open by default, and
// that they must find free when they start later: Nuxt Content's socket and
// Phoenix (4000), IPFS (4001), Spark and ngrok's page (4040), Vite's preview
// (4173), Angular (4200), OpenTelemetry (4317, 4318), Astro (4321), Sinatra (4567), LocalStack (4566), Selenium (4444), Verdaccio (4873), Drizzle
// Studio (4983), NATS (4222), Erlang's port mapper (4369).
var owned = map[int]bool{
	4000: true, 4001: true, 4040: true, 4173: true, 4200: true, 4222: true, 4317: true, 4318: true, 4321: true, 4369: true,
	4444: true, 4566: true, 4567: true, 4873: true, 4983: true,
}

// reserve picks a port for an app: the one it had, else one of the range at
// random, else one of the system's choice.
func (t *Table) reserve(name string) (int, error) {
	candidates := []int{}
	if port := t.disk.port(name); port != 0 {
		candidates = append(candidates, port)
	}
	for range 200 {
		candidates = append(candidates, pick(firstPort, lastPort))
	}
	for _, port := range candidates {
		if t.tryReserve(port, name) {
			return port, nil
		}
	}
	for range 50 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			break
		}
		port := l.Addr().(*net.TCPAddr).Port
		l.Close()
		if t.tryReserve(port, name) {
			return port, nil
		}
	}
	return 0, fault.New(fault.Internal, "no free port was found for the app")
}

// tryReserve reserves a port if nobody has it or was promised it.
func (t *Table) tryReserve(port int, name string) bool {
	if blocked[port] || owned[port] || !free(port) {
		return false
	}
	now := t.cfg.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if until, ok := t.reserved[port]; ok && now.Before(until) {
		return false
	}
	for _, r := range t.routes {
		if t := r.CurrentTarget(); t.Local() && t.Port() == port {
			return false
		}
	}
	t.reserved[port] = now.Add(reservation)
	t.disk.remember(name, port)
	return true
}

// releaseReservation ends a reservation: its app has the port.
func (t *Table) releaseReservation(port int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.reserved, port)
}

// free reports whether a port can be bound on both loopback addresses. A machine
// without IPv6 has only one.
func free(port int) bool {
	for _, host := range []string{"127.0.0.1", "::1"} {
		l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
		if err != nil {
			if host == "::1" && !errors.Is(err, syscall.EADDRINUSE) {
				continue
			}
			return false
		}
		l.Close()
	}
	return true
}
