package netguard

import (
	"net/netip"
	"testing"
)

func TestRefused(t *testing.T) {
	for addr, refused := range map[string]bool{
		"127.0.0.1": false, "::1": false, "::ffff:127.0.0.1": false, "1.1.1.1": false, "2606:4700::1": false,
		"169.254.169.254": true, "::ffff:169.254.169.254": true, "fe80::1": true, "10.0.0.1": true, "192.168.1.1": true, "172.16.0.1": true,
		"100.100.100.200": true, "fd00:ec2::254": true, "0.0.0.0": true, "::": true, "224.0.0.1": true, "64:ff9b::a9fe:a9fe": true, "255.255.255.255": true,
		"64:ff9b::101:101": false, "64:ff9b::7f00:1": true, "64:ff9b::a00:1": true, "64:ff9b:1::101:101": true, "::a9fe:a9fe": true, "2002:a00:1::": true,
	} {
		if got := Refused(netip.MustParseAddr(addr)) != ""; got != refused {
			t.Errorf("Refused(%s) = %v, want %v", addr, got, refused)
		}
	}
}
