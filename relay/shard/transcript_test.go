package shard

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/onelane/onelane/rtpx"
)

var update = flag.Bool("update", false, "write the transcripts anew")

// scribe writes down what a call does in a form that a person can check against Meta's rules. Packets that only continue what the one
// before them began are counted, not listed.
type scribe struct {
	*phone
	b       strings.Builder
	start   time.Duration
	at      int
	legs    int
	run     int
	running string
	last    rtpx.Packet
}

func (s *scribe) say(format string, args ...any) {
	s.flush()
	fmt.Fprintf(&s.b, "%7.3f  %s\n", (s.now - s.start).Seconds(), fmt.Sprintf(format, args...))
}

func (s *scribe) flush() {
	if s.run > 0 {
		fmt.Fprintf(&s.b, "         … %d more, sequence +1 and timestamp +960 each\n", s.run)
	}
	s.run, s.running = 0, ""
}

// hear writes down what has come since the last time.
func (s *scribe) hear() {
	for ; s.at < len(s.heard); s.at++ {
		p := s.heard[s.at]
		kind := "speech"
		switch {
		case p.PayloadType == eventPT:
			kind = fmt.Sprintf("event %d duration %d end %v", p.Payload[0], int(p.Payload[2])<<8|int(p.Payload[3]), p.Payload[1]&0x80 != 0)
		case isSilence(p):
			kind = "silence"
		}
		step := p.Timestamp - s.last.Timestamp
		if kind == s.running && p.Sequence == s.last.Sequence+1 && step == 960 && !p.Marker {
			s.run++
		} else {
			s.flush()
			marker := ""
			if p.Marker {
				marker = " marker"
			}
			from := "first"
			if s.at > 0 {
				from = fmt.Sprintf("+%d", step)
			}
			fmt.Fprintf(&s.b, "%7.3f  phone hears %s, sequence %d, timestamp %s%s\n", (p.at - s.start).Seconds(), kind, p.Sequence, from, marker)
			s.running = kind
		}
		s.last = p.Packet
	}
	for _, e := range s.events() {
		if e.Kind != Quality {
			s.say("told: %s", describe(e))
		}
	}
	for ; s.legs < len(s.other); s.legs++ {
		var p rtpx.Packet
		rtpx.Parse(s.other[s.legs].Data, &p)
		if s.legs == 0 {
			s.say("leg gets its first packet, payload type %d, sequence %d", p.PayloadType, p.Sequence)
		}
	}
}

func describe(e Event) string {
	names := map[EventKind]string{
		FirstSent: "first packet sent", FirstHeard: "first packet heard", TonesSent: "digits sent", SourceEnded: "source ended",
		SSRCChanged: "SSRC changed", ConsentLost: "consent lost",
	}
	if e.Kind == DigitHeard {
		return fmt.Sprintf("digit %c, %v", e.Digit, e.Duration)
	}
	return names[e.Kind]
}

// step lets time pass, writing down.
func (s *scribe) step(d time.Duration) { s.wait(d); s.hear() }

func (s *scribe) talks(packets int) {
	for range packets {
		s.turn(s.phone.say())
		s.step(20 * ms)
	}
}

// clip of n frames.
type loop int

func (l loop) Frames() int        { return int(l) }
func (l loop) Frame(i int) []byte { return speech(1000 + i) }

func TestTranscripts(t *testing.T) {
	for name, script := range map[string]func(*scribe){
		"answered-call": func(s *scribe) {
			s.say("keys are there, the gate is closed; the phone talks already")
			s.core.AttachEcho(s.ref, 1)
			s.core.Select(s.ref, 1)
			s.talks(25)
			s.say("gate opens")
			s.core.OpenGate(s.now, s.ref)
			s.talks(50)
			s.say("the phone is quiet for half a second (DTX)")
			s.step(500 * ms)
			s.ts += 500 * 48
			s.talks(25)
			s.say("three packets of the phone are lost")
			for range 3 {
				s.phone.say()
				s.step(20 * ms)
			}
			s.talks(25)
			s.say("end")
		},
		"announcement": func(s *scribe) {
			s.core.OpenGate(s.now, s.ref)
			s.core.AttachEcho(s.ref, 1)
			s.core.AttachClip(s.ref, 2, loop(25), 1)
			s.core.Select(s.ref, 1)
			s.talks(10)
			s.say("player selected: half a second, once again")
			s.core.Select(s.ref, 2)
			s.talks(60)
			s.say("silence selected")
			s.core.Select(s.ref, 0)
			s.talks(10)
			s.say("end")
		},
		"digits": func(s *scribe) {
			s.core.OpenGate(s.now, s.ref)
			s.step(100 * ms)
			s.say("send 1 and 9, 100 ms each")
			s.core.SendTones(s.ref, []Tone{{Event: 1, Length: 100 * ms, Gap: 60 * ms}, {Event: 9, Length: 100 * ms, Gap: 60 * ms}})
			s.step(600 * ms)
			s.say("the phone presses #")
			start := s.ts
			for i := uint16(1); i <= 7; i++ {
				b := []byte{11, 10, byte(min(i, 5) * 160 >> 8), byte(min(i, 5) * 160 & 0xFF)}
				if i >= 5 {
					b[1] |= 0x80
				}
				now := s.ts
				s.ts = start
				s.turn(s.packet(eventPT, b))
				s.ts, s.seq = now+960, s.seq+1
				s.step(20 * ms)
			}
			s.step(100 * ms)
			s.say("end")
		},
		"transfer": func(s *scribe) {
			s.core.OpenGate(s.now, s.ref)
			port := s.leg(1, LegConfig{Peer: mediaAddr, OpusPT: 96, DTMFPT: 97, DTMFClock: 8000})
			second := s.leg(2, LegConfig{OpusPT: 100, DTMFPT: 101, DTMFClock: 8000})
			s.core.Select(s.ref, 1)
			s.say("bridged to the first leg")
			seq, ts := uint16(7), uint32(77)
			for range 20 {
				s.turn(s.phone.say(), legPacket(port, mediaAddr, 96, seq, ts, speech(2000)))
				seq, ts = seq+1, ts+960
				s.step(20 * ms)
			}
			s.say("transferred to the second, which starts anywhere")
			s.core.Select(s.ref, 2)
			seq, ts = 60_000, 4_000_000_000
			for range 20 {
				s.turn(s.phone.say(), legPacket(second, mediaAddr, 100, seq, ts, speech(3000)), legPacket(port, mediaAddr, 96, seq, ts, speech(2000)))
				seq, ts = seq+1, ts+960
				s.step(20 * ms)
			}
			s.say("the second is detached")
			s.core.Detach(s.now, s.ref, 2)
			s.step(100 * ms)
			s.say("end")
		},
		"peer-gone": func(s *scribe) {
			s.core.OpenGate(s.now, s.ref)
			s.say("nobody answers the consent checks")
			s.step(31 * time.Second)
			s.step(5 * time.Second)
			s.say("end")
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := &scribe{phone: newRig(t).dial()}
			s.start = s.now
			script(s)
			s.lawful()
			file := filepath.Join("testdata", name+".txt")
			if *update {
				if err := os.WriteFile(file, []byte(s.b.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(want, []byte(s.b.String())) {
				t.Errorf("the call went otherwise than %s says (go test -update writes it anew); now:\n%s", file, s.b.String())
			}
		})
	}
}
