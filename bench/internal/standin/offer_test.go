package standin

import (
	"net/netip"
	"strings"
	"testing"
)

// phoneOffer is an offer as relaybench's phones write it.
const phoneOffer = "v=0\r\no=- 1700000000001 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE audio\r\na=ice-lite\r\n" +
	"m=audio 40000 UDP/TLS/RTP/SAVPF 111 126\r\nc=IN IP4 10.77.0.2\r\n" +
	"a=candidate:2275956755 1 udp 2122260223 10.77.0.2 40000 typ host generation 0 network-cost 50\r\n" +
	"a=ice-ufrag:phone\r\na=ice-pwd:secretsecretsecretsecret\r\na=fingerprint:sha-256 AA:BB\r\na=setup:actpass\r\na=mid:audio\r\n" +
	"a=ssrc:16909060 cname:relaybench\r\n"

func TestPhonesOfferIsRead(t *testing.T) {
	o, err := ReadOffer(phoneOffer)
	want := Offer{"phone", "secretsecretsecretsecret", "AA:BB", netip.MustParseAddrPort("10.77.0.2:40000"), 0x01020304}
	if err != nil || o != want {
		t.Errorf("%+v, %v", o, err)
	}
	for _, line := range []string{"a=ice-ufrag", "a=ice-pwd", "a=fingerprint", "a=candidate"} {
		if _, err := ReadOffer(strings.Replace(phoneOffer, line, "a=other", 1)); err == nil {
			t.Errorf("an offer without %s is read", line)
		}
	}
}

func TestMirrorIsOfferedWithItsAddressAndSource(t *testing.T) {
	sdp := PlainOffer(netip.MustParseAddrPort("10.77.0.2:4000"), Offer{SSRC: 0x01020304})
	for _, line := range []string{"c=IN IP4 10.77.0.2", "m=audio 4000 RTP/AVP 111 126", "a=rtpmap:111 opus/48000/2", "a=ssrc:1532516702 cname:mirror"} {
		if !strings.Contains(sdp, line+"\r\n") {
			t.Errorf("no %q in\n%s", line, sdp)
		}
	}
}

func TestAnOfferMadeIntoAnAnswerWaitsForTheClientHello(t *testing.T) {
	if a := AsAnswer(phoneOffer); !strings.Contains(a, "a=setup:passive\r\n") || strings.Contains(a, "actpass") || !strings.Contains(a, "a=ice-lite\r\n") {
		t.Error(a)
	}
}
