package standin

import (
	"fmt"
	"net/netip"
	"strings"
)

// otherSource is what the SSRC of relaybench's mirror differs by from that of what it got.
const otherSource = 0x5a5a5a5a

// PlainOffer is a description of relaybench's mirror: plain RTP with the phone's codecs, and the SSRC that the mirror gives its packets.
func PlainOffer(mirror netip.AddrPort, o Offer) string {
	a := mirror.Addr().String()
	return strings.Join([]string{
		"v=0",
		"o=- 1 1 IN IP4 " + a,
		"s=-",
		"c=IN IP4 " + a,
		"t=0 0",
		fmt.Sprintf("m=audio %d RTP/AVP 111 126", mirror.Port()),
		"a=rtpmap:111 opus/48000/2",
		"a=rtpmap:126 telephone-event/8000",
		"a=sendrecv",
		"a=ptime:20",
		"",
	}, "\r\n") + MirrorSource(o)
}

// MirrorSource is the line of a description that names the mirror's SSRC.
func MirrorSource(o Offer) string {
	return fmt.Sprintf("a=ssrc:%d cname:mirror\r\n", o.SSRC^otherSource)
}

// AsAnswer makes a phone's offer into its answer: an ICE-lite end that waits for the ClientHello.
func AsAnswer(offer string) string {
	return strings.Replace(offer, "a=setup:actpass", "a=setup:passive", 1)
}
