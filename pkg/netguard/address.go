// Package netguard decides which network addresses the daemon may connect to, and
// downloads files from addresses that callers name.
//
// Dialer resolves a name itself and connects only to an address that it has
// checked, so that a name cannot resolve to something else between the check and
// the connection. Fetcher downloads over https with such a dialer; a Budget bounds
// what one request may download in all. Which base URLs exist, and which key goes
// where, belongs to packages provider and gateway.
package netguard

import "net/netip"

// Refused gives the reason why an address must not be dialled without the user's
// consent to private networks, such as "a private address", or "" where it may be.
// Loopback is allowed; link-local (the metadata services of clouds), private,
// shared (RFC 6598), unspecified, multicast and otherwise unroutable addresses are
// not. An address that embeds an IPv4 one (RFC 6052) is judged by that one.
func Refused(addr netip.Addr) string {
	addr = addr.Unmap()
	if nat64.Contains(addr) {
		// Networks without IPv4 reach it through these (RFC 6052). The embedded address
		// is judged, and is never this machine's own.
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

// reservedRanges are those that net/netip has no method for: shared address space, "this
// network", protocol assignments, benchmarking, reserved, and the IPv6 forms
// that carry an IPv4 address (local NAT64 and 6to4) past the checks above.
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
