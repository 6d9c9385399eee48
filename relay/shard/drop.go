package shard

// Drop names why a packet was not passed on. Every early exit of the packet path counts exactly one.
type Drop uint8

const (
	DropNoLeg         Drop = iota // the port belongs to no call any more
	DropEmpty                     // a datagram of no bytes
	DropUnknownKind               // first byte is none of STUN, DTLS, RTP, RTCP (RFC 7983)
	DropNoSetup                   // STUN or DTLS when nobody waits for it any more
	DropWrongAddress              // not from the nominated address (or, on an RTP leg, not from its peer)
	DropBeforeKeys                // SRTP before the handshake is through
	DropRate                      // more packets a second than a call may send
	DropReplay                    // SRTP replay window
	DropAuth                      // SRTP tag
	DropMalformed                 // RTP header or RTCP that does not parse
	DropPayloadType               // neither Opus nor telephone-event of this call
	DropProbation                 // another SSRC, not yet two packets in sequence
	DropLoop                      // our own SSRC came back
	DropDuplicate                 // sequence number seen before
	DropLate                      // its place in the sequence was given up already
	DropPadding                   // an Opus packet of nothing but padding
	DropOpus                      // breaks RFC 6716 R1 to R7
	DropEvent                     // telephone-event that does not parse
	DropNotActive                 // a source that is not the active one
	DropGateClosed                // to the phone, before the media gate opened
	DropNotReady                  // to the phone, before there are keys
	DropLaneNot20ms               // an Opus packet that cannot be cut to 20 ms cannot go to the phone
	DropLaneLate                  // its time on the lane was filled with silence already
	DropLaneAhead                 // the source runs ahead of the clock by more than the lane allows
	DropLaneTone                  // audio while DTMF is sent
	DropLaneViolation             // the egress check found a broken rule
	DropSeal                      // SRTP refused to seal
	DropOutFull                   // the outgoing batch is full
	DropNoPeer                    // an RTP leg that has not learnt its peer yet
	DropTonesFull                 // more DTMF waits than the lane keeps
	DropSurplus                   // its place on the call's clock is taken: not recorded, for the phone's clock runs fast or its path stalled
	DropSetupFull                 // STUN or DTLS of set-up, of which too much waits
	dropCount
)

var dropNames = [dropCount]string{
	DropNoLeg: "no_leg", DropEmpty: "empty", DropUnknownKind: "unknown_kind", DropNoSetup: "no_setup",
	DropWrongAddress: "wrong_address", DropBeforeKeys: "before_keys", DropRate: "rate", DropReplay: "replay", DropAuth: "auth",
	DropMalformed: "malformed", DropPayloadType: "payload_type", DropProbation: "ssrc_probation", DropLoop: "ssrc_loop",
	DropDuplicate: "duplicate", DropLate: "late", DropPadding: "padding", DropOpus: "opus", DropEvent: "telephone_event",
	DropNotActive: "source_not_active", DropGateClosed: "gate_closed", DropNotReady: "no_keys", DropLaneNot20ms: "lane_not_20ms",
	DropLaneLate: "lane_late", DropLaneAhead: "lane_ahead", DropLaneTone: "lane_tone", DropLaneViolation: "lane_violation",
	DropSeal: "seal", DropOutFull: "out_full", DropNoPeer: "no_peer", DropTonesFull: "tones_full", DropSurplus: "surplus", DropSetupFull: "setup_full",
}

// String is the name that the API and the metrics use.
func (d Drop) String() string { return dropNames[d] }

// Drops counts drops by reason. The zero value is ready; it belongs to one goroutine.
type Drops [dropCount]uint32

// Add counts all of o.
func (d *Drops) Add(o *Drops) {
	for i, n := range o {
		d[i] += n
	}
}

// ByName lists the reasons that were counted.
func (d *Drops) ByName() map[string]uint64 {
	m := make(map[string]uint64)
	for i, n := range d {
		if n > 0 {
			m[Drop(i).String()] = uint64(n)
		}
	}
	return m
}
