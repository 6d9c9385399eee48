//go:build linux

package farend

import (
	"fmt"
	"strconv"
	"strings"
)

// payloadType is Opus in the carrier's SDP, and eventType its telephone-event.
const (
	payloadType = 111
	eventType   = 126
)

// Offer is an offer as the carrier's relays write it.
func (p *Phone) Offer() string {
	a := p.exchange.socket.local
	return strings.Join([]string{
		"v=0",
		"o=- " + strconv.FormatUint(1_700_000_000_000+uint64(p.id), 10) + " 2 IN IP4 127.0.0.1",
		"s=-",
		"t=0 0",
		"a=group:BUNDLE audio",
		"a=msid-semantic: WMS relaybench",
		"a=ice-lite",
		fmt.Sprintf("m=audio %d UDP/TLS/RTP/SAVPF %d %d", a.Port(), payloadType, eventType),
		"c=IN IP4 " + a.Addr().String(),
		"a=rtcp:9 IN IP4 0.0.0.0",
		fmt.Sprintf("a=candidate:2275956755 1 udp 2122260223 %s %d typ host generation 0 network-cost 50", a.Addr(), a.Port()),
		"a=ice-ufrag:" + p.ufrag,
		"a=ice-pwd:" + p.pwd,
		"a=fingerprint:sha-256 " + p.exchange.certificate.Fingerprint(),
		"a=setup:actpass",
		"a=mid:audio",
		"a=sendrecv",
		"a=msid:relaybench audio",
		"a=rtcp-mux",
		fmt.Sprintf("a=rtpmap:%d opus/48000/2", payloadType),
		fmt.Sprintf("a=fmtp:%d maxaveragebitrate=20000;maxplaybackrate=16000;minptime=20;sprop-maxcapturerate=16000;useinbandfec=1", payloadType),
		fmt.Sprintf("a=rtpmap:%d telephone-event/8000", eventType),
		"a=maxptime:20",
		"a=ptime:20",
		fmt.Sprintf("a=ssrc:%d cname:relaybench", p.local),
	}, "\r\n") + "\r\n"
}

// Accept reads the relay's answer and lets the handshake begin.
func (p *Phone) Accept(answer string) error {
	var fingerprint, setup string
	var ssrc uint64
	for line := range strings.Lines(answer) {
		name, value, _ := strings.Cut(strings.TrimRight(line, "\r\n"), ":")
		switch name {
		case "a=fingerprint":
			_, fingerprint, _ = strings.Cut(value, " ")
		case "a=setup":
			setup = value
		case "a=ssrc":
			first, _, _ := strings.Cut(value, " ")
			ssrc, _ = strconv.ParseUint(first, 10, 32)
		}
	}
	if fingerprint == "" || ssrc == 0 {
		return fmt.Errorf("the answer has no fingerprint or no SSRC")
	}
	e := p.exchange
	e.call(func() {
		if p.peer.known || p.ctx.Err() != nil {
			return
		}
		p.peer.fingerprint, p.peer.passive, p.peer.ssrc = fingerprint, setup == "passive", uint32(ssrc)
		p.peer.known = true
		if p.peer.remote.IsValid() {
			e.shake(p)
		}
	})
	return nil
}
