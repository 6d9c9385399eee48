package phone

import (
	"errors"
	"time"

	"github.com/pion/rtp"

	"github.com/onelane/onelane/ice/icetest"
)

// What comes from the network. All of it is called by the server's readers, one at a time, but for failures of a handshake.

// event runs do for something that came from the network.
func (p *Phone) event(now time.Duration, do func()) {
	p.mu.Lock()
	if p.ended {
		p.mu.Unlock()
		return
	}
	do()
	ended := p.settle(now)
	p.mu.Unlock()
	p.tell(ended)
}

func (p *Phone) onBreach(b icetest.Breach) { p.event(b.At, func() { p.judge.Conduct(b) }) }

func (p *Phone) onCheck(k icetest.Check) {
	if _, remote, ok := p.call.Path(); !ok || remote != k.Pair.Remote {
		return
	}
	p.event(k.At, func() { p.judge.Check(k.At) })
}

func (p *Phone) onSecure(now time.Duration, profile icetest.Profile) {
	p.event(now, func() { p.secure, p.profile, p.nextRTCP = true, profile, now })
}

func (p *Phone) onFailure(now time.Duration, err error) {
	p.event(now, func() {
		if errors.Is(err, icetest.ErrFingerprint) {
			p.judge.Certificate(now, err.Error())
		}
	})
}

func (p *Phone) onRTP(now time.Duration, h *rtp.Header, payload []byte) {
	p.event(now, func() {
		if p.counts.heard == 0 {
			p.times.firstHeard = now
		}
		p.counts.heard++
		p.counts.bytes += uint64(len(payload))
		p.judge.RTP(now, h, payload)
		p.reception.rtp(now, h)
		switch h.PayloadType {
		case p.voice.opus:
			p.recorder.packet(h.Timestamp, payload)
		case p.voice.dtmf:
			p.counts.events++
			p.ear.packet(now, p.times.created, h.Timestamp, payload)
		}
	})
}

func (p *Phone) onRTCP(now time.Duration, b []byte) {
	p.event(now, func() {
		p.counts.rtcpHeard++
		p.judge.RTCP(now, b)
		p.reception.rtcp(now, b)
	})
}
