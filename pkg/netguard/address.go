// Package netguard decides which network addresses the daemon may connect to, and
// downloads files from addresses that clients name.
//
// Dialer resolves a host itself and connects only to an address that it has checked, so
// that the name cannot resolve to something else in between. Fetcher downloads over https
// with such a dialer; a Budget limits the total downloads of a request. Packages provider
// and gateway know the base URLs and which key is sent where.
package netguard

import "net/netip"

// Refused returns the reason why an address must not be dialed without the user's consent
// to private networks, such as "a private address", or "" if it is allowed. Loopback is
// allowed. Link-local (which includes clouds' metadata services), private, shared (RFC
// 6598), unspecified, multicast and otherwise unroutable addresses are refused. For an
// address that embeds an IPv4 address (RFC 6052), that one is checked.
func Refused(addr netip.Addr) string {
	addr = addr.Unmap()
	if nat64.Contains(addr) {
		// Networks without IPv4 use these to reach it (RFC 6052). The embedded address is
		// checked; it never refers to this machine.
		b := addr.As16()
		if addr = netip.AddrFrom4([4]byte(b[12:])); addr.IsLoopback() {
			return "a reserved address"
		}
	}
	switch {
	case !addr.IsValid():
		return "no address"
	case addr.IsLoopback():
		return ""
	case addr.IsLinkLocalUnicast(), addr.IsLinkLocalMulticast(), addr.IsInterfaceLocalMulticast():
		return "a link-local address"
	case addr.IsPrivate():
		return "a private address"
	case addr.IsUnspecified():
		return "the unspecified address"
	case addr.IsMulticast():
		return "a multicast address"
	}
	for _, reserved := range reservedRanges {
		if reserved.Contains(addr) {
			return "a reserved address"
		}
	}
	return ""
}

var nat64 = netip.MustParsePrefix("64:ff9b::/96")

// reservedRanges are ranges without a method in net/netip: shared address space, "this
// network", protocol assignments, benchmarking, reserved, and the IPv6 ranges that embed
// an IPv4 address (local NAT64 and 6to4), which would bypass the checks above.
var reservedRanges = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"),
	netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("::/96"),
	netip.MustParsePrefix("64:ff9b:1::/48"),
	netip.MustParsePrefix("2002::/16"),
	netip.MustParsePrefix("fec0::/10"),
}
