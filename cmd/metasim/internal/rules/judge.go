package rules

import (
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"github.com/onelane/onelane/ice/icetest"
)

// The limits in time, and what is tolerated beyond them.
const (
	StartLimit     = 20 * time.Second // without media from the start on
	MediaLimit     = 30 * time.Second // without media later
	RTCPLimit      = 5 * time.Second
	RTCPTolerance  = time.Second // a busy machine's, and a randomised interval's
	ConsentLimit   = 15 * time.Second
	AcceptLimit    = 60 * time.Second
	samplesPerTick = 960 // 20 ms at 48 kHz
)

// Expect is what the call's SDPs agree on.
type Expect struct {
	Opus, DTMF uint8  // payload types
	Mid        string // of the offer; empty: any
	// Lossy: packets may be lost, doubled and overtaken on the way. Otherwise a missing sequence number is the sender's.
	Lossy bool
}

// Judge follows one call. It belongs to one goroutine, or to a lock of its owner's.
type Judge struct {
	ledger
	expect Expect
	ssrc   uint32 // of the SDP; 0: not known
	agreed string // the SDP of pre_accept or accept
	stream stream

	gated     bool // a gate exists and is closed
	open      bool
	opened    time.Duration // the gate
	started   bool          // the phone waits for media since start
	start     time.Duration
	media     bool
	lastMedia time.Duration
	firstRTP  time.Duration
	lastRTCP  time.Duration
	rtcp      bool
	nominated bool
	lastCheck time.Duration
	ended     bool
}

// NewJudge judges a call whose media gate is closed.
func NewJudge(e Expect) *Judge {
	return &Judge{expect: e, gated: true, stream: stream{lossy: e.Lossy}}
}

// PreAccept takes the SDP of pre_accept.
func (j *Judge) PreAccept(now time.Duration, text string) {
	j.sdp(now, text, Answer)
	j.agreed = text
}

// Accept takes the SDP of accept.
func (j *Judge) Accept(now time.Duration, text string) {
	if j.agreed == "" {
		j.PreAccept(now, text)
		return
	}
	if at, same := firstDifference(j.agreed, text); !same {
		j.add(SDPChanged, now, "the SDP of accept differs from that of pre_accept from byte %d on (line %d)", at, lineOf(text, at))
	}
}

// Offer takes the SDP of connect.
func (j *Judge) Offer(now time.Duration, text string) {
	j.sdp(now, text, Offer)
	j.agreed = text
}

func (j *Judge) sdp(now time.Duration, text string, kind Kind) {
	d := CheckSDP(text, kind, j.expect)
	for _, f := range d.Faults {
		j.add(f.Rule, now, "%s", f.Reason)
	}
	j.ssrc = d.SSRC
	if kind == Offer {
		j.expect.Opus, j.expect.DTMF = d.Opus, d.DTMF
	}
}

// OpenGate: accept returned 200, or, when the business calls, Meta's answer was sent. From now on media is allowed.
func (j *Judge) OpenGate(now time.Duration) {
	if !j.open {
		j.open, j.opened = true, now
	}
}

// Start: the phone's timer of the first media packet starts.
func (j *Judge) Start(now time.Duration) {
	if !j.started {
		j.started, j.start = true, now
	}
}

// End: the call is over; nothing is missed from now on.
func (j *Judge) End() { j.ended = true }

// Conduct takes a rule of ICE or DTLS that the transport saw broken.
func (j *Judge) Conduct(b icetest.Breach) { j.add(Name(b.Rule), b.At, "%s", b.Detail) }

// Certificate: the handshake failed because of the certificate.
func (j *Judge) Certificate(now time.Duration, reason string) {
	j.add(DTLSCertificate, now, "%s", reason)
}

// Unaccepted: nobody accepted the call in time.
func (j *Judge) Unaccepted(now time.Duration) {
	j.add(NotAccepted, now, "not accepted within %v of the offer", AcceptLimit)
}

// Check takes the fact that an authenticated Binding request came over the nominated pair.
func (j *Judge) Check(now time.Duration) {
	j.gap(now)
	j.nominated, j.lastCheck = true, now
}

func (j *Judge) gap(now time.Duration) {
	if j.nominated && now-j.lastCheck > ConsentLimit {
		j.add(ConsentGap, now, "no Binding request for %v", (now - j.lastCheck).Round(time.Millisecond))
	}
}

// RTP takes one authentic packet, with payload and padding as they came.
func (j *Judge) RTP(now time.Duration, h *rtp.Header, payload []byte) {
	if j.gated && !j.open {
		j.add(MediaBeforeGate, now, "an RTP packet (payload type %d, sequence %d) before the gate opened", h.PayloadType, h.SequenceNumber)
	}
	if h.Extension {
		j.add(HeaderExtension, now, "a packet has a header extension of profile %#04x", h.ExtensionProfile)
	}
	if len(h.CSRC) > 0 {
		j.add(CSRC, now, "a packet has %d CSRCs", len(h.CSRC))
	}
	if h.Padding {
		j.add(Padding, now, "a packet has padding")
	}
	switch {
	case j.stream.started && h.SSRC != j.stream.ssrc:
		j.add(SecondSSRC, now, "SSRC %d after %d", h.SSRC, j.stream.ssrc)
		return
	case !j.stream.started && j.ssrc != 0 && h.SSRC != j.ssrc:
		j.add(SSRCNotInSDP, now, "SSRC %d; the SDP says %d", h.SSRC, j.ssrc)
	}
	if !j.media {
		j.media, j.firstRTP = true, now
	}
	j.lastMedia = now
	switch h.PayloadType {
	case j.expect.Opus:
		j.stream.audio(&j.ledger, now, h)
		j.ptime(now, h, payload)
	case j.expect.DTMF:
		j.stream.event(&j.ledger, now, h, payload)
	default:
		j.add(WrongPayloadType, now, "payload type %d; the SDP has %d and %d", h.PayloadType, j.expect.Opus, j.expect.DTMF)
		j.stream.sequence(&j.ledger, now, h)
	}
}

func (j *Judge) ptime(now time.Duration, h *rtp.Header, payload []byte) {
	if h.Padding { // judged above; what is in front of it is not worth guessing
		return
	}
	n, err := OpusSamples(payload)
	switch {
	case err != nil:
		j.add(WrongPtime, now, "sequence %d is no Opus packet: %v", h.SequenceNumber, err)
	case n != samplesPerTick:
		j.add(WrongPtime, now, "sequence %d is %g ms long", h.SequenceNumber, float64(n)/48)
	}
}

// RTCP takes one authentic compound packet.
func (j *Judge) RTCP(now time.Duration, compound []byte) {
	j.rtcpGap(now)
	j.rtcp, j.lastRTCP = true, now
	packets, err := rtcp.Unmarshal(compound)
	if err != nil || len(packets) == 0 {
		j.add(RTCPSource, now, "an RTCP packet that cannot be read: %v", err)
		return
	}
	var ssrc uint32
	switch p := packets[0].(type) { // RFC 3550 section 6.1: the first one is a report
	case *rtcp.SenderReport:
		ssrc = p.SSRC
	case *rtcp.ReceiverReport:
		ssrc = p.SSRC
	default:
		j.add(RTCPSource, now, "a compound RTCP packet begins with %T", p)
		return
	}
	if j.ssrc != 0 && ssrc != j.ssrc {
		j.add(RTCPSource, now, "RTCP from SSRC %d; the SDP says %d", ssrc, j.ssrc)
	}
}

func (j *Judge) rtcpGap(now time.Duration) {
	if !j.media || !j.started { // without media other rules speak
		return
	}
	since := max(j.firstRTP, j.start)
	if j.rtcp {
		since = max(since, j.lastRTCP)
	}
	if now-since > RTCPLimit+RTCPTolerance {
		j.add(RTCPGap, now, "no RTCP for %v", (now - since).Round(time.Millisecond))
	}
}

// Tick judges what did not come. It wants to be called a few times a second.
func (j *Judge) Tick(now time.Duration) {
	if j.ended {
		return
	}
	j.gap(now)
	j.rtcpGap(now)
	switch {
	case !j.started:
	case !j.media && now-j.start >= StartLimit:
		j.add(NoMediaAtStart, now, "no media for %v from the start on", StartLimit)
	case j.media && now-j.lastMedia >= MediaLimit:
		j.add(NoMedia, now, "no media for %v", MediaLimit)
	}
}

// Lost is how many sequence numbers never came.
func (j *Judge) Lost() int { return j.stream.missing }

func firstDifference(a, b string) (at int, same bool) {
	for at = 0; at < len(a) && at < len(b); at++ {
		if a[at] != b[at] {
			return at, false
		}
	}
	return at, len(a) == len(b)
}

func lineOf(text string, at int) int {
	line := 1
	for i := 0; i < at && i < len(text); i++ {
		if text[i] == '\n' {
			line++
		}
	}
	return line
}
