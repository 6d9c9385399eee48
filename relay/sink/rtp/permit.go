package rtp

import (
	"fmt"
	"net/netip"
)

// special is a network that is no ordinary place on the internet.
type special struct {
	network netip.Prefix
	name    string
	never   bool // no allow list opens it: no single host is there
}

// specials are the networks through which a leg would reach what it should not: the edge itself, its host's metadata service, other
// machines of its site, or IPv4 in another disguise (RFC 6890 and the IANA special-purpose registries). The first match counts.
var specials = []special{
	{netip.MustParsePrefix("0.0.0.0/8"), "unspecified (this host)", true},
	{netip.MustParsePrefix("224.0.0.0/4"), "multicast", true},
	{netip.MustParsePrefix("255.255.255.255/32"), "broadcast", true},
	{netip.MustParsePrefix("127.0.0.0/8"), "loopback", false},
	{netip.MustParsePrefix("169.254.0.0/16"), "link-local, where cloud metadata lives", false},
	{netip.MustParsePrefix("10.0.0.0/8"), "private", false},
	{netip.MustParsePrefix("172.16.0.0/12"), "private", false},
	{netip.MustParsePrefix("192.168.0.0/16"), "private", false},
	{netip.MustParsePrefix("100.64.0.0/10"), "carrier-grade NAT, where cloud metadata lives", false},
	{netip.MustParsePrefix("192.0.0.0/24"), "protocol assignments, where cloud metadata lives", false},
	{netip.MustParsePrefix("198.18.0.0/15"), "benchmarking", false},
	{netip.MustParsePrefix("240.0.0.0/4"), "reserved", false},
	{netip.MustParsePrefix("::/128"), "unspecified (this host)", true},
	{netip.MustParsePrefix("ff00::/8"), "multicast", true},
	{netip.MustParsePrefix("::1/128"), "loopback", false},
	{netip.MustParsePrefix("::/96"), "an IPv4 address in IPv6 clothes", true},
	{netip.MustParsePrefix("::ffff:0:0/96"), "an IPv4 address in IPv6 clothes", true},
	{netip.MustParsePrefix("fe80::/10"), "link-local", false},
	{netip.MustParsePrefix("fec0::/10"), "site-local", false},
	{netip.MustParsePrefix("fc00::/7"), "private (unique local), where cloud metadata lives", false},
	{netip.MustParsePrefix("64:ff9b::/96"), "an IPv4 address behind NAT64", false},
	{netip.MustParsePrefix("64:ff9b:1::/48"), "an IPv4 address behind NAT64", false},
	{netip.MustParsePrefix("2001::/32"), "an IPv4 address behind Teredo", false},
	{netip.MustParsePrefix("2002::/16"), "an IPv4 address behind 6to4", false},
}

// Permit says whether a leg may reach an address: it has to be in a network of allow, and where it is in a special network, in one
// that lies inside that special network. So 0.0.0.0/0 allows the public internet and not the metadata service; 169.254.0.0/16 would.
func Permit(a netip.Addr, allow []netip.Prefix) error {
	if !a.IsValid() {
		return fmt.Errorf("no address")
	}
	within := netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	if a.Is6() {
		within = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
	}
	name := "not in an allowed network"
	for _, s := range specials {
		if !s.network.Contains(a) {
			continue
		}
		if s.never {
			return fmt.Errorf("%v is %s and is never allowed", a, s.name)
		}
		within, name = s.network, s.name
		break
	}
	for _, p := range allow {
		if p.Contains(a) && p.Bits() >= within.Bits() {
			return nil
		}
	}
	return fmt.Errorf("%v is %s: the edge's operator has to list its network in rtp.allow_networks", a, name)
}
