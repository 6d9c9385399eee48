package udptest

import (
	"net/netip"
	"slices"
)

// Match chooses datagrams. It may not keep b nor call the Network.
type Match func(from, to netip.AddrPort, b []byte) bool

// Filter loses chosen datagrams.
type Filter struct {
	network *Network
	match   Match
	only    int // the one to drop, counted from 1; 0: all
	hits    int
}

// Drop loses every datagram that match chooses, until Remove.
func (n *Network) Drop(match Match) *Filter { return n.DropNth(0, match) }

// DropNth loses the nth datagram, counted from 1, of those that match chooses, and lets the others pass.
func (n *Network) DropNth(nth int, match Match) *Filter {
	n.mu.Lock()
	defer n.mu.Unlock()
	f := &Filter{network: n, match: match, only: nth}
	n.filters = append(n.filters, f)
	return f
}

// Remove ends the Filter.
func (f *Filter) Remove() {
	f.network.mu.Lock()
	defer f.network.mu.Unlock()
	f.network.filters = slices.DeleteFunc(slices.Clone(f.network.filters), func(o *Filter) bool { return o == f })
}

// Hits is how many datagrams match has chosen, dropped or not.
func (f *Filter) Hits() int {
	f.network.mu.Lock()
	defer f.network.mu.Unlock()
	return f.hits
}

func (f *Filter) drops(from, to netip.AddrPort, b []byte) bool {
	if !f.match(from, to, b) {
		return false
	}
	f.hits++
	return f.only == 0 || f.only == f.hits
}
