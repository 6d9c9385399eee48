//go:build interop

package interop

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/onelane/onelane/relay/sdp"
)

// Our offer, byte for byte as the edge writes it, is one that Janus answers, and its answer is one that we read.
func TestJanusAnswersOurOffer(t *testing.T) {
	_, peer := pair(t)
	j := startJanus(t, peer)
	e := j.attachEchoTest(t)
	ours := sdp.Local{
		SessionID: 1, Ufrag: "interop1", Pwd: "interopinteropinteropinterop", Fingerprint: strings.TrimSuffix(strings.Repeat("0A:", 32), ":"),
		Candidates: []netip.AddrPort{netip.MustParseAddrPort(edgeAddress + ":20000")}, SSRC: 0x01020304, CNAME: "interop", MSID: "interop",
	}
	answer := e.answer(t, sdp.Offer(ours), "")
	remote, err := sdp.ParseAnswer(answer, &ours, sdp.AllowPublic([]netip.Prefix{netip.MustParsePrefix(peerAddress + "/32")}))
	if err != nil {
		t.Fatalf("%v\n%s", err, answer)
	}
	if !remote.Lite || len(remote.Candidates) != 1 || remote.Candidates[0].Addr().String() != peerAddress {
		t.Errorf("%v", remote)
	}
	if _, err := sdp.ParseAnswer(answer, &ours, sdp.AllowPublic(nil)); err == nil || !strings.Contains(err.Error(), "allow_networks") {
		t.Errorf("Janus's private address is accepted without leave: %v", err)
	}
	t.Logf("Janus answered:\n%s", answer)
}
