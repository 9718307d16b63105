package routes

import (
	"errors"
	"net"
	"strconv"
	"syscall"
	"time"

	"github.com/hostless/hostless/pkg/fault"
)

// Range of the apps' ports, and how long one stays reserved for an app that has not
// opened it.
const (
	firstPort   = 4000
	lastPort    = 4999
	reservation = 2 * time.Minute
)

// blocked are the ports from 1024 up that browsers refuse (WHATWG Fetch, "port blocking",
// https://fetch.spec.whatwg.org/#port-blocking).
var blocked = map[int]bool{
	1719: true, 1720: true, 1723: true, 2049: true, 3659: true, 4045: true, 4190: true, 5060: true, 5061: true,
	6000: true, 6566: true, 6665: true, 6666: true, 6667: true, 6668: true, 6669: true, 6679: true, 6697: true, 10080: true,
}

// owned are the ports in the range that other tools open by default. They must be free
// when such a tool starts later.
var owned = ownedPorts(
	4000, 4001, 4002, 4003, 4004, 4005, // Phoenix, Firebase UI, Nuxt Content; IPFS and rqlite; SAP CAP; second dev servers
	4010, 4011, // Prism's mock server
	4040, 4041, 4042, 4043, // ngrok and Spark UIs
	4080, 4090, // Firebase Firestore, Kong
	4096,       // opencode
	4100, 4111, // Firebase Firestore; Mastra
	4140, 4143, 4191, // Linkerd
	4150, 4151, 4160, 4161, 4170, 4171, // NSQ
	4173, 4174, // vite preview
	4180,             // oauth2-proxy
	4194,             // cAdvisor
	4200, 4201, 4211, // Angular; Nx graph
	4222, 4223, // NATS
	4242, 4243, // Orthanc; Docker over TCP
	4280,             // Static Web Apps
	4317, 4318, 4319, // OpenTelemetry
	4321, 4322, 4323, // Astro
	4369,       // Erlang port mapper (epmd)
	4400, 4401, // Firebase hub
	4433, 4443, // OpenSSL s_server; alternative https
	4442, 4444, 4445, // Selenium
	4466, 4467, // Prisma 1
	4500, 4501, // Firebase logging
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
	4984, 4985, // Couchbase Sync Gateway
)

func ownedPorts(ports ...int) map[int]bool {
	set := map[int]bool{}
	for _, port := range ports {
		set[port] = true
	}
	return set
}

// reserve chooses a port for an app: its last one, or else a random one of the range, or
// else one chosen by the system.
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

// tryReserve reserves a port if it is free and not reserved for another app.
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

// releaseReservation ends a reservation, because the app has opened the port.
func (t *Table) releaseReservation(port int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.reserved, port)
}

// free reports whether a port can be bound on both loopback addresses. On a machine
// without IPv6 only 127.0.0.1 counts.
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
