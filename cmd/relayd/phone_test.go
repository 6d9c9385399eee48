package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/pion/rtp"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/onelane/onelane/ice/icetest"
	"github.com/onelane/onelane/relay/source"
)

// phone is the far end of one call: Meta's relay and the user's phone behind it.
//
//	phone NAME offer FILE                 makes it and writes its SDP offer
//	phone NAME accept FILE                takes the edge's answer
//	phone NAME answer OFFER FILE SETUP    makes it, takes the edge's offer, writes its answer with a=setup:SETUP
//	phone NAME secure                     waits for keys; from now on its clock of 20 ms runs
//	phone NAME speak N                    speaks N packets and waits until they are sent
//	phone NAME talk | hush                speaks on and on, or no more
//	phone NAME press DIGITS               presses digits of 100 ms and waits until they are sent
//	phone NAME mark                       forgets what it has heard, but not where the stream stands
//	phone NAME quiet                      has heard nothing since the mark
//	phone NAME hears N [voice]            waits for N packets since the mark; voice: that are not silence
//	phone NAME silence                    has heard nothing but silence since the mark
//	phone NAME digits DIGITS              waits until it has heard these
//	phone NAME steady                     all it ever heard is one stream as the rules want it, at 50 packets a second since the mark
//	phone NAME calm N                     all it ever heard is one stream, and no more than N packets in any 10 ms since the mark, none of them stale
//	phone NAME save FILE                  what it heard since the mark, as Ogg Opus
//	phone NAME vanish                     is gone without a farewell
type phone struct {
	server *icetest.Server
	call   *icetest.Call
	voice  *source.Clip

	mu      sync.Mutex // guards what follows
	hearing hearing
	mouth   mouth
}

// mouth is what a phone sends: a frame each 20 ms while it speaks, and digits before anything else.
type mouth struct {
	running bool
	forever bool
	left    int // frames to speak
	digits  []byte
	step    int // of the digit at the front
	seq     uint16
	ts      uint32
	start   uint32 // of the digit
	frame   int
	quiet   bool
	next    time.Duration // when it is due again
}

func phoneCommand(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, args, 2, "phone NAME COMMAND...")
	s, name, command, args := on(ts), args[0], args[1], args[2:]
	p := s.phones[name]
	if p == nil {
		if command != "offer" && command != "answer" {
			ts.Fatalf("there is no phone %s", name)
		}
		var err error
		p, err = newPhone(s.speech)
		ts.Check(err)
		s.phones[name] = p
	}
	switch {
	case p.signalling(ts, command, args):
	case p.speaking(ts, command, args):
	case p.listening(ts, command, args):
	default:
		ts.Fatalf("phone %s %s: see phone_test.go", name, command)
	}
}

func newPhone(speech []byte) (*phone, error) {
	voice, err := source.ReadClip(bytes.NewReader(speech), time.Minute)
	if err != nil {
		return nil, err
	}
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &phone{voice: voice, mouth: mouth{seq: 65500, ts: 0xFFFF_F000}} // both wrap within a second
	if p.server, err = icetest.NewServer([]net.PacketConn{conn}, icetest.Options{}); err != nil {
		return nil, err
	}
	if p.call, err = p.server.NewCall(icetest.CallOptions{}); err != nil {
		return nil, err
	}
	p.call.OnRTP(func(now time.Duration, h *rtp.Header, payload []byte) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.hearing.packet(now, h, payload)
	})
	return p, nil
}

func (p *phone) close() { _ = p.server.Close() }

func (p *phone) signalling(ts *testscript.TestScript, command string, args []string) bool {
	switch {
	case command == "offer" && len(args) == 1:
		ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(p.call.Offer()), 0o600))
	case command == "accept" && len(args) == 1:
		answer := ts.ReadFile(args[0])
		p.learn(ts, answer)
		ts.Check(p.call.Accept(answer))
	case command == "answer" && len(args) == 3:
		offer := ts.ReadFile(args[0])
		p.learn(ts, offer)
		answer, err := p.call.Answer(offer, args[2])
		ts.Check(err)
		ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(answer), 0o600))
	case command == "secure":
		until(ts, patience, func() bool { return p.call.Profile() != 0 }, func() string { return fmt.Sprintf("no keys; %+v", p.server.Counters()) })
		p.mu.Lock()
		begun := p.mouth.running
		p.mouth.running = true
		p.mu.Unlock()
		if !begun {
			p.server.Schedule(p.server.Now(), p.tick)
		}
	case command == "vanish":
		p.call.Drop()
	default:
		return false
	}
	return true
}

// learn takes the SSRC out of the edge's SDP: a line of its own, since the phone must hear no other.
func (p *phone) learn(ts *testscript.TestScript, sdp string) {
	peer, err := icetest.ReadSDP(sdp)
	ts.Check(err)
	if len(peer.SSRCs) != 1 || len(peer.Fingerprints) != 1 {
		ts.Fatalf("the edge's SDP names %d SSRCs and %d fingerprints", len(peer.SSRCs), len(peer.Fingerprints))
	}
	p.mu.Lock()
	p.hearing.ssrc = peer.SSRCs[0]
	p.mu.Unlock()
}

func (p *phone) speaking(ts *testscript.TestScript, command string, args []string) bool {
	p.mu.Lock()
	m := &p.mouth
	switch {
	case command == "speak" && len(args) == 1:
		m.left = number(ts, args[0])
	case command == "press" && len(args) == 1:
		m.digits = append(m.digits, args[0]...)
	case command == "talk":
		m.forever = true
	case command == "hush":
		m.forever = false
	default:
		p.mu.Unlock()
		return false
	}
	p.mu.Unlock()
	until(ts, patience, func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return m.left == 0 && len(m.digits) == 0
	}, func() string { return "the phone has not said all" })
	return true
}

// Steps of a digit, one each 20 ms: five with a growing duration, the end three times in the last of them, and a pause.
const (
	digitSteps = 5
	pauseSteps = 3
)

// tick runs each 20 ms on the pacing goroutine of the far end.
func (p *phone) tick(now time.Duration) (next time.Duration, again bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	m := &p.mouth
	switch {
	case len(m.digits) > 0:
		p.press()
	case m.left > 0 || m.forever:
		if m.left > 0 {
			m.left--
		}
		p.send(icetest.OpusPT, m.quiet, m.ts, p.voice.Frame(m.frame%p.voice.Frames()))
		m.frame++
		m.quiet = false
	default:
		m.quiet = true
	}
	m.ts += 960
	if m.next == 0 {
		m.next = now
	}
	m.next += 20 * time.Millisecond // not behind now: its clock would run slow
	return m.next, true
}

func (p *phone) press() {
	m := &p.mouth
	event := byte(strings.IndexByte("0123456789*#ABCD", m.digits[0]))
	if m.step == 0 {
		m.start = m.ts
	}
	if m.step < digitSteps {
		duration := uint16(160 * (m.step + 1)) // in 8 kHz units (RFC 4733 section 2.3.5)
		payload := []byte{event, 10, byte(duration >> 8), byte(duration)}
		times := 1
		if m.step == digitSteps-1 {
			payload[1] |= 0x80
			times = 3
		}
		for range times {
			p.send(icetest.DTMFPT, m.step == 0, m.start, payload)
		}
	}
	if m.step++; m.step == digitSteps+pauseSteps {
		m.digits, m.step = m.digits[1:], 0
	}
	m.quiet = true
}

func (p *phone) send(payloadType uint8, marker bool, ts uint32, payload []byte) {
	m := &p.mouth
	_ = p.call.SendRTP(&rtp.Header{ // a call that has ended takes no more
		Version: 2, PayloadType: payloadType, Marker: marker, SequenceNumber: m.seq, Timestamp: ts, SSRC: p.call.SSRC(),
	}, payload)
	m.seq++
}

func (p *phone) listening(ts *testscript.TestScript, command string, args []string) bool {
	look := func(f func(h *hearing) bool) func() bool {
		return func() bool {
			p.mu.Lock()
			defer p.mu.Unlock()
			return f(&p.hearing)
		}
	}
	p.mu.Lock()
	h := p.hearing
	if command == "mark" {
		p.hearing.mark()
	}
	p.mu.Unlock()
	switch {
	case command == "mark":
	case command == "quiet":
		if len(h.since) > 0 {
			ts.Fatalf("the phone has heard %d packets", len(h.since))
		}
	case command == "hears" && len(args) >= 1:
		n, voice := number(ts, args[0]), len(args) > 1
		until(ts, patience, look(func(h *hearing) bool { return h.count(voice) >= n }), func() string { return fmt.Sprintf("the phone hears only %d of %d packets", h.count(voice), n) })
	case command == "silence":
		if n := h.count(true); n > 0 {
			ts.Fatalf("the phone has heard %d packets that are not silence", n)
		}
	case command == "digits" && len(args) == 1:
		until(ts, patience, look(func(h *hearing) bool { return string(h.digits) == args[0] }), func() string { return fmt.Sprintf("the phone hears digits %q", h.digits) })
	case command == "steady":
		p.judge(ts, &h)
		if err := h.steady(); err != nil {
			ts.Fatalf("%v", err)
		}
	case command == "calm" && len(args) == 1:
		p.judge(ts, &h)
		if err := h.calm(number(ts, args[0])); err != nil {
			ts.Fatalf("%v", err)
		}
	case command == "save" && len(args) == 1:
		var b bytes.Buffer
		ts.Check(h.save(&b))
		ts.Check(os.WriteFile(ts.MkAbs(args[0]), b.Bytes(), 0o600))
	default:
		return false
	}
	return true
}

// judge looks for rules that the edge broke.
func (p *phone) judge(ts *testscript.TestScript, h *hearing) {
	if breaches := p.call.Breaches(); len(breaches) > 0 {
		ts.Fatalf("the edge breaks rules of ICE or DTLS: %v", breaches)
	}
	if len(h.wrong) > 0 {
		ts.Fatalf("the stream to the phone breaks rules: %s", strings.Join(h.wrong, "; "))
	}
	if h.total == 0 {
		ts.Fatalf("the phone has heard nothing")
	}
}
