package main

import (
	"context"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/onelane/onelane/bench/internal/standin"
)

// bridge is an rtpengine between phones and the mirror: ICE and DTLS-SRTP to the one side, plain RTP to the other.
type bridge struct {
	control control
	mirror  netip.AddrPort
	serial  atomic.Uint64
}

func (*bridge) Name() string { return "rtpengine" }

// Packets is not known here; relaybench knows what it has sent.
func (*bridge) Packets() (received, sent uint64) { return 0, 0 }

func (e *bridge) Answer(ctx context.Context, text string) (string, func(), error) {
	offer, err := standin.ReadOffer(text)
	if err != nil {
		return "", nil, err
	}
	id := "call-" + strconv.FormatUint(e.serial.Add(1), 10)
	// The mirror offers and the phone answers, by its own offer made into an answer: an rtpengine that is offered by an ICE-lite peer checks
	// at once, and then never nominates the pair that has answered before the offer was.
	ours, err := e.control.ask(ctx, "offer", offered(id, e.mirror, offer))
	if err != nil {
		return "", nil, err
	}
	end := func() {
		_, _ = e.control.ask(context.Background(), "delete", map[string]any{"call-id": id, "from-tag": "mirror", "delete-delay": 0})
	}
	if _, err := e.control.ask(ctx, "answer", answered(id, text)); err != nil {
		end()
		return "", nil, err
	}
	return forPhone(ours, offer), end, nil
}

// offered is the arguments of "offer", for the mirror's side.
func offered(id string, mirror netip.AddrPort, o standin.Offer) map[string]any {
	return map[string]any{
		"call-id": id, "from-tag": "mirror", "sdp": standin.PlainOffer(mirror, o), "ICE": "force", "SDES": []string{"off"},
		"transport-protocol": "UDP/TLS/RTP/SAVPF", "rtcp-mux": []string{"require"}, "replace": []string{"origin", "session-connection"},
	}
}

// answered is the arguments of "answer", for the phone's side.
func answered(id, phone string) map[string]any {
	return map[string]any{
		"call-id": id, "from-tag": "mirror", "to-tag": "phone", "sdp": standin.AsAnswer(phone), "ICE": "remove",
		"transport-protocol": "RTP/AVP", "rtcp-mux": []string{"demux"}, "replace": []string{"origin", "session-connection"},
	}
}

// forPhone is what the phone gets: rtpengine leaves SSRCs as they are, and names them only if the offer did.
func forPhone(ours map[string]any, o standin.Offer) string {
	sdp, _ := ours["sdp"].(string)
	if !strings.Contains(sdp, "a=ssrc:") {
		sdp += standin.MirrorSource(o)
	}
	return sdp
}
