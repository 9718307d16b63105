package mdns

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// network is an in-memory local network: each message reaches all hosts.
type network struct {
	mu    sync.Mutex
	peers []*host
}

// host is the Link of one machine. It records what it receives and sends.
type host struct {
	net    *network
	addr   netip.AddrPort
	in     chan packetOf
	closed chan struct{}
	once   sync.Once

	mu       sync.Mutex
	sent     []dnsmessage.Message
	answered []dnsmessage.Message
}

type packetOf struct {
	data []byte
	from netip.AddrPort
}

func (n *network) join(addr string) *host {
	h := &host{net: n, addr: netip.MustParseAddrPort(addr), in: make(chan packetOf, 64), closed: make(chan struct{})}
	n.mu.Lock()
	n.peers = append(n.peers, h)
	n.mu.Unlock()
	return h
}

func (h *host) Read(p []byte) (int, int, netip.AddrPort, error) {
	select {
	case got := <-h.in:
		return copy(p, got.data), 1, got.from, nil
	case <-h.closed:
		return 0, 0, netip.AddrPort{}, net.ErrClosed
	}
}

func (h *host) Multicast(p []byte, _ int) error {
	h.net.send(h, p)
	h.mu.Lock()
	h.sent = append(h.sent, parse(p))
	h.mu.Unlock()
	return nil
}

func (h *host) Unicast(p []byte, _ int, to netip.AddrPort) error {
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	for _, other := range h.net.peers {
		if other.addr == to {
			other.mu.Lock()
			other.answered = append(other.answered, parse(p))
			other.mu.Unlock()
		}
	}
	return nil
}

func (h *host) Close() error {
	h.once.Do(func() { close(h.closed) })
	return nil
}

func (n *network) send(from *host, p []byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, peer := range n.peers { // including the sender
		select {
		case peer.in <- packetOf{append([]byte(nil), p...), from.addr}:
		default:
		}
	}
}

func parse(p []byte) (m dnsmessage.Message) {
	if err := m.Unpack(p); err != nil {
		panic(err)
	}
	return m
}

func (h *host) messages() []dnsmessage.Message {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.sent)
}

func (h *host) responses() []dnsmessage.Message {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := h.answered
	h.answered = nil
	return out
}

func on(addrs ...string) []Interface {
	i := Interface{Index: 1, Name: "lan0"}
	for _, a := range addrs {
		i.Addrs = append(i.Addrs, netip.MustParseAddr(a))
	}
	return []Interface{i}
}

func query(t dnsmessage.Type, class dnsmessage.Class, known ...dnsmessage.Resource) []byte {
	m := dnsmessage.Message{Header: dnsmessage.Header{ID: 7}, Answers: known, Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName("Shop.local."), Type: t, Class: class}}}
	p, err := m.Pack()
	if err != nil {
		panic(err)
	}
	return p
}

// TestClaim: a name is probed, announced, answered for and released.
func TestClaim(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lan := &network{}
		h := lan.join("192.168.1.4:5353")
		name, err := Claim(t.Context(), h, "shop.local", on("192.168.1.4", "fd00::4"))
		if err != nil {
			t.Fatal(err)
		}
		sent := h.messages()
		if len(sent) != probes+1 {
			t.Fatalf("%d messages, want %d probes and an announcement", len(sent), probes)
		}
		for _, probe := range sent[:probes] {
			if probe.Response || len(probe.Questions) != 1 || probe.Questions[0].Type != dnsmessage.TypeALL || len(probe.Authorities) != 2 {
				t.Errorf("a probe is %+v", probe)
			}
		}
		first := sent[probes]
		if !first.Response || !first.Authoritative || len(first.Answers) != 2 || first.Answers[0].Header.TTL != addressTTL || first.Answers[0].Header.Class != dnsmessage.ClassINET|flush {
			t.Errorf("the announcement is %+v", first)
		}
		time.Sleep(3 * time.Second)
		if n := len(h.messages()); n != probes+announcements {
			t.Errorf("%d messages after a while", n)
		}

		asker := lan.join("192.168.1.9:5353")
		lan.send(asker, query(dnsmessage.TypeA, dnsmessage.ClassINET))
		synctest.Wait()
		answers(t, h.messages()[len(h.messages())-1], 0, addressTTL, "192.168.1.4")
		time.Sleep(2 * time.Second)

		n := len(h.messages())
		lan.send(asker, query(dnsmessage.TypeAAAA, dnsmessage.ClassINET|unicast))
		synctest.Wait()
		if got := asker.responses(); len(got) != 1 || len(h.messages()) != n {
			t.Errorf("a question for a unicast response has %d of them", len(got))
		} else {
			answers(t, got[0], 0, addressTTL, "fd00::4")
		}

		legacy := lan.join("192.168.1.9:40000")
		lan.send(legacy, query(dnsmessage.TypeALL, dnsmessage.ClassINET))
		synctest.Wait()
		if got := legacy.responses(); len(got) != 1 || len(got[0].Questions) != 1 {
			t.Errorf("an old resolver gets %v", got)
		} else {
			answers(t, got[0], 7, legacyTTL, "192.168.1.4", "fd00::4")
		}

		lan.send(asker, query(dnsmessage.TypeA, dnsmessage.ClassINET, records(dnsmessage.MustNewName("shop.local."), on("192.168.1.4")[0].Addrs, addressTTL, dnsmessage.ClassINET)...))
		lan.send(lan.join("203.0.113.9:5353"), query(dnsmessage.TypeA, dnsmessage.ClassINET)) // from another network
		synctest.Wait()
		if len(h.messages()) != n {
			t.Error("it answers what the asker knows, or a stranger")
		}

		name.Close()
		name.Close()
		last := h.messages()[len(h.messages())-1]
		answers(t, last, 0, 0, "192.168.1.4", "fd00::4")
	})
}

// answers compares a response with the expected addresses.
func answers(t *testing.T, m dnsmessage.Message, id uint16, ttl uint32, want ...string) {
	t.Helper()
	var got []string
	for _, r := range m.Answers {
		if addr, ok := addressOf(r); ok && r.Header.TTL == ttl {
			got = append(got, addr.String())
		}
	}
	if !m.Response || m.ID != id || !slices.Equal(got, want) {
		t.Errorf("the response %+v has %q, want %q", m, got, want)
	}
}

// TestNoSuchType: a response says which types a name has, so that a resolver does not
// wait for another address family.
func TestNoSuchType(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lan := &network{}
		h := lan.join("192.168.1.4:5353")
		name, err := Claim(t.Context(), h, "shop.local", on("192.168.1.4"))
		if err != nil {
			t.Fatal(err)
		}
		defer name.Close()
		asker := lan.join("192.168.1.9:40000")
		lan.send(asker, query(dnsmessage.TypeAAAA, dnsmessage.ClassINET))
		synctest.Wait()
		got := asker.responses()
		if len(got) != 1 || len(got[0].Answers) != 1 {
			t.Fatalf("got %v", got)
		}
		body, ok := got[0].Answers[0].Body.(*dnsmessage.UnknownResource)
		want := "\x04shop\x05local\x00\x00\x01\x40"
		if !ok || body.Type != typeNSEC || string(body.Data) != want {
			t.Errorf("got %+v, want NSEC %q", got[0].Answers[0], want)
		}
	})
}

// TestTaken: a name that another host has is given up, before and after the announcement.
func TestTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lan := &network{}
		a, b := lan.join("192.168.1.4:5353"), lan.join("192.168.1.5:5353")
		name, err := Claim(t.Context(), a, "shop.local", on("192.168.1.4"))
		if err != nil {
			t.Fatal(err)
		}
		_, err = Claim(t.Context(), b, "SHOP.local", on("192.168.1.5"))
		var taken *TakenError
		if !errors.As(err, &taken) || taken.By.String() != "192.168.1.4" {
			t.Errorf("a second host claims it: %v", err)
		}
		// A host that does not probe: the name is defended once, then lost.
		claim := dnsmessage.Message{Header: dnsmessage.Header{Response: true, Authoritative: true}, Answers: records(dnsmessage.MustNewName("shop.local."), on("192.168.1.6")[0].Addrs, addressTTL, dnsmessage.ClassINET)}
		p, _ := claim.Pack()
		rude := lan.join("192.168.1.6:5353")
		n := len(a.messages())
		lan.send(rude, p)
		synctest.Wait()
		if len(a.messages()) != n+1 {
			t.Error("it does not defend the name")
		}
		lan.send(rude, p)
		<-name.Lost()
		if !errors.As(name.Err(), &taken) || taken.By.String() != "192.168.1.6" {
			t.Errorf("lost for %v", name.Err())
		}
		name.Close()
	})
}

// TestTogether: if two hosts claim a name at the same time, exactly one gets it. A second
// process on the same host does not conflict.
func TestTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lan := &network{}
		errs := make(chan error, 2)
		for _, addr := range []string{"192.168.1.4", "192.168.1.5"} {
			h := lan.join(addr + ":5353")
			go func() {
				name, err := Claim(context.Background(), h, "shop.local", on(addr))
				if err == nil {
					defer name.Close()
					time.Sleep(time.Minute)
				}
				errs <- err
			}()
		}
		a, b := <-errs, <-errs
		if (a == nil) == (b == nil) {
			t.Errorf("two hosts: %v, %v", a, b)
		}
		x, err1 := Claim(t.Context(), lan.join("192.168.1.7:5353"), "own.local", on("192.168.1.7"))
		y, err2 := Claim(t.Context(), lan.join("192.168.1.7:5353"), "own.local", on("192.168.1.7"))
		if err1 != nil || err2 != nil {
			t.Fatalf("two processes of one host: %v, %v", err1, err2)
		}
		h := y.link.(*host)
		time.Sleep(5 * time.Second)
		n := len(h.messages())
		x.Close()
		time.Sleep(5 * time.Second)
		if len(h.messages()) == n {
			t.Error("the goodbye of one process takes the other's name out of all caches")
		}
		y.Close()
	})
}
