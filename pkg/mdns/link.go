//go:build unix

package mdns

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

var (
	group4 = netip.MustParseAddr("224.0.0.251")
	group6 = netip.MustParseAddr("ff02::fb")
)

// link is the multicast DNS port of this machine, shared with its other responders.
type link struct {
	v4   *ipv4.PacketConn // nil if no interface has an IPv4 address
	v6   *ipv6.PacketConn
	has4 map[int]bool
	has6 map[int]bool

	received chan packet
	closed   chan struct{}
}

type packet struct {
	data []byte
	on   int
	from netip.AddrPort
}

// Open opens the multicast DNS port on the interfaces. It is an error if none of them
// supports multicast.
func Open(interfaces []Interface) (Link, error) {
	l := &link{has4: map[int]bool{}, has6: map[int]bool{}, received: make(chan packet, 16), closed: make(chan struct{})}
	for _, i := range interfaces {
		for _, addr := range i.Addrs {
			if addr.Is4() {
				l.has4[i.Index] = true
			} else {
				l.has6[i.Index] = true
			}
		}
	}
	var errs []error
	if len(l.has4) > 0 {
		errs = append(errs, l.open4())
	}
	if len(l.has6) > 0 {
		errs = append(errs, l.open6())
	}
	if l.v4 == nil && l.v6 == nil {
		return nil, errors.Join(append(errs, errors.New("no network interface supports multicast DNS"))...)
	}
	if l.v4 != nil {
		go l.receive(func(p []byte) (int, int, net.Addr, error) {
			n, control, from, err := l.v4.ReadFrom(p)
			if control == nil {
				return n, 0, from, err
			}
			return n, control.IfIndex, from, err
		})
	}
	if l.v6 != nil {
		go l.receive(func(p []byte) (int, int, net.Addr, error) {
			n, control, from, err := l.v6.ReadFrom(p)
			if control == nil {
				return n, 0, from, err
			}
			return n, control.IfIndex, from, err
		})
	}
	return l, nil
}

func (l *link) open4() error {
	c, err := bound(unix.AF_INET, &unix.SockaddrInet4{Port: port, Addr: group4.As4()})
	if err != nil {
		return err
	}
	p := ipv4.NewPacketConn(c)
	joined := join(l.has4, func(i *net.Interface) error { return p.JoinGroup(i, &net.UDPAddr{IP: group4.AsSlice()}) })
	if err := errors.Join(joined, p.SetControlMessage(ipv4.FlagInterface, true), p.SetMulticastTTL(255), p.SetMulticastLoopback(true)); err != nil {
		c.Close()
		return err
	}
	l.v4 = p
	return nil
}

func (l *link) open6() error {
	c, err := bound(unix.AF_INET6, &unix.SockaddrInet6{Port: port, Addr: group6.As16()})
	if err != nil {
		return err
	}
	p := ipv6.NewPacketConn(c)
	joined := join(l.has6, func(i *net.Interface) error { return p.JoinGroup(i, &net.UDPAddr{IP: group6.AsSlice()}) })
	if err := errors.Join(joined, p.SetControlMessage(ipv6.FlagInterface, true), p.SetMulticastHopLimit(255), p.SetMulticastLoopback(true)); err != nil {
		c.Close()
		return err
	}
	l.v6 = p
	return nil
}

// join joins a multicast group on each interface. An interface that fails is removed; it
// is an error if all fail.
func join(on map[int]bool, group func(*net.Interface) error) error {
	var errs []error
	for index := range on {
		i, err := net.InterfaceByIndex(index)
		if err == nil {
			err = group(i)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("multicast on interface %d: %w", index, err))
			delete(on, index)
		}
	}
	if len(on) > 0 {
		return nil
	}
	return errors.Join(errs...)
}

// bound opens a socket on the group's address, next to those of other responders. A
// socket on the wildcard address would receive their unicast responses.
func bound(family int, address unix.Sockaddr) (net.PacketConn, error) {
	fd, err := unix.Socket(family, unix.SOCK_DGRAM, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	unix.CloseOnExec(fd)
	f := os.NewFile(uintptr(fd), "mdns")
	defer f.Close() // FilePacketConn duplicates the descriptor
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return nil, os.NewSyscallError("setsockopt", err)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
		return nil, os.NewSyscallError("setsockopt", err)
	}
	if family == unix.AF_INET6 {
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1); err != nil {
			return nil, os.NewSyscallError("setsockopt", err)
		}
	}
	if err := unix.Bind(fd, address); err != nil {
		return nil, fmt.Errorf("UDP port %d: %w", port, os.NewSyscallError("bind", err))
	}
	return net.FilePacketConn(f)
}

func (l *link) receive(read func([]byte) (int, int, net.Addr, error)) {
	p := make([]byte, 9000)
	for {
		n, on, from, err := read(p)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		udp, ok := from.(*net.UDPAddr)
		if err != nil || !ok {
			select {
			case <-l.closed:
				return
			default:
				continue
			}
		}
		select {
		case l.received <- packet{append([]byte(nil), p[:n]...), on, udp.AddrPort()}:
		case <-l.closed:
			return
		}
	}
}

// Read implements Link.
func (l *link) Read(p []byte) (n, on int, from netip.AddrPort, err error) {
	select {
	case got := <-l.received:
		return copy(p, got.data), got.on, got.from, nil
	case <-l.closed:
		return 0, 0, from, net.ErrClosed
	}
}

// Multicast implements Link.
func (l *link) Multicast(p []byte, on int) error {
	var errs []error
	if l.v4 != nil && l.has4[on] {
		_, err := l.v4.WriteTo(p, &ipv4.ControlMessage{IfIndex: on}, net.UDPAddrFromAddrPort(netip.AddrPortFrom(group4, port)))
		errs = append(errs, err)
	}
	if l.v6 != nil && l.has6[on] {
		_, err := l.v6.WriteTo(p, &ipv6.ControlMessage{IfIndex: on}, net.UDPAddrFromAddrPort(netip.AddrPortFrom(group6, port)))
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Unicast implements Link.
func (l *link) Unicast(p []byte, on int, to netip.AddrPort) error {
	if to.Addr().Unmap().Is4() {
		if l.v4 == nil {
			return net.ErrClosed
		}
		_, err := l.v4.WriteTo(p, &ipv4.ControlMessage{IfIndex: on}, net.UDPAddrFromAddrPort(to))
		return err
	}
	if l.v6 == nil {
		return net.ErrClosed
	}
	_, err := l.v6.WriteTo(p, &ipv6.ControlMessage{IfIndex: on}, net.UDPAddrFromAddrPort(to))
	return err
}

// Close implements Link. It must only be called once.
func (l *link) Close() error {
	close(l.closed)
	var errs []error
	if l.v4 != nil {
		errs = append(errs, l.v4.Close())
	}
	if l.v6 != nil {
		errs = append(errs, l.v6.Close())
	}
	return errors.Join(errs...)
}
