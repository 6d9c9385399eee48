package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/onelane/onelane/bench/internal/janus"
	"github.com/onelane/onelane/bench/internal/standin"
)

// bridge is a Janus between phones and the mirror.
type bridge struct {
	api    *janus.API
	mirror netip.AddrPort
}

// endTime bounds the taking down of a call.
const endTime = 5 * time.Second

func (*bridge) Name() string { return "janus" }

// Packets is not known here; relaybench knows what it has sent.
func (*bridge) Packets() (received, sent uint64) { return 0, 0 }

func (b *bridge) Answer(ctx context.Context, text string) (string, func(), error) {
	offer, err := standin.ReadOffer(text)
	if err != nil {
		return "", nil, err
	}
	h, err := b.api.Attach(ctx, "janus.plugin.nosip")
	if err != nil {
		return "", nil, err
	}
	end := func() {
		ctx, cancel := context.WithTimeout(context.Background(), endTime)
		defer cancel()
		h.Destroy(ctx)
	}
	ours, err := bridged(ctx, h, standin.PlainOffer(b.mirror, offer), text)
	if err != nil {
		end()
		return "", nil, err
	}
	return ours, end, nil
}

// bridged gives Janus's offer to the phone. The mirror offers and the phone answers, by its own offer made into an answer: a Janus that has
// made the offer is ICE's controlling end, as it has to be towards an ICE-lite one.
func bridged(ctx context.Context, h *janus.Handle, mirror, phone string) (string, error) {
	if err := h.Post(ctx, process(mirror)); err != nil {
		return "", err
	}
	offer, err := result(ctx, h, "processed")
	if err != nil {
		return "", err
	}
	if err := h.Post(ctx, generate(asAnswerTo(offer, phone))); err != nil {
		return "", err
	}
	if _, err := result(ctx, h, "generated"); err != nil {
		return "", err
	}
	return offer, nil
}

// process gives NoSIP the description of its plain side.
func process(sdp string) janus.Message {
	return janus.Message{Janus: "message", Body: map[string]any{"request": "process", "type": "offer", "sdp": sdp}}
}

// generate gives NoSIP the phone's answer.
func generate(sdp string) janus.Message {
	return janus.Message{Janus: "message", Body: map[string]any{"request": "generate"}, Jsep: &janus.Jsep{Type: "answer", SDP: sdp}}
}

// event is what NoSIP says.
type event struct {
	Code   int    `json:"error_code"`
	Error  string `json:"error"`
	Result struct {
		Event string `json:"event"`
	} `json:"result"`
}

// result waits for an event of NoSIP, and gives the description for the WebRTC side that came with it, if any.
func result(ctx context.Context, h *janus.Handle, want string) (sdp string, err error) {
	for {
		m, err := h.Event(ctx)
		if err != nil {
			return "", err
		}
		if sdp, ok, err := read(m, want); ok || err != nil {
			return sdp, err
		}
	}
}

// read reads a message; ok is false for one that is something else, such as the state of ICE.
func read(m janus.Message, want string) (sdp string, ok bool, err error) {
	if m.Janus == "hangup" {
		return "", false, fmt.Errorf("janus hung up: %s", m.Reason)
	}
	if m.Janus != "event" {
		return "", false, nil
	}
	var e event
	if err := json.Unmarshal(m.PluginData.Data, &e); err != nil {
		return "", false, fmt.Errorf("nosip: %w", err)
	}
	switch {
	case e.Code != 0:
		return "", false, fmt.Errorf("nosip: %s (%d)", e.Error, e.Code)
	case e.Result.Event != want:
		return "", false, nil
	case m.Jsep != nil:
		return m.Jsep.SDP, true, nil
	case want == "processed":
		return "", false, errors.New("nosip processed the mirror's offer and made none for the phone")
	}
	return "", true, nil
}

// asAnswerTo makes a phone's offer into its answer to another offer, whose name of the medium it has to have.
func asAnswerTo(offer, phone string) string {
	mid := "audio"
	for line := range strings.Lines(offer) {
		if value, ok := strings.CutPrefix(strings.TrimRight(line, "\r\n"), "a=mid:"); ok {
			mid = value
		}
	}
	return strings.NewReplacer("a=mid:audio\r\n", "a=mid:"+mid+"\r\n", "a=group:BUNDLE audio\r\n", "a=group:BUNDLE "+mid+"\r\n").Replace(standin.AsAnswer(phone))
}
