// Package mdns owns a host name below .local: it claims the name with multicast DNS (RFC
// 6762), so that other machines on the local network find it, defends it, and releases
// it.
//
// The caller decides what is served under the name.
package mdns

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// port is the port of multicast DNS.
const port = 5353

// Intervals and counts in RFC 6762, sections 6, 8 and 9.
const (
	probes        = 3
	probeInterval = 250 * time.Millisecond
	loserDelay    = time.Second
	maxLost       = 5 // simultaneous probes that may be lost before the name counts as taken
	announcements = 2
	announceAgain = time.Second
	repeatLimit   = time.Second // minimum interval between multicasts of a record on an interface
	defendFor     = 10 * time.Second
)

// Interface is a network interface of this machine, with the addresses on it that the
// name resolves to.
type Interface struct {
	Index int
	Name  string
	Addrs []netip.Addr
}

// Link sends and receives messages on the interfaces on which a name is announced. Read
// returns an error after Close. The other methods are called by one goroutine.
type Link interface {
	// Read waits for a message. on is the index of the interface on which it was
	// received.
	Read(p []byte) (n, on int, from netip.AddrPort, err error)
	Multicast(p []byte, on int) error
	Unicast(p []byte, on int, to netip.AddrPort) error
	Close() error
}

// TakenError means that another host has the name.
type TakenError struct {
	Name string
	By   netip.Addr
}

func (e *TakenError) Error() string { return fmt.Sprintf("%s is the name of %s", e.Name, e.By) }

// Name is a claimed name. Its methods are safe for concurrent use.
type Name struct {
	host   string
	name   dnsmessage.Name
	link   Link
	on     map[int]Interface
	heard  chan message
	lost   chan struct{}
	err    error // valid after lost is closed
	stop   chan struct{}
	done   chan struct{}
	closed sync.Once
	sent   map[int]time.Time // time of the last multicast of the records, by interface
	fought time.Time         // time of the last defense
}

type message struct {
	dnsmessage.Message
	on   int
	from netip.AddrPort
}

// Claim claims host, such as shop.local, on the interfaces. It returns when the name has
// been announced, which takes about a second. If another host has the name, the error is
// a *TakenError. The link is closed together with the name, or if Claim fails.
func Claim(ctx context.Context, link Link, host string, interfaces []Interface) (*Name, error) {
	wire, err := dnsmessage.NewName(host + ".")
	if err != nil {
		link.Close()
		return nil, fmt.Errorf("%s is not a host name: %w", host, err)
	}
	n := &Name{
		host: host, name: wire, link: link, on: map[int]Interface{}, heard: make(chan message, 16),
		lost: make(chan struct{}), stop: make(chan struct{}), done: make(chan struct{}), sent: map[int]time.Time{},
	}
	for _, i := range interfaces {
		n.on[i.Index] = i
	}
	go n.read()
	if err := n.probe(ctx); err != nil {
		close(n.done)
		link.Close()
		return nil, err
	}
	n.announce(addressTTL)
	go n.serve()
	return n, nil
}

// Lost returns a channel that is closed when another host has taken the name or the link
// has failed. Err then returns which.
func (n *Name) Lost() <-chan struct{} { return n.lost }

// Err returns why the name was lost. It is valid after Lost is closed.
func (n *Name) Err() error { return n.err }

// Close releases the name and announces that. Further calls do nothing.
func (n *Name) Close() {
	n.closed.Do(func() { close(n.stop) })
	<-n.done
}

// read passes on all valid messages until the link is closed.
func (n *Name) read() {
	defer close(n.heard)
	p := make([]byte, 9000) // section 17
	for {
		size, on, from, err := n.link.Read(p)
		if err != nil {
			return
		}
		m := message{on: on, from: netip.AddrPortFrom(from.Addr().Unmap(), from.Port())}
		if _, ours := n.on[on]; !ours || !Near(m.from.Addr()) || m.Unpack(p[:size]) != nil || m.OpCode != 0 || m.RCode != 0 {
			continue
		}
		select {
		case n.heard <- m:
		case <-n.done:
			return
		}
	}
}

// Near reports whether an address belongs to a local network: private or link-local.
// Loopback addresses count, too.
func Near(addr netip.Addr) bool {
	addr = addr.Unmap()
	return addr.IsPrivate() || addr.IsLinkLocalUnicast() || addr.IsLoopback()
}

// probe asks three times whether another host has the name (section 8.1).
func (n *Name) probe(ctx context.Context) error {
	timer := time.NewTimer(rand.N(probeInterval))
	defer timer.Stop()
	lost := 0
	for sent := 0; ; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
			if sent == probes {
				return nil
			}
			sent++
			for on, i := range n.on {
				question := dnsmessage.Question{Name: n.name, Type: dnsmessage.TypeALL, Class: dnsmessage.ClassINET}
				n.multicast(on, dnsmessage.Message{Questions: []dnsmessage.Question{question}, Authorities: records(n.name, i.Addrs, addressTTL, dnsmessage.ClassINET)})
			}
			timer.Reset(probeInterval)
		case m, ok := <-n.heard:
			switch {
			case !ok:
				return fmt.Errorf("the network connection was lost while %s was being claimed", n.host)
			case n.conflicts(m) || lost == maxLost:
				return &TakenError{n.host, m.from.Addr()}
			case !m.Response && later(n.foreign(m.Authorities), n.on[m.on].Addrs):
				lost++
				sent = 0
				timer.Reset(loserDelay)
			}
		}
	}
}

// conflicts reports whether a response assigns the name to another host.
func (n *Name) conflicts(m message) bool {
	return m.Response && len(n.foreign(m.Answers)) > 0
}

// foreign returns the addresses in the name's records that are not this machine's.
func (n *Name) foreign(list []dnsmessage.Resource) (addrs []netip.Addr) {
	for _, r := range list {
		addr, ok := addressOf(r)
		if ok && same(r.Header.Name, n.name) && r.Header.TTL > 0 && !n.ours(addr) {
			addrs = append(addrs, addr)
		}
	}
	return addrs
}

func (n *Name) ours(addr netip.Addr) bool {
	for _, i := range n.on {
		if slices.Contains(i.Addrs, addr) {
			return true
		}
	}
	return false
}

// serve responds for the name until it is closed or lost.
func (n *Name) serve() {
	defer close(n.done)
	defer n.link.Close()
	again := time.NewTimer(announceAgain)
	defer again.Stop()
	for left := announcements - 1; ; {
		select {
		case <-n.stop:
			n.announce(0)
			return
		case <-again.C:
			if left > 0 {
				left--
				n.announce(addressTTL)
			}
		case m, ok := <-n.heard:
			if !ok {
				n.lose(fmt.Errorf("%s is no longer announced: the network connection was lost", n.host))
				return
			}
			switch {
			case n.conflicts(m) && time.Since(n.fought) < defendFor:
				n.lose(&TakenError{n.host, m.from.Addr()})
				return
			case n.conflicts(m):
				n.fought = time.Now()
				n.announce(addressTTL)
			case m.Response && n.forgets(m.Answers): // another process on this machine released the same name
				again.Reset(announceAgain)
				left = max(left, 1)
			case !m.Response:
				n.respond(m)
			}
		}
	}
}

func (n *Name) lose(err error) {
	n.err = err
	close(n.lost)
}

// forgets reports whether the records remove one of ours.
func (n *Name) forgets(list []dnsmessage.Resource) bool {
	return slices.ContainsFunc(list, func(r dnsmessage.Resource) bool {
		addr, ok := addressOf(r)
		return ok && r.Header.TTL == 0 && same(r.Header.Name, n.name) && n.ours(addr)
	})
}

// announce multicasts the name's records on every interface. With a ttl of 0 it removes
// them.
func (n *Name) announce(ttl uint32) {
	const class = dnsmessage.ClassINET | flush
	for on, i := range n.on {
		m := dnsmessage.Message{Header: dnsmessage.Header{Response: true, Authoritative: true}, Answers: records(n.name, i.Addrs, ttl, class)}
		if ttl > 0 {
			m.Additionals = []dnsmessage.Resource{negative(n.name, i.Addrs, ttl, class)}
		}
		n.multicast(on, m)
		n.sent[on] = time.Now()
	}
}

// respond answers the questions about the name in a message (section 6).
func (n *Name) respond(m message) {
	legacy := m.from.Port() != port
	ttl, class := uint32(addressTTL), dnsmessage.ClassINET|dnsmessage.Class(flush)
	if legacy {
		ttl, class = legacyTTL, dnsmessage.ClassINET
	}
	var wanted []dnsmessage.Resource
	asked, alone := false, true // whether every question prefers a unicast response
	var questions []dnsmessage.Question
	for _, q := range m.Questions {
		if !same(q.Name, n.name) || q.Class&^unicast != dnsmessage.ClassINET && q.Class&^unicast != dnsmessage.ClassANY {
			continue
		}
		asked = true
		alone = alone && q.Class&unicast != 0
		questions = append(questions, q)
		wanted = append(wanted, n.answers(q.Type, m.on, ttl, class)...)
	}
	wanted = slices.DeleteFunc(wanted, func(r dnsmessage.Resource) bool { return known(m.Answers, r) })
	if !asked || len(wanted) == 0 {
		return
	}
	response := dnsmessage.Message{Header: dnsmessage.Header{Response: true, Authoritative: true}, Answers: wanted}
	probed := len(m.Authorities) > 0
	switch {
	case legacy:
		response.ID, response.Questions = m.ID, questions
		n.unicast(m, response)
	case alone && !probed:
		n.unicast(m, response)
	case probed || time.Since(n.sent[m.on]) >= repeatLimit:
		n.multicast(m.on, response)
		n.sent[m.on] = time.Now()
	}
}

// answers returns the records of a type on an interface: the addresses, or a record that
// there are none.
func (n *Name) answers(t dnsmessage.Type, on int, ttl uint32, class dnsmessage.Class) []dnsmessage.Resource {
	addrs := n.on[on].Addrs
	if t != dnsmessage.TypeALL {
		addrs = slices.DeleteFunc(slices.Clone(addrs), func(a netip.Addr) bool { return typeOf(a) != t })
	}
	if len(addrs) > 0 {
		return records(n.name, addrs, ttl, class)
	}
	return []dnsmessage.Resource{negative(n.name, n.on[on].Addrs, ttl, class)}
}

// known reports whether the sender of a question has a record already, with at least half
// of its TTL (section 7.1).
func known(answers []dnsmessage.Resource, r dnsmessage.Resource) bool {
	addr, ok := addressOf(r)
	return ok && slices.ContainsFunc(answers, func(has dnsmessage.Resource) bool {
		other, ok := addressOf(has)
		return ok && other == addr && same(has.Header.Name, r.Header.Name) && has.Header.TTL >= r.Header.TTL/2
	})
}

func (n *Name) multicast(on int, m dnsmessage.Message) {
	if p, err := m.Pack(); err == nil {
		_ = n.link.Multicast(p, on) // a lost message is requested again
	}
}

func (n *Name) unicast(to message, m dnsmessage.Message) {
	if p, err := m.Pack(); err == nil {
		_ = n.link.Unicast(p, to.on, to.from)
	}
}
