// Package sink is the way out of the data plane for whatever may block: recordings, bots, anything with a file or a connection.
//
// A plug-in implements [Writer]. The data plane never sees it: it sees a [Queue], a bounded ring that belongs to one attachment,
// that never blocks the shard, and that drops its oldest frame when the Writer cannot follow. A slow Writer hurts only itself.
package sink

// Direction says whose voice a frame carries.
type Direction uint8

const (
	// Caller is the WhatsApp user: what the phone sends to us.
	Caller Direction = 1
	// Business is our side: what the lane sends to the phone.
	Business Direction = 2
	// Both is the choice of both in an attachment. A frame never has it.
	Both Direction = Caller | Business
)

// String gives the name that the API uses.
func (d Direction) String() string {
	switch d {
	case Caller:
		return "caller"
	case Business:
		return "business"
	case Both:
		return "both"
	}
	return "none"
}

// SampleRate is the unit of every position and length in a [Frame]: the Opus RTP clock (RFC 7587 section 4.1).
const SampleRate = 48000

// FrameSamples is the length of a 20 ms frame.
const FrameSamples = 960

// MaxPayload is the longest Opus packet of one frame: a TOC byte and 1275 bytes (RFC 6716 section 3.2.1, requirement R2).
const MaxPayload = 1276

// Frame is one step of a call's time in one direction.
//
// A frame with a Payload is audio: one Opus packet. A frame without one is a time mark: the media of the call has reached At, and
// whatever a direction did not deliver before At will not come any more. The first frame of every attachment is the mark at which it
// starts and the last is the mark at which it ends, so a Writer that fills the holes with silence has the true length. Marks come
// at least once a second while the call is quiet.
type Frame struct {
	// At is the position of the first sample on the call's clock, in samples at 48 kHz since the call's media began. Within one
	// direction At never goes back and frames never overlap; a jump forward is a hole (loss, DTX, mute, a late start). Between the
	// two directions frames come in the order in which the edge handled them, which may differ from the order of At by the
	// reorder window (30 ms) and the peer's jitter.
	At int64
	// Samples is the length: FrameSamples, or more (1920, 2880) for a SILK packet that cannot be cut (see Uncut). 0 in a mark.
	Samples int32
	// Lost is how many packets of this direction are known to be lost in the hole right before this frame, those included that the
	// Queue dropped because the Writer was slow; 0 for a hole that the sender made on purpose (DTX, mute). More than 65535 are told
	// as 65535.
	Lost uint16
	// Direction is Caller or Business. 0 in a mark.
	Direction Direction
	// Uncut: the packet is longer than 20 ms and could not be cut without decoding.
	Uncut bool
	// Payload is one Opus packet (RFC 6716), at most MaxPayload bytes. It is valid only during the call it is handed over in.
	Payload []byte
}

// Writer is what a kind of sink implements. Both methods are called by one goroutine, in turn, and may block: only this attachment
// waits.
type Writer interface {
	// Write takes frames in order. An error is reported as an event of the attachment, once until a Write succeeds again, and the
	// frames are lost to this Writer; the next Write is tried all the same. An error that wraps ErrStopped ends the attachment.
	Write(frames []Frame) error
	// Close ends the output: flush, close, rename. It is called exactly once, after the last Write.
	Close() error
}
