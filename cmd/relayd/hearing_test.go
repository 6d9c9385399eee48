package main

import (
	"fmt"
	"io"
	"time"

	"github.com/pion/rtp"

	"github.com/onelane/onelane/ice/icetest"
	"github.com/onelane/onelane/rtpx/ogg"
)

// hearing is what a phone hears, judged packet by packet: one SSRC, the one of the SDP; sequence +1; timestamps on the grid of 20 ms,
// +960 a packet; payload types of the SDP; a plain header.
type hearing struct {
	ssrc   uint32
	total  int
	wrong  []string // rules broken, since ever
	digits []byte   // whose end was heard

	first    time.Duration // arrival and timestamp of the first packet
	begun    uint32
	seq      uint16
	ts       uint32
	event    bool // the last packet was a telephone-event
	eventEnd bool
	since    []heardPacket
}

type heardPacket struct {
	at      time.Duration
	ts      uint32 // since the first packet
	audio   bool
	gap     bool // its timestamp left positions out
	payload []byte
}

const maxWrong = 8

func (h *hearing) breach(format string, args ...any) {
	if len(h.wrong) < maxWrong {
		h.wrong = append(h.wrong, fmt.Sprintf("packet %d: ", h.total)+fmt.Sprintf(format, args...))
	}
}

func (h *hearing) packet(now time.Duration, r *rtp.Header, payload []byte) {
	h.total++
	audio := r.PayloadType == icetest.OpusPT
	if r.SSRC != h.ssrc {
		h.breach("SSRC %08x, the SDP says %08x", r.SSRC, h.ssrc)
	}
	if !audio && r.PayloadType != icetest.DTMFPT {
		h.breach("payload type %d", r.PayloadType)
	}
	if r.Extension || r.Padding || len(r.CSRC) > 0 {
		h.breach("extension %v, padding %v, %d CSRCs", r.Extension, r.Padding, len(r.CSRC))
	}
	gap := false
	if h.total == 1 {
		h.first, h.begun = now, r.Timestamp
	} else {
		if r.SequenceNumber != h.seq+1 {
			h.breach("sequence %d after %d", r.SequenceNumber, h.seq)
		}
		switch step := int32(r.Timestamp - h.ts); {
		case h.event && !audio && step == 0: // another packet of the same digit
		case step <= 0 || step%960 != 0:
			h.breach("timestamp %+d", step)
		case step != 960:
			gap = !h.event
		}
	}
	if !audio {
		h.digit(r, payload)
	}
	h.seq, h.ts, h.event = r.SequenceNumber, r.Timestamp, !audio
	h.since = append(h.since, heardPacket{at: now, ts: r.Timestamp - h.begun, audio: audio, gap: gap, payload: append([]byte(nil), payload...)})
}

func (h *hearing) digit(r *rtp.Header, payload []byte) {
	if len(payload) != 4 || payload[0] > 15 {
		h.breach("telephone-event % x", payload)
		return
	}
	if !h.event || r.Timestamp != h.ts {
		h.eventEnd = false
		if !r.Marker {
			h.breach("a digit begins without marker")
		}
	}
	if payload[1]&0x80 != 0 && !h.eventEnd {
		h.eventEnd = true
		h.digits = append(h.digits, "0123456789*#ABCD"[payload[0]])
	}
}

func (h *hearing) mark() { h.since = nil }

// count is how many packets were heard since the mark; voice: that are longer than digital silence and no digits.
func (h *hearing) count(voice bool) (n int) {
	for i := range h.since {
		if !voice || h.since[i].audio && len(h.since[i].payload) > 3 {
			n++
		}
	}
	return n
}

// Bounds of steady and calm: a busy test machine may be late, the edge may not.
const (
	steadySlack = 80 * time.Millisecond
	calmWindow  = 10 * time.Millisecond
	staleLimit  = 150 * time.Millisecond
)

func (h *hearing) steady() error {
	n := len(h.since)
	if n < 2 {
		return fmt.Errorf("%d packets since the mark", n)
	}
	for i, p := range h.since {
		if p.gap {
			return fmt.Errorf("packet %d since the mark leaves out a part of the time", i)
		}
	}
	first, last := h.since[0], h.since[n-1]
	media, real := time.Duration(last.ts-first.ts)*time.Second/48000, last.at-first.at
	if off := (media - real).Abs(); off > steadySlack {
		return fmt.Errorf("%d packets with %v of media in %v", n, media, real)
	}
	return nil
}

func (h *hearing) calm(most int) error {
	first := 0
	for i, p := range h.since {
		for p.at-h.since[first].at >= calmWindow {
			first++
		}
		if i-first+1 > most {
			return fmt.Errorf("%d packets within %v", i-first+1, calmWindow)
		}
		if late := (p.at - h.first) - time.Duration(p.ts)*time.Second/48000; i == len(h.since)-1 && late.Abs() > staleLimit {
			return fmt.Errorf("the last packet's timestamp is %v behind the clock", late)
		}
	}
	return nil
}

// save writes what was heard since the mark as Ogg Opus, without decoding.
func (h *hearing) save(w io.Writer) error {
	out, err := ogg.NewWriter(w, 1, ogg.Head{Channels: 1, SampleRate: 48000}, ogg.Tags{Vendor: "phone"})
	if err != nil {
		return err
	}
	for i := range h.since {
		if h.since[i].audio {
			if err := out.Packet(h.since[i].payload, 960); err != nil {
				return err
			}
		}
	}
	return out.End()
}
