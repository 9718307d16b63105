//go:build unix

package mdns

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// TestMulticast queries a name on the loopback interface, like a resolver without
// multicast DNS.
func TestMulticast(t *testing.T) {
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		if lo, err = net.InterfaceByName("lo0"); err != nil {
			t.Fatal(err)
		}
	}
	own := []Interface{{Index: lo.Index, Name: lo.Name, Addrs: []netip.Addr{netip.MustParseAddr("127.0.0.1")}}}
	link, err := Open(own)
	if err != nil {
		t.Fatal(err)
	}
	name, err := Claim(t.Context(), link, "hostless-test.local", own)
	if err != nil {
		t.Fatal(err)
	}
	defer name.Close()
	asker, err := Open(own)
	if err != nil {
		t.Fatal(err)
	}
	defer asker.Close()
	question, err := (&dnsmessage.Message{Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName("hostless-test.local."), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}}}).Pack()
	if err != nil {
		t.Fatal(err)
	}
	found := make(chan bool, 1)
	go func() {
		p := make([]byte, 9000)
		for {
			n, _, _, err := asker.Read(p)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(p[:n]) == nil && m.Response && len(m.Answers) == 1 {
				if addr, ok := addressOf(m.Answers[0]); ok && addr == own[0].Addrs[0] && m.Answers[0].Header.TTL > 0 {
					found <- true
					return
				}
			}
		}
	}()
	for deadline := time.Now().Add(20 * time.Second); ; {
		if err := asker.Multicast(question, lo.Index); err != nil {
			t.Fatal(err)
		}
		select {
		case <-found:
			return
		case <-time.After(200 * time.Millisecond):
			if time.Now().After(deadline) {
				t.Fatal("no response")
			}
		}
	}
}
