package share

import (
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/mdns"
)

// apart are the name prefixes of interfaces that are not on a local network: those of
// containers, virtual machines and tunnels.
var apart = []string{
	"docker", "br-", "veth", "virbr", "cni", "flannel", "podman", "lxc", "lxd", "incus", "vmnet", "vboxnet", "bridge",
	"tailscale", "utun", "wg", "tun", "tap", "zt", "ppp", "ipsec", "awdl", "llw", "anpi",
}

// machineInterfaces returns this machine's interfaces on local networks, with their private
// addresses. If only is valid, it returns just that address, on any interface.
func machineInterfaces(only netip.Addr) (list []mdns.Interface, err error) {
	if only.IsValid() && !mdns.Near(only) {
		return nil, fault.New(fault.Usage, fmt.Sprintf("%s is not an address of a local network: the Internet might reach it", only))
	}
	all, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	for _, i := range all {
		addrs, err := i.Addrs()
		if err != nil || i.Flags&net.FlagUp == 0 || !only.IsValid() && !local(i) {
			continue
		}
		found := mdns.Interface{Index: i.Index, Name: i.Name}
		for _, a := range addrs {
			network, ok := a.(*net.IPNet)
			if !ok {
				continue
			}
			addr, _ := netip.AddrFromSlice(network.IP)
			addr = addr.Unmap()
			// A link-local IPv6 address cannot be used in a URL.
			if addr == only || !only.IsValid() && mdns.Near(addr) && (addr.Is4() || !addr.IsLinkLocalUnicast()) {
				found.Addrs = append(found.Addrs, addr)
			}
		}
		if len(found.Addrs) > 0 {
			list = append(list, found)
		}
	}
	switch {
	case len(list) > 0:
		return list, nil
	case only.IsValid():
		return nil, fault.New(fault.Usage, fmt.Sprintf("this machine has no address %s", only))
	}
	return nil, &fault.Error{Kind: fault.NotFound, Message: "this machine has no private address on a local network", Next: "join a network, or give the address to serve on with --ip"}
}

func local(i net.Interface) bool {
	if i.Flags&net.FlagLoopback != 0 || i.Flags&net.FlagPointToPoint != 0 || i.Flags&net.FlagMulticast == 0 {
		return false
	}
	for _, prefix := range apart {
		if strings.HasPrefix(i.Name, prefix) {
			return false
		}
	}
	return true
}
