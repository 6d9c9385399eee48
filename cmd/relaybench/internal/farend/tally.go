//go:build linux

package farend

import (
	"time"

	"github.com/onelane/onelane/cmd/relaybench/internal/histogram"
)

// Tally is what happened in a window. Packets that were sent in the window and came back until it was collected belong to it.
type Tally struct {
	Phones   int           // that were up when the window began
	Duration time.Duration // of sending

	Sent       uint64 // packets of the phones
	Received   uint64 // that came back, without duplicates
	Lost       uint64 // that did not
	Reordered  uint64 // that came back behind a later one
	Duplicates uint64
	Foreign    uint64 // audio that no phone has sent: the relay's own silence
	Mirrored   uint64 // plain RTP that the mirror sent back
	Reports    uint64 // RTCP of the relay; not opened

	Continuity Continuity
	Latency    histogram.Histogram // from the stamp of sending to that of receiving
	Pacing     histogram.Histogram // how far the time between two packets was from the time between their timestamps

	Own     Own
	Seconds []Second // by the time of sending
}

// Continuity is what a phone must never see in the stream to it (the relay of the carrier gives every packet one SSRC, so a second source or
// a jump corrupts the audio). All are counts of packets.
type Continuity struct {
	Form          uint64 `json:"form"`           // not version 2 without padding, extension and CSRC, or not the payload type of the SDP
	SSRC          uint64 `json:"ssrc"`           // not the one in the SDP
	Sequence      uint64 `json:"sequence"`       // a jump of more than maxMissing, or a number twice
	Timestamp     uint64 `json:"timestamp"`      // not a multiple of 960 onwards, or less than 960 a packet
	Missing       int64  `json:"missing"`        // sequence numbers that never came: lost on the way to the phone
	TimestampGaps uint64 `json:"timestamp_gaps"` // a hole in the timestamps between packets in sequence: allowed, the clock went on
	Unopened      uint64 `json:"unopened"`       // did not authenticate
}

// Breaches is how many packets broke a rule.
func (c Continuity) Breaches() uint64 {
	return c.Form + c.SSRC + c.Sequence + c.Timestamp + c.Unopened
}

// Own is what this process did to the measurement.
type Own struct {
	Late       histogram.Histogram // how long after its time a packet was sent
	Unsent     uint64              // packets that the kernel refused to take
	Dropped    uint64              // datagrams that came while the receive buffer was full: loss that is not the relay's
	Stalls     uint64              // times that this process did not run for stallAfter or more
	Strays     uint64              // datagrams that belong to no phone
	Unstamped  uint64              // packets without the kernel's receive time: stamped when they were read
	CheckFails uint64              // STUN that was malformed or of a wrong integrity
}

// Second is one second of a window.
type Second struct {
	Sent     uint32        `json:"sent"`
	Received uint32        `json:"received"`
	Lost     uint32        `json:"lost"`
	Latency  time.Duration `json:"latency_max_ns"`
	Total    time.Duration `json:"latency_sum_ns"`
}

func (t *Tally) second(stamp, began int64) *Second {
	i := int(max(0, stamp-began) / int64(time.Second))
	for len(t.Seconds) <= i {
		t.Seconds = append(t.Seconds, Second{})
	}
	return &t.Seconds[i]
}
