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

// owned are the ports of the range that other tools open by default, and that they
// must find free when they start later.
var owned = ownedPorts(
	4000, 4001, 4002, 4003, 4004, 4005, // Phoenix, Firebase's and Nuxt Content's pages; IPFS and rqlite; SAP CAP; dev servers' second ones
	4010, 4011, // Prism's mock server
	4040, 4041, 4042, 4043, // ngrok's and Spark's pages
	4080, 4090, // Firebase's and Kong's consoles
	4096,       // opencode
	4100, 4111, // Firebase's data; Mastra
	4140, 4143, 4191, // Linkerd
	4150, 4151, 4160, 4161, 4170, 4171, // NSQ
	4173, 4174, // Vite's preview
	4180,             // oauth2-proxy
	4194,             // cAdvisor
	4200, 4201, 4211, // Angular; Nx's graph
	4222, 4223, // NATS
	4242, 4243, // Orthanc; Docker over TCP
	4280,             // Static Web Apps
	4317, 4318, 4319, // OpenTelemetry
	4321, 4322, 4323, // Astro
	4369,       // Erlang's port mapper
	4400, 4401, // Firebase's hub
	4433, 4443, // OpenSSL's s_server; https beside 443
	4442, 4444, 4445, // Selenium
	4466, 4467, // Prisma 1
	4500, 4501, // Firebase's logging
	4502, 4503, // Adobe Experience Manager
	4510, 4511, 4566, 4567, 4568, 4569, 4571, 4572, // LocalStack, Sinatra
	4600, 4646, 4647, 4648, // Nomad
	4723, 4724, // Appium
	4730,       // Gearman
	4822,       // Guacamole
	4840,       // OPC UA
	4848,       // GlassFish
	4873,       // Verdaccio
	4899,       // Radmin
	4943,       // dfx
	4949,       // Munin
	4983,       // Drizzle Studio
	4984, 4985, // Couchbase's gateway
)

func ownedPorts(ports ...int) map[int]bool {
	set := map[int]bool{}
	for _, port := range ports {
		set[port] = true
	}
	return set
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
