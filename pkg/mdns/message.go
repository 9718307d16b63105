package mdns

import (
	"bytes"
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

const (
	addressTTL = 120 // TTL in seconds of a host's address records (RFC 6762, section 10)
	legacyTTL  = 10  // maximum TTL for a resolver without multicast DNS (section 6.7)

	flush   = 1 << 15 // in a record's class: it replaces cached records (section 10.2)
	unicast = 1 << 15 // in a question's class: a unicast response is preferred (section 5.4)

	typeNSEC = dnsmessage.Type(47)
)

// records returns the address records (A and AAAA) of a name on one interface.
func records(name dnsmessage.Name, addrs []netip.Addr, ttl uint32, class dnsmessage.Class) (list []dnsmessage.Resource) {
	for _, addr := range addrs {
		header := dnsmessage.ResourceHeader{Name: name, Class: class, TTL: ttl}
		if addr.Is4() {
			list = append(list, dnsmessage.Resource{Header: header, Body: &dnsmessage.AResource{A: addr.As4()}})
		} else {
			list = append(list, dnsmessage.Resource{Header: header, Body: &dnsmessage.AAAAResource{AAAA: addr.As16()}})
		}
	}
	return list
}

// negative returns the NSEC record, which says that a name only has address records of
// these types (section 6.1). Without it, a resolver would wait for the other address
// family.
func negative(name dnsmessage.Name, addrs []netip.Addr, ttl uint32, class dnsmessage.Class) dnsmessage.Resource {
	var data []byte
	for label := range strings.SplitSeq(strings.TrimSuffix(name.String(), "."), ".") {
		data = append(append(data, byte(len(label))), label...)
	}
	data = append(data, 0)
	bitmap := make([]byte, 4) // window 0: types 0 to 31
	for _, addr := range addrs {
		t := typeOf(addr)
		bitmap[t/8] |= 0x80 >> (t % 8)
	}
	bitmap = bytes.TrimRight(bitmap, "\x00")
	data = append(append(data, 0, byte(len(bitmap))), bitmap...)
	return dnsmessage.Resource{
		Header: dnsmessage.ResourceHeader{Name: name, Class: class, TTL: ttl},
		Body:   &dnsmessage.UnknownResource{Type: typeNSEC, Data: data},
	}
}

func typeOf(addr netip.Addr) dnsmessage.Type {
	if addr.Is4() {
		return dnsmessage.TypeA
	}
	return dnsmessage.TypeAAAA
}

// addressOf returns the address in a record; ok is false if it has none.
func addressOf(r dnsmessage.Resource) (addr netip.Addr, ok bool) {
	switch body := r.Body.(type) {
	case *dnsmessage.AResource:
		return netip.AddrFrom4(body.A), true
	case *dnsmessage.AAAAResource:
		return netip.AddrFrom16(body.AAAA), true
	}
	return addr, false
}

func same(a dnsmessage.Name, b dnsmessage.Name) bool {
	return strings.EqualFold(a.String(), b.String())
}

// later reports whether the records of a host that probes for the same name at the same
// time win over ours. The records that come later when sorted by type and data win
// (section 8.2).
func later(theirs, ours []netip.Addr) bool {
	order := func(a, b netip.Addr) int {
		return cmp.Or(cmp.Compare(typeOf(a), typeOf(b)), bytes.Compare(a.AsSlice(), b.AsSlice()))
	}
	theirs, ours = slices.Clone(theirs), slices.Clone(ours)
	slices.SortFunc(theirs, order)
	slices.SortFunc(ours, order)
	return slices.CompareFunc(theirs, ours, order) > 0
}
