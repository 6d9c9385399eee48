package sdp

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// readCandidates keeps what we can and may send checks to. There is no trickle channel, so the list is final: one without a usable
// candidate is refused at once.
func (r *Remote) readCandidates(d *description, allow func(netip.Addr) error) *Error {
	found := d.all("candidate")
	if len(found) > MaxCandidates {
		return refuse(found[MaxCandidates].line, RuleCandidate, "there are %d candidates; at most %d are accepted", len(found), MaxCandidates)
	}
	type ranked struct {
		address  netip.AddrPort
		priority uint64
	}
	var kept []ranked
	for _, a := range found {
		address, priority, skip, err := readCandidate(a)
		if err != nil {
			return err
		}
		if skip || slices.ContainsFunc(kept, func(k ranked) bool { return k.address == address }) {
			continue
		}
		if allow != nil {
			if bad := allow(address.Addr()); bad != nil {
				return refuse(a.line, RuleAddress, "the candidate address %s is refused: %s", address.Addr(), bad)
			}
		}
		kept = append(kept, ranked{address, priority})
	}
	if len(kept) == 0 {
		return refuse(d.mediaLine, RuleCandidate, "there is no UDP host candidate of component 1 among %d candidates; there is no other way to learn the peer's address", len(found))
	}
	slices.SortStableFunc(kept, func(a, b ranked) int { return cmp.Compare(b.priority, a.priority) })
	for _, k := range kept {
		r.Candidates = append(r.Candidates, k.address)
	}
	return nil
}

// readCandidate reads one line (RFC 8839 section 5.1): foundation, component, transport, priority, address, port, "typ", type; what
// follows (generation, network-cost, a repeated ufrag) says nothing to us. What cannot be used but is legal is skipped.
func readCandidate(a attribute) (address netip.AddrPort, priority uint64, skip bool, err *Error) {
	f := strings.Fields(a.value)
	if len(f) < 8 || f[6] != "typ" {
		return address, 0, false, refuse(a.line, RuleCandidate, "the candidate does not read: foundation component transport priority address port typ type")
	}
	component, bad := strconv.ParseUint(f[1], 10, 16)
	if bad != nil {
		return address, 0, false, refuse(a.line, RuleCandidate, "the candidate's component is %s, not a number", quote(f[1]))
	}
	if component != 1 || !strings.EqualFold(f[2], "udp") || f[7] != "host" {
		return address, 0, true, nil
	}
	if priority, bad = strconv.ParseUint(f[3], 10, 32); bad != nil {
		return address, 0, false, refuse(a.line, RuleCandidate, "the candidate's priority is %s, not a 32-bit number", quote(f[3]))
	}
	port, bad := strconv.ParseUint(f[5], 10, 16)
	if bad != nil || port == 0 {
		return address, 0, false, refuse(a.line, RuleCandidate, "the candidate's port is %s; it must be 1 to 65535", quote(f[5]))
	}
	ip, bad := netip.ParseAddr(f[4])
	switch {
	case bad != nil && strings.HasSuffix(strings.ToLower(f[4]), ".local"):
		return address, 0, false, refuse(a.line, RuleCandidate, "the candidate is an mDNS name; turn host name hiding off at the peer and send an IP address")
	case bad != nil:
		return address, 0, false, refuse(a.line, RuleCandidate, "the candidate address %s is not an IP address; names are not resolved in the media path", quote(f[4]))
	case ip.Zone() != "":
		return address, 0, false, refuse(a.line, RuleCandidate, "the candidate address has a zone; only globally meaningful addresses are accepted")
	}
	return netip.AddrPortFrom(ip, uint16(port)), priority, false, nil
}
