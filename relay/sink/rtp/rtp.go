// Package rtp reads the parameters of a plain-RTP leg to a SIP media server. It is pure: it opens nothing and asks no DNS. The leg's
// packets are forwarded by relay/shard in the turn they arrive in.
package rtp

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Leg is what a leg is set up with.
type Leg struct {
	// Peer is where packets go to and come from. The zero value if Learn.
	Peer netip.AddrPort
	// Learn: the peer is the source of the first valid packet, for the life of the leg. Permit decides whether that source may be.
	Learn bool
	// OpusPT and DTMFPT are the payload types of Opus and telephone-event on this leg, both ways.
	OpusPT, DTMFPT uint8
	// DTMFClock is what telephone-event durations count on this leg, 8000 or 48000. Meta's are 8000; a server that negotiated 48000
	// would hear our digits six times too short, and we its six times too long.
	DTMFClock int
}

// Param describes one parameter.
type Param struct {
	Name, Doc, Default string
	Required           bool
}

// Payload types that SIP media servers use most. Only the dynamic range is accepted (RFC 3551 section 6): a static number means some
// other codec, and 64 to 95 look like RTCP when both share a port (RFC 5761 section 4).
const (
	defaultOpus  = 111
	defaultDTMF  = 101
	firstDynamic = 96
	lastDynamic  = 127
)

// Params are the parameters that Parse knows.
var Params = []Param{
	{
		Name: "peer",
		Doc: "Where the media server receives, as ip:port or [ip]:port; the address has to be in a network that the edge's operator allows. " +
			"Empty: learnt once, from the first valid packet.",
	},
	{Name: "opus", Doc: "RTP payload type of Opus on this leg, 96 to 127.", Default: strconv.Itoa(defaultOpus)},
	{Name: "dtmf", Doc: "RTP payload type of telephone-event on this leg, 96 to 127.", Default: strconv.Itoa(defaultDTMF)},
	{Name: "dtmf_clock", Doc: "Clock of telephone-event durations on this leg, as in its SDP: 8000 or 48000.", Default: "8000"},
}

// Parse reads parameters. Parameters that are missing or empty have their defaults. allow are the networks that legs may reach.
func Parse(params map[string]string, allow []netip.Prefix) (Leg, error) {
	for _, name := range slices.Sorted(maps.Keys(params)) {
		if !slices.ContainsFunc(Params, func(p Param) bool { return p.Name == name }) {
			return Leg{}, fmt.Errorf("unknown parameter %q; there are peer, opus, dtmf and dtmf_clock", name)
		}
	}
	if len(allow) == 0 {
		return Leg{}, fmt.Errorf("no RTP leg is allowed on this edge: its operator has to list the media servers' networks in rtp.allow_networks")
	}
	var leg Leg
	var err error
	if leg.OpusPT, err = payloadType("opus", params["opus"], defaultOpus); err != nil {
		return Leg{}, err
	}
	if leg.DTMFPT, err = payloadType("dtmf", params["dtmf"], defaultDTMF); err != nil {
		return Leg{}, err
	}
	if leg.OpusPT == leg.DTMFPT {
		return Leg{}, fmt.Errorf("opus and dtmf are both %d; they need different payload types", leg.OpusPT)
	}
	switch c := params["dtmf_clock"]; c {
	case "", "8000":
		leg.DTMFClock = 8000
	case "48000":
		leg.DTMFClock = 48000
	default:
		return Leg{}, fmt.Errorf("dtmf_clock=%q; it is 8000 or 48000, as in the rtpmap of telephone-event", clip(c))
	}
	if params["peer"] == "" {
		leg.Learn = true
		return leg, nil
	}
	if leg.Peer, err = peer(params["peer"]); err != nil {
		return Leg{}, err
	}
	if err := Permit(leg.Peer.Addr(), allow); err != nil {
		return Leg{}, fmt.Errorf("peer: %w", err)
	}
	return leg, nil
}

func payloadType(name, s string, missing uint8) (uint8, error) {
	if s == "" {
		return missing, nil
	}
	n, err := strconv.ParseUint(s, 10, 8)
	if err != nil || n < firstDynamic || n > lastDynamic || s != strconv.FormatUint(n, 10) {
		return 0, fmt.Errorf("%s=%q is no dynamic RTP payload type; give %d to %d", name, s, firstDynamic, lastDynamic)
	}
	return uint8(n), nil
}

// peer reads ip:port in its one canonical form. Names are refused since there is no DNS in the media path, and so is every other way
// to write an address (2130706433, 0177.0.0.1, 127.1): what one parser takes for an address another takes for a different one.
func peer(s string) (netip.AddrPort, error) {
	p, err := netip.ParseAddrPort(s)
	switch {
	case err != nil:
		return netip.AddrPort{}, fmt.Errorf("peer=%q is not an address: give ip:port or [ip]:port, in numbers; names are not looked up", clip(s))
	case p.Port() == 0:
		return netip.AddrPort{}, fmt.Errorf("peer=%q has port 0; give the port that the media server receives on", s)
	case p.Addr().Zone() != "":
		return netip.AddrPort{}, fmt.Errorf("peer=%q has a zone; a media server has to have an address that is routed", clip(s))
	case p.Addr().Is4In6():
		return netip.AddrPort{}, fmt.Errorf("peer=%q is an IPv4 address in IPv6 clothes; write it as %v", s, netip.AddrPortFrom(p.Addr().Unmap(), p.Port()))
	}
	return p, nil
}

// clip keeps an error short.
func clip(s string) string {
	if len(s) > 64 {
		return strings.ToValidUTF8(s[:64], "") + "…"
	}
	return s
}
