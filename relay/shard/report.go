package shard

import (
	"time"

	"github.com/onelane/onelane/ice"
	"github.com/onelane/onelane/ice/udp"
	"github.com/onelane/onelane/relay/sink"
	"github.com/onelane/onelane/rtpx"
)

const (
	// reportInterval keeps the gaps between our RTCP compounds under the 5 s that Meta asks for, also when one is late by a tick.
	reportInterval = 4500 * time.Millisecond
	// qualityInterval is how often a live call's numbers are told.
	qualityInterval = 10 * time.Second
	// markInterval is how often a queue is told how far the time is.
	markInterval = time.Second
	// markBehind is how far a time mark stays behind the clock, for frames that wait in a reorder window or came late.
	markBehind = rtpx.WindowWait + 100*time.Millisecond
)

// counters are the numbers of one call that every packet may touch.
type counters struct {
	received, receivedBytes uint64 // authentic RTP from the phone
	sent, sentBytes         uint64 // RTP to the phone
	silence                 uint64 // of those, silence of the lane
	violations              [violationCount]uint32
	stun                    [ice.StunVerdicts]uint32
}

// reports is the RTCP state of a call.
type reports struct {
	cname  string
	phase  time.Duration
	due    time.Duration
	remote rtpx.Reports // the last that had a block about us
	desync bool         // told already
}

func (r *reports) start(now time.Duration) { r.due = now + r.phase }

// tickReports sends RTCP, tells the call's numbers, and gives its queues a time mark, each when due.
func (c *Core) tickReports(now time.Duration, k *call) {
	r := k.rare
	if k.begun && now >= r.mark {
		r.mark = now + markInterval
		c.markQueues(k, k.position(now-markBehind))
	}
	if !k.lane.open || k.sealer == nil {
		return
	}
	if now >= r.report.due {
		r.report.due = now + reportInterval
		c.sendReport(now, k)
	}
	if now >= r.quality {
		r.quality = now + qualityInterval
		c.emit(Event{Owner: r.owner, Kind: Quality, At: now, Stats: k.stats()})
	}
}

// sendReport sends an SR or RR with SDES (RFC 3550 section 6.1) as SRTCP.
func (c *Core) sendReport(now time.Duration, k *call) {
	b := c.take()
	if b == nil {
		c.drop(k, DropOutFull)
		return
	}
	s := k.sender.Report(now, rtpx.NTP(c.origin.Add(now)), k.lane.ssrc, k.rare.report.cname)
	if k.in.started {
		b = rtpx.AppendReport(b, s, k.in.stats.Report(k.in.ssrc, now))
	} else {
		b = rtpx.AppendReport(b, s)
	}
	b, err := k.sealer.SealRTCP(b[:0], b)
	if err != nil {
		c.drop(k, DropSeal)
		return
	}
	c.put(k.port, k.remote, b)
}

// receiveSRTCP reads the peer's reports. A BYE in it ends nothing: the signalling service decides.
func (c *Core) receiveSRTCP(now time.Duration, k *call, d *udp.Datagram) {
	if !c.admit(now, k, d) {
		return
	}
	b, err := k.opener.OpenRTCP(d.Data)
	if err != nil {
		c.drop(k, DropAuth)
		return
	}
	reports, fault := rtpx.ParseRTCP(b, k.lane.ssrc)
	if fault != rtpx.OK {
		c.drop(k, DropMalformed)
		return
	}
	if reports.HasSender {
		k.in.stats.OnSenderReport(now, reports.NTP)
	}
	if reports.HasBlock {
		k.rare.report.remote = reports
	}
}

// markQueues tells every queue how far the call's time is.
func (c *Core) markQueues(k *call, at int64) {
	if at <= 0 {
		return
	}
	f := sink.Frame{At: at}
	for t := range k.takers {
		c.offer(k.takers[t].queue, &f)
	}
}

// desync tells, once, that the phone's packets no longer open.
func (c *Core) desync(now time.Duration, k *call) {
	if r := &k.rare.report; !r.desync && k.opener.Desynced() {
		r.desync = true
		c.emit(Event{Owner: k.rare.owner, Kind: SRTPDesync, At: now})
	}
}

// Stats are the numbers of a call's Meta leg.
type Stats struct {
	Received, ReceivedBytes uint64
	Sent, SentBytes         uint64
	Silence                 uint64
	Lost                    int64
	Jitter                  time.Duration
	RoundTrip               time.Duration
	HasRemote               bool // the peer has reported on what it gets
	RemoteLost              int64
	RemoteJitter            time.Duration
	RemoteFraction          float64
	Violations              uint64
	Drops                   Drops
}

func (k *call) stats() Stats {
	s := Stats{
		Received: k.count.received, ReceivedBytes: k.count.receivedBytes,
		Sent: k.count.sent, SentBytes: k.count.sentBytes, Silence: k.count.silence,
		Lost: k.in.stats.Lost(), Jitter: k.in.stats.Jitter(),
		Drops: k.rare.drops,
	}
	if k.rare.consent != nil {
		s.RoundTrip = k.rare.consent.RTT()
	}
	if r := &k.rare.report.remote; r.HasBlock {
		s.HasRemote = true
		s.RemoteLost, s.RemoteJitter = r.Lost(), r.Jitter()
		s.RemoteFraction = float64(r.Block.FractionLost) / 256
	}
	for _, n := range k.count.violations {
		s.Violations += uint64(n)
	}
	return s
}

// AttachmentStats are the numbers of an attachment that the shard keeps. A queue keeps its own.
type AttachmentStats struct {
	Frames uint64 // played, or received and sent by an RTP leg
	Peer   string // of an RTP leg, once known
}

// attachmentStats finds an attachment of the call; ok is false when there is none of that id.
func (k *call) attachmentStats(id uint32) (s AttachmentStats, ok bool) {
	for _, t := range k.takers {
		if t.id == id {
			return s, true
		}
	}
	for _, l := range k.legs {
		if l != nil && l.id == id {
			s.Frames = l.received + l.sent
			if l.Peer.IsValid() {
				s.Peer = l.Peer.String()
			}
			return s, true
		}
	}
	if p := k.player(id); p != nil {
		return AttachmentStats{Frames: p.total}, true
	}
	for _, e := range k.rare.echo {
		if e == id {
			return s, true
		}
	}
	return s, false
}

// Snapshot is a call as the shard sees it.
type Snapshot struct {
	Stats       Stats
	Source      uint32
	Attachments map[uint32]AttachmentStats
}

// Look copies what is known of a call.
func (c *Core) Look(ref Ref, attachments []uint32) (s Snapshot, ok bool) {
	k := c.find(ref)
	if k == nil {
		return s, false
	}
	s = Snapshot{Stats: k.stats(), Source: k.lane.source, Attachments: make(map[uint32]AttachmentStats, len(attachments))}
	for _, id := range attachments {
		if a, ok := k.attachmentStats(id); ok {
			s.Attachments[id] = a
		}
	}
	return s, true
}
