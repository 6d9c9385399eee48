package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/onelane/onelane/bench/internal/standin"
)

// bridge is an rtpengine between phones and the echo: ICE and DTLS-SRTP to the one side, plain RTP to the other.
type bridge struct {
	control control
	echo    *echo
	serial  atomic.Uint64
}

func (e *bridge) Name() string { return "rtpengine" }

// Packets counts what passed the echo: each of those packets came to the rtpengine twice, from the phone and from the echo.
func (e *bridge) Packets() (received, sent uint64) {
	n := 2 * e.echo.reflected.Load()
	return n, n
}

func (e *bridge) Answer(ctx context.Context, text string) (string, func(), error) {
	offer, err := standin.ReadOffer(text)
	if err != nil {
		return "", nil, err
	}
	id := "call-" + strconv.FormatUint(e.serial.Add(1), 10)
	// The echo offers and the phone answers, by its own offer made into an answer: an rtpengine that is offered by an ICE-lite peer checks
	// at once, and then never nominates the pair that has answered before the offer was.
	ours, err := e.control.ask(ctx, "offer", map[string]any{
		"call-id": id, "from-tag": "echo", "sdp": e.plain(offer), "ICE": "force", "SDES": []string{"off"},
		"transport-protocol": "UDP/TLS/RTP/SAVPF", "rtcp-mux": []string{"require"}, "replace": []string{"origin", "session-connection"},
	})
	if err != nil {
		return "", nil, err
	}
	end := func() {
		_, _ = e.control.ask(context.Background(), "delete", map[string]any{"call-id": id, "from-tag": "echo", "delete-delay": 0})
	}
	if _, err := e.control.ask(ctx, "answer", map[string]any{
		"call-id": id, "from-tag": "echo", "to-tag": "phone", "sdp": strings.Replace(text, "a=setup:actpass", "a=setup:passive", 1), "ICE": "remove",
		"transport-protocol": "RTP/AVP", "rtcp-mux": []string{"demux"}, "replace": []string{"origin", "session-connection"},
	}); err != nil {
		end()
		return "", nil, err
	}
	sdp, _ := ours["sdp"].(string)
	if !strings.Contains(sdp, "a=ssrc:") {
		sdp += e.ssrc(offer)
	}
	return sdp, end, nil
}

// ssrc names what the echo makes of the phone's packets.
func (e *bridge) ssrc(o standin.Offer) string {
	return fmt.Sprintf("a=ssrc:%d cname:echo\r\n", o.SSRC^otherSource)
}

// plain is the echo's offer.
func (e *bridge) plain(o standin.Offer) string {
	a := e.echo.address
	return strings.Join([]string{
		"v=0",
		"o=- 1 1 IN IP4 " + a.Addr().String(),
		"s=-",
		"c=IN IP4 " + a.Addr().String(),
		"t=0 0",
		fmt.Sprintf("m=audio %d RTP/AVP 111 126", a.Port()),
		"a=rtpmap:111 opus/48000/2",
		"a=rtpmap:126 telephone-event/8000",
		"a=sendrecv",
		"a=ptime:20",
		"",
	}, "\r\n") + e.ssrc(o)
}
