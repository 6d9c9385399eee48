package rtpx

import (
	"time"

	"github.com/pion/rtcp"
)

const (
	// Limits of the 24 bits of a cumulative loss (RFC 3550 A.3).
	maxReportedLoss = 0x7fffff
	minReportedLoss = -0x800000

	// maxDeviation is how much later than its neighbour the last straggler that A.1 believes can be, with packets of 120 ms. A
	// timestamp that is further off has jumped, which is no jitter and would be read as hours of it.
	maxDeviation = maxMisorder * ClockRate * 120 / 1000
)

// Reception counts what arrives from one source as RFC 3550 appendix A says: A.1 sequence numbers, A.3 loss, A.8 jitter. The zero
// value is ready; [Reception.Restart] begins a new source.
type Reception struct {
	highest  Seq // 0: nothing yet
	base     Seq
	jump     Seq    // A.1 bad_seq: the number that would confirm a jump, 0: none
	received uint64 // duplicates and stragglers included
	jitter   uint64 // in 1/16 of a tick, A.8
	transit  uint32 // arrival - timestamp of the last packet
	timed    bool   // transit is known

	hasSenderReport  bool
	lastSenderReport uint32 // the middle 32 bits of its NTP time
	senderReportAt   time.Duration
	expectedPrior    uint64 // at the report before
	receivedPrior    uint64
	earlierLost      int64 // lost of the sources before the last Restart
}

// Receive counts a packet of media that arrived at now, in the order of arrival, before any duplicate is dropped: A.3 counts
// duplicates as received.
func (r *Reception) Receive(now time.Duration, s Seq, ts uint32) {
	if !r.Count(s) {
		return
	}
	transit := uint32(ticks(now)) - ts
	d := int32(transit - r.transit)
	if d < 0 {
		d = -d
	}
	first := !r.timed
	r.transit, r.timed = transit, true
	if first || uint32(d) > maxDeviation {
		return
	}
	r.jitter += uint64(d) - (r.jitter+8)>>4
}

// Count counts a packet without looking at its time: telephone events repeat one timestamp (RFC 4733 section 2.5.1.2), and would pass
// for jitter. It is false for a packet that A.1 does not believe yet, the first one after a jump.
func (r *Reception) Count(s Seq) bool {
	if r.highest == 0 {
		r.begin(s)
	}
	ahead := int64(s - r.highest)
	switch {
	case ahead >= maxDropout || ahead <= -maxMisorder:
		if s != r.jump {
			r.jump = s + 1
			return false
		}
		r.earlierLost = r.Lost()
		r.begin(s)
	case ahead > 0:
		r.highest = s
	}
	r.received++
	return true
}

// begin is init_seq of A.1.
func (r *Reception) begin(s Seq) {
	r.base, r.highest, r.jump = s, s, 0
	r.received, r.receivedPrior, r.expectedPrior = 0, 0, 0
}

// Restart begins a new source: reports speak of it alone, while Lost goes on counting.
func (r *Reception) Restart() { *r = Reception{earlierLost: r.Lost()} }

// Lost is how many packets did not arrive so far, of all sources. As A.3 has it, duplicates can make it negative.
func (r *Reception) Lost() int64 { return r.earlierLost + r.lost() }

// Received is how many packets arrived from this source, duplicates included.
func (r *Reception) Received() uint64 { return r.received }

// Jitter is the mean deviation of the arrivals, A.8.
func (r *Reception) Jitter() time.Duration {
	return time.Duration(r.jitter>>4) * time.Second / ClockRate
}

// OnSenderReport notes the source's sender report, which the next reports answer (LSR and DLSR).
func (r *Reception) OnSenderReport(now time.Duration, ntp uint64) {
	r.lastSenderReport, r.senderReportAt, r.hasSenderReport = uint32(ntp>>16), now, true
}

// Report is the block about this source, whose SSRC the caller knows. It begins a new interval for the fraction.
func (r *Reception) Report(ssrc uint32, now time.Duration) rtcp.ReceptionReport {
	expected := r.expected()
	fraction := fractionLost(expected-r.expectedPrior, r.received-r.receivedPrior)
	r.expectedPrior, r.receivedPrior = expected, r.received
	b := rtcp.ReceptionReport{
		SSRC:         ssrc,
		FractionLost: fraction,
		TotalLost:    uint32(min(max(r.lost(), minReportedLoss), maxReportedLoss)) & 0xffffff,
		Jitter:       uint32(min(r.jitter>>4, 1<<32-1)),
	}
	if r.highest != 0 {
		b.LastSequenceNumber = uint32(r.highest - firstCycle) // the cycles that the sender went through, not ours
	}
	if r.hasSenderReport {
		b.LastSenderReport = r.lastSenderReport
		b.Delay = uint32(min(max(now-r.senderReportAt, 0), 18*time.Hour) * 65536 / time.Second) // 18 h: what 32 bits hold
	}
	return b
}

func (r *Reception) expected() uint64 {
	if r.highest == 0 {
		return 0
	}
	return uint64(r.highest - r.base + 1)
}

func (r *Reception) lost() int64 { return int64(r.expected()) - int64(r.received) }

// fractionLost is A.3: the loss of one interval in 1/256.
func fractionLost(expected, received uint64) uint8 {
	if expected == 0 || received >= expected {
		return 0
	}
	return uint8(min((expected-received)<<8/expected, 255))
}
