package shard

import (
	"time"

	"github.com/onelane/onelane/rtpx"
	"github.com/onelane/onelane/rtpx/dtmf"
	"github.com/onelane/onelane/rtpx/opus"
)

// inbound is what is known of one incoming RTP stream. The zero value is ready.
type inbound struct {
	guard   rtpx.Guard
	started bool
	fresh   bool // its next packet is the first of a stream
	ssrc    uint32
	lost    uint16 // packets lost since the last frame
	event   uint32 // timestamp of the telephone-event at eventAt
	eventAt int64
	free    int64 // the first position that no frame has taken
	kept    int64 // the first position that no frame for the queues has taken
	own     int64 // where the source's own timestamps stand
	stamp   uint32
	length  int64 // of the last packet, in samples
	ext     rtpx.Extender
	line    rtpx.Timeline
	stats   rtpx.Reception
	digits  dtmf.Detector
	cutter  *opus.Cutter // made for the first packet that is not 20 ms long
	window  rtpx.Window
}

// due is when the stream wants to be looked at though nothing arrives.
func (in *inbound) due() time.Duration {
	at := never
	if t, ok := in.window.Deadline(); ok {
		at = t
	}
	if t, ok := in.digits.Deadline(); ok {
		at = min(at, t)
	}
	return at
}

// advance moves the source's own position on by what its timestamps say. Timestamps that stand still or go back are not believed: the
// packet follows the one before it.
func (in *inbound) advance(ts uint32, length int64) {
	step := int64(int32(ts - in.stamp))
	switch {
	case in.fresh:
		in.fresh, step = false, spurtSamples
	case step <= 0:
		step = in.length
	}
	in.own += step
	in.stamp, in.length = ts, length
}
