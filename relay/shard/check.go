package shard

import (
	"encoding/binary"

	"github.com/onelane/onelane/rtpx"
	"github.com/onelane/onelane/rtpx/opus"
)

// Violation names the rule that a packet to the phone would have broken.
type Violation uint8

const (
	Lawful            Violation = iota
	ViolatesHeader              // version, padding, extension or CSRC count
	ViolatesPayload             // payload type is neither Opus nor telephone-event of Meta's SDP
	ViolatesSSRC                // not the SSRC of our SDP
	ViolatesSequence            // not the last + 1
	ViolatesTimestamp           // audio not a multiple of 960 ahead; an event packet that left its event's timestamp
	ViolatesPtime               // not 20 ms of Opus, or not a four-byte event
	violationCount
)

var violationNames = [violationCount]string{"lawful", "header", "payload_type", "ssrc", "sequence", "timestamp", "ptime"}

// String is the name that the API uses.
func (v Violation) String() string { return violationNames[v] }

// egress is the last check in front of the sealer. It knows the rules of Meta's phone and nothing of how a packet came to be, so that a
// fault anywhere before it cannot reach the phone. It works on the bytes that would be sealed.
type egress struct {
	ssrc    uint32
	audioPT uint8
	dtmfPT  uint8
	started bool
	event   bool   // the last packet was a telephone-event
	seq     uint16 // of the last lawful packet
	ts      uint32 // of the last lawful packet
}

func (e *egress) check(b []byte, scratch *opus.Packet) Violation {
	if len(b) <= rtpx.HeaderSize || b[0] != 0x80 {
		return ViolatesHeader
	}
	pt := b[1] & 0x7F
	if pt != e.audioPT && pt != e.dtmfPT {
		return ViolatesPayload
	}
	if binary.BigEndian.Uint32(b[8:]) != e.ssrc {
		return ViolatesSSRC
	}
	seq, ts := binary.BigEndian.Uint16(b[2:]), binary.BigEndian.Uint32(b[4:])
	if e.started && seq != e.seq+1 {
		return ViolatesSequence
	}
	event := pt == e.dtmfPT
	if e.started {
		ahead := int32(ts - e.ts)
		same := ahead == 0 && event && e.event
		if !same && (ahead <= 0 || ahead%frameSamples != 0) {
			return ViolatesTimestamp
		}
	}
	if event {
		if len(b) != rtpx.HeaderSize+4 {
			return ViolatesPtime
		}
	} else if n, ok := length(b[rtpx.HeaderSize:], scratch); !ok || n != frameSamples {
		return ViolatesPtime
	}
	e.started, e.event, e.seq, e.ts = true, event, seq, ts
	return Lawful
}
