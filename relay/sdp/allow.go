package sdp

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// refusal is a network that no peer on the internet can be in.
type refusal struct {
	network netip.Prefix
	why     string
}

// refusals follows the IANA special-purpose registries (RFC 6890). Documentation networks are missing on purpose: nothing lives
// there, so a check sent to one harms nobody, and examples keep working. The order matters where networks nest: first match speaks.
var refusals = []refusal{
	{netip.MustParsePrefix("0.0.0.0/8"), "this network, unspecified"},
	{netip.MustParsePrefix("127.0.0.0/8"), "loopback"},
	{netip.MustParsePrefix("169.254.0.0/16"), "link-local, where cloud metadata lives"},
	{netip.MustParsePrefix("10.0.0.0/8"), "private (RFC 1918)"},
	{netip.MustParsePrefix("172.16.0.0/12"), "private (RFC 1918)"},
	{netip.MustParsePrefix("192.168.0.0/16"), "private (RFC 1918)"},
	{netip.MustParsePrefix("100.64.0.0/10"), "carrier-grade NAT (RFC 6598)"},
	{netip.MustParsePrefix("192.0.0.0/24"), "protocol assignments (RFC 6890), where cloud metadata lives"},
	{netip.MustParsePrefix("198.18.0.0/15"), "benchmarking (RFC 2544)"},
	{netip.MustParsePrefix("224.0.0.0/4"), "multicast"},
	{netip.MustParsePrefix("240.0.0.0/4"), "reserved or broadcast"},
	{netip.MustParsePrefix("::/128"), "unspecified"},
	{netip.MustParsePrefix("::1/128"), "loopback"},
	{netip.MustParsePrefix("::ffff:0:0/96"), "an IPv4 address in IPv6 clothes; write it as IPv4"},
	{netip.MustParsePrefix("::/96"), "an IPv4 address in IPv6 clothes; write it as IPv4"},
	{netip.MustParsePrefix("64:ff9b::/96"), "an IPv4 address behind NAT64"},
	{netip.MustParsePrefix("64:ff9b:1::/48"), "an IPv4 address behind NAT64"},
	{netip.MustParsePrefix("2001::/32"), "an IPv4 address behind Teredo"},
	{netip.MustParsePrefix("2002::/16"), "an IPv4 address behind 6to4"},
	{netip.MustParsePrefix("fe80::/10"), "link-local"},
	{netip.MustParsePrefix("fec0::/10"), "site-local"},
	{netip.MustParsePrefix("fc00::/7"), "private (unique local, RFC 4193), where cloud metadata lives"},
	{netip.MustParsePrefix("ff00::/8"), "multicast"},
}

var errOwn = errors.New("it is an address of this edge")

// AllowPublic gives the policy for candidate addresses: public unicast addresses other than our own, and whatever lies in extra, which
// wins over every refusal. The policy is safe for concurrent use.
func AllowPublic(extra []netip.Prefix, own ...netip.Addr) func(netip.Addr) error {
	extra, own = slices.Clone(extra), slices.Clone(own)
	return func(a netip.Addr) error {
		if !a.IsValid() {
			return errors.New("not an address")
		}
		if slices.ContainsFunc(extra, func(p netip.Prefix) bool { return p.Contains(a) }) {
			return nil
		}
		if slices.Contains(own, a.Unmap()) {
			return errOwn
		}
		for _, r := range refusals {
			if r.network.Contains(a) {
				return fmt.Errorf("%s; to allow it, add its network to media.allow_networks", r.why)
			}
		}
		return nil
	}
}
