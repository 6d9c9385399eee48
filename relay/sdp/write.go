package sdp

import (
	"fmt"
	"net/netip"
	"strings"
)

// Answer writes our answer to an offer. The same input gives the same bytes.
func Answer(r *Remote, l Local) string {
	if l.Setup != SetupActive && l.Setup != SetupPassive {
		l.Setup = SetupActive
		if !r.Client() {
			l.Setup = SetupPassive
		}
	}
	return write(r, l)
}

// Offer writes our offer. The same input gives the same bytes.
func Offer(l Local) string {
	l.Setup = SetupActpass
	return write(&Remote{
		Profile: offerProfile, Mid: OfferMid, BundleID: OfferMid,
		OpusPT: OfferOpusPT, OpusFmtp: offerFmtp, DTMFPT: OfferDTMFPT, DTMFListed: true,
	}, l)
}

// write puts the lines in the order that Meta's own offers have.
func write(r *Remote, l Local) string {
	var b strings.Builder
	put := func(format string, args ...any) { fmt.Fprintf(&b, format+"\r\n", args...) }
	first := l.Candidates[0]
	for _, c := range l.Candidates {
		// The default destination: IPv4, which the most peers can use (RFC 8839 section 4.2.1.1).
		if c.Addr().Is4() {
			first = c
			break
		}
	}
	formats := fmt.Sprint(r.OpusPT)
	if r.DTMFListed {
		formats += fmt.Sprint(" ", r.DTMFPT)
	}

	put("v=0")
	put("o=- %d 2 IN IP4 127.0.0.1", l.SessionID&(1<<63-1))
	put("s=-")
	put("t=0 0")
	if r.BundleID != "" {
		put("a=group:BUNDLE %s", r.BundleID)
	}
	put("a=msid-semantic: WMS %s", l.MSID)
	put("m=audio %d %s %s", first.Port(), r.Profile, formats)
	put("c=IN %s %s", family(first.Addr()), first.Addr())
	put("a=rtcp:9 IN IP4 0.0.0.0")
	for _, c := range l.Candidates {
		put("%s", candidate(c, len(l.Candidates) > 1))
	}
	put("a=ice-ufrag:%s", l.Ufrag)
	put("a=ice-pwd:%s", l.Pwd)
	put("a=fingerprint:sha-256 %s", l.Fingerprint)
	put("a=setup:%s", l.Setup)
	if r.Mid != "" {
		put("a=mid:%s", r.Mid)
	}
	put("a=sendrecv")
	put("a=msid:%s audio", l.MSID)
	put("a=rtcp-mux")
	put("a=rtpmap:%d opus/48000/2", r.OpusPT)
	if r.OpusFmtp != "" {
		put("a=fmtp:%d %s", r.OpusPT, r.OpusFmtp)
	}
	if r.DTMFListed {
		put("a=rtpmap:%d telephone-event/8000", r.DTMFPT)
	}
	put("a=maxptime:20")
	put("a=ptime:20")
	put("a=ssrc:%d cname:%s", l.SSRC, l.CNAME)
	return b.String()
}

func family(a netip.Addr) string {
	if a.Is4() {
		return "IP4"
	}
	return "IP6"
}

// candidate writes a host candidate of component 1. Its priority is that of RFC 8445 section 5.1.2.1: type preference 126, and where
// both families are there IPv6 has the higher local preference (RFC 8421 section 4), as in Meta's own offers.
func candidate(c netip.AddrPort, both bool) string {
	foundation, preference := 1, 65535
	switch {
	case !c.Addr().Is4():
		foundation = 2
	case both:
		preference--
	}
	priority := 126<<24 | preference<<8 | (256 - 1)
	return fmt.Sprintf("a=candidate:%d 1 udp %d %s %d typ host", foundation, priority, c.Addr(), c.Port())
}
