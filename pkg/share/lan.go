package share

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hostless/hostless/pkg/certs"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/mdns"
)

const (
	pollInterval = 3 * time.Second // how often the machine's addresses are polled
	portTries    = 20
	nameTries    = 9 // shop.local, then shop-2.local, … if other hosts have the names
	endGrace     = 2 * time.Second
)

// lan is one app on the local network.
type lan struct {
	cfg    Config
	scheme string
	front  *Front
	server *http.Server
	tls    *tls.Config // nil is plain HTTP only
	port   int
	cancel context.CancelFunc
	done   chan struct{}
	err    error // valid once done is closed

	mu        sync.Mutex
	host      string // the announced name, "" while there is none
	on        []mdns.Interface
	listeners map[netip.Addr]*gate
	name      *mdns.Name
}

// openLAN serves the front on this machine's addresses on the local network, and announces
// the app's name below .local.
func openLAN(ctx context.Context, c Config, app *url.URL, front *Front) (*lan, error) {
	if c.interfaces == nil {
		c.interfaces = machineInterfaces
	}
	if c.open == nil {
		c.open = mdns.Open
	}
	if c.poll == 0 {
		c.poll = pollInterval
	}
	if c.Port == 0 {
		c.Port = c.Daemon
	}
	l := &lan{cfg: c, scheme: app.Scheme, front: front, listeners: map[netip.Addr]*gate{}, done: make(chan struct{})}
	l.server = newServer(l)
	on, err := c.interfaces(c.IP)
	if err != nil {
		return nil, err
	}
	if app.Scheme == "https" {
		authority, err := certs.NewLAN(c.Home)
		if err != nil {
			return nil, err
		}
		l.tls = authority.For(l.served)
	}
	if err := l.listenFirst(on); err != nil {
		return nil, err
	}
	ctx, l.cancel = context.WithCancel(ctx)
	if err := l.claim(ctx, on); err != nil {
		if ctx.Err() != nil {
			l.close()
			return nil, ctx.Err()
		}
		c.Note("%s.local is not announced on the network: %v", c.Name, err)
	}
	go l.run(ctx)
	return l, nil
}

// url returns the app's URL for others: with its name, or with the first address if it has
// none.
func (l *lan) url() *url.URL {
	l.mu.Lock()
	defer l.mu.Unlock()
	host := l.host
	if host == "" {
		host = l.on[0].Addrs[0].String()
	}
	return &url.URL{Scheme: l.scheme, Host: net.JoinHostPort(host, strconv.Itoa(l.port))}
}

// served returns the app's current name and addresses.
func (l *lan) served() (name string, addrs []netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, i := range l.on {
		addrs = append(addrs, i.Addrs...)
	}
	if name = l.host; name == "" {
		name = l.cfg.Name + ".local"
	}
	return name, addrs
}

// listenFirst listens on all addresses with the requested port, or with the next one that is
// free on all of them.
func (l *lan) listenFirst(on []mdns.Interface) (err error) {
	for try := range portTries + 1 {
		l.port = l.cfg.Port + try
		if try == portTries || l.port > 65535 {
			l.port = 0
		}
		if err = l.rebind(on); err == nil {
			return nil
		}
		l.closeListeners()
		if !errors.Is(err, syscall.EADDRINUSE) && !errors.Is(err, syscall.EACCES) || l.port == 0 {
			break
		}
	}
	return &fault.Error{Kind: fault.Internal, Message: "no port can be opened on the local network: " + err.Error(), Err: err}
}

// rebind starts to listen on new addresses, and stops on those that are gone.
func (l *lan) rebind(on []mdns.Interface) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.on = on
	current := map[netip.Addr]bool{}
	for _, i := range on {
		for _, addr := range i.Addrs {
			current[addr] = true
			if l.listeners[addr] != nil {
				continue
			}
			inner, err := net.Listen("tcp", netip.AddrPortFrom(addr, uint16(l.port)).String())
			if err != nil {
				return err
			}
			l.port = inner.Addr().(*net.TCPAddr).Port
			g := newGate(inner, l.tls)
			l.listeners[addr] = g
			go func() { _ = l.server.Serve(g) }()
		}
	}
	for addr, g := range l.listeners {
		if !current[addr] {
			g.end()
			delete(l.listeners, addr)
		}
	}
	return nil
}

func (l *lan) closeListeners() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for addr, g := range l.listeners {
		g.end()
		delete(l.listeners, addr)
	}
}

// claim announces the app's name, or the name with a number if another host has it.
func (l *lan) claim(ctx context.Context, on []mdns.Interface) error {
	for n := 1; ; n++ {
		host := l.cfg.Name + ".local"
		if n > 1 {
			host = fmt.Sprintf("%s-%d.local", l.cfg.Name, n)
		}
		link, err := l.cfg.open(on)
		if err != nil {
			return err
		}
		name, err := mdns.Claim(ctx, link, host, on)
		var taken *mdns.TakenError
		if errors.As(err, &taken) && n < nameTries {
			l.cfg.Note("%v", err)
			continue
		}
		if err != nil {
			return err
		}
		l.mu.Lock()
		l.host, l.name = host, name
		l.mu.Unlock()
		return nil
	}
}

// run follows the machine's addresses until ctx ends or another host takes the name.
func (l *lan) run(ctx context.Context) {
	defer close(l.done)
	defer l.close()
	poll := time.NewTicker(l.cfg.poll)
	defer poll.Stop()
	for {
		var lost <-chan struct{}
		if l.name != nil {
			lost = l.name.Lost()
		}
		select {
		case <-ctx.Done():
			return
		case <-lost:
			l.err = &fault.Error{Kind: fault.Upstream, Message: l.name.Err().Error(), Err: l.name.Err()}
			return
		case <-poll.C:
			on, err := l.cfg.interfaces(l.cfg.IP)
			if err != nil || slices.EqualFunc(on, l.on, sameInterface) {
				continue // without a network keep the addresses, which mostly come back
			}
			if l.name != nil {
				l.name.Close()
			}
			l.name = nil
			if err := l.rebind(on); err != nil {
				l.cfg.Note("the new addresses of this machine cannot all be served: %v", err)
			}
			if err := l.claim(ctx, on); err != nil && ctx.Err() == nil {
				l.cfg.Note("%s is no longer announced on the network: %v", l.host, err)
			}
		}
	}
}

func sameInterface(a, b mdns.Interface) bool {
	return a.Index == b.Index && slices.Equal(a.Addrs, b.Addrs)
}

// Stop withdraws the name and closes all listeners and connections.
func (l *lan) Stop() {
	l.cancel()
	<-l.done
}

func (l *lan) close() {
	l.cancel()
	if l.name != nil {
		l.name.Close()
	}
	ctx, cancel := context.WithTimeout(context.Background(), endGrace)
	defer cancel()
	if l.server.Shutdown(ctx) != nil {
		l.server.Close()
	}
	l.closeListeners()
}

// ServeHTTP forwards requests whose Host is the app's. A page of another site whose name was
// made to resolve to this machine (DNS rebinding) sends the Host of that site.
func (l *lan) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodConnect, http.MethodTrace:
		http.Error(w, "Not allowed here.", http.StatusMethodNotAllowed)
		return
	}
	if !l.serves(r.Host) {
		http.Error(w, "Nothing is served under this name.", http.StatusMisdirectedRequest)
		return
	}
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	public := &url.URL{Scheme: scheme, Host: r.Host}
	l.front.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), publicKey{}, public)))
}

// serves reports whether a Host is this app's: its name below .local or an address of this
// machine, with the port.
func (l *lan) serves(hostport string) bool {
	host, port, err := net.SplitHostPort(hostport)
	if err != nil {
		host, port = strings.Trim(hostport, "[]"), map[string]string{"http": "80", "https": "443"}[l.scheme]
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if port != strconv.Itoa(l.port) {
		return false
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		return l.listeners[addr] != nil
	}
	return l.host != "" && strings.EqualFold(strings.TrimSuffix(host, "."), l.host)
}
