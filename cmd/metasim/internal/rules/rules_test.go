package rules

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"github.com/onelane/onelane/ice/icetest"
)

const ssrc = 424242

var answer = strings.ReplaceAll(`v=0
o=- 1 2 IN IP4 192.0.2.7
s=-
t=0 0
a=group:BUNDLE audio
m=audio 40000 UDP/TLS/RTP/SAVPF 111 126
c=IN IP4 192.0.2.7
a=candidate:1 1 udp 2130706431 192.0.2.7 40000 typ host
a=ice-ufrag:abcdEFGH
a=ice-pwd:abcdEFGHabcdEFGHabcdEFGH
a=fingerprint:sha-256 `+strings.Repeat("AB:", 31)+`CD
a=setup:active
a=mid:audio
a=sendrecv
a=rtcp-mux
a=rtpmap:111 opus/48000/2
a=rtpmap:126 telephone-event/8000
a=fmtp:111 useinbandfec=1
a=maxptime:20
a=ptime:20
a=ssrc:424242 cname:x
`, "\n", "\r\n")

// take is a call with a business that keeps every rule, until the test changes something.
type take struct {
	*Judge
	now time.Duration
	h   rtp.Header
}

func newTake(e Expect) *take {
	t := &take{Judge: NewJudge(e), h: rtp.Header{Version: 2, PayloadType: 111, SSRC: ssrc, SequenceNumber: 65500, Timestamp: 1<<32 - 48000}}
	t.PreAccept(0, answer)
	t.Check(0)
	return t
}

func clean() *take { return newTake(Expect{Opus: 111, DTMF: 126, Mid: "audio"}) }

func (t *take) accept() {
	t.Accept(t.now, answer)
	t.OpenGate(t.now)
	t.Start(t.now)
}

var speech = []byte{0x48 | 1<<3, 1, 2, 3} // SILK wide band, 20 ms

// say sends n good packets of 20 ms, with RTCP and checks as they are due.
func (t *take) say(n int) {
	for range n {
		t.RTP(t.now, &t.h, speech)
		t.wait(20 * time.Millisecond)
		t.h.SequenceNumber++
		t.h.Timestamp += 960
	}
}

func (t *take) wait(d time.Duration) {
	for end := t.now + d; t.now < end; {
		t.now += 20 * time.Millisecond
		if t.now/(4*time.Second) != (t.now-20*time.Millisecond)/(4*time.Second) {
			t.report()
			t.Check(t.now)
		}
		t.Tick(t.now)
	}
}

func (t *take) report() {
	b, _ := (&rtcp.SenderReport{SSRC: ssrc}).Marshal()
	t.RTCP(t.now, b)
}

// press sends a digit of n ticks and moves the audio's place on.
func (t *take) press(n int, unit uint16) {
	h := t.h
	h.PayloadType, h.Marker = 126, true
	send := func(end byte, d uint16) {
		t.RTP(t.now, &h, []byte{5, end | 10, byte(d >> 8), byte(d)})
		h.SequenceNumber++
		h.Marker = false
	}
	for i := range n {
		d := uint16(i+1) * unit
		if i == n-1 {
			for range 3 {
				send(0x80, d)
			}
		} else {
			send(0, d)
		}
		t.wait(20 * time.Millisecond)
	}
	t.h.SequenceNumber = h.SequenceNumber
	t.h.Timestamp += uint32(n) * 960
}

func TestACorrectCallBreaksNoRule(t *testing.T) {
	c := clean()
	c.wait(5 * time.Second)
	c.accept()
	c.say(500)
	c.press(5, 160)
	c.say(3)
	c.press(8, 160)
	c.press(3, 160) // right after the digit before
	c.say(500)
	c.h.Timestamp += 3 * 960 // a gap that the timestamps follow
	c.wait(60 * time.Millisecond)
	c.say(100)
	c.h.Timestamp += 48000 * 2
	c.wait(2 * time.Second)
	c.say(70000) // over a wrap of the sequence, 23 minutes
	if b := c.Breaches(); len(b) != 0 {
		t.Fatalf("broke %+v", b)
	}
	for _, r := range c.Results(0) {
		if !r.Pass {
			t.Errorf("%+v", r)
		}
	}
}

func TestAStallThatIsMadeUpBreaksNoRule(t *testing.T) {
	c := clean()
	c.accept()
	c.say(500)
	c.wait(300 * time.Millisecond) // the machine was busy: 15 packets wait, and come at once
	for range 15 {
		c.RTP(c.now, &c.h, speech)
		c.h.SequenceNumber++
		c.h.Timestamp += 960
	}
	c.say(500)
	if b := c.Breaches(); len(b) != 0 {
		t.Fatalf("broke %+v", b)
	}
}

func TestJitterAndDriftBreakNoRule(t *testing.T) {
	c := clean()
	c.accept()
	c.wait(20 * time.Millisecond)
	origin, random := c.now, uint32(1)
	for i := range 50 * 600 { // ten minutes at +200 ppm, each packet up to 15 ms late
		random = random*1664525 + 1013904223
		c.now = origin + time.Duration(i)*20*time.Millisecond*9998/10000 + time.Duration(random>>8)%(15*time.Millisecond)
		c.RTP(c.now, &c.h, speech)
		if i%200 == 0 {
			c.report()
			c.Check(c.now)
		}
		c.h.SequenceNumber++
		c.h.Timestamp += 960
	}
	if b := c.Breaches(); len(b) != 0 {
		t.Fatalf("broke %+v", b)
	}
}

func TestALossyNetworkIsNotTheSender(t *testing.T) {
	c := newTake(Expect{Opus: 111, DTMF: 126, Lossy: true})
	c.accept()
	c.say(100)
	for range 50 { // two lost
		c.h.SequenceNumber += 2
		c.h.Timestamp += 1920
		c.wait(40 * time.Millisecond)
		c.say(5)
	}
	late, now := c.h, c.now
	late.SequenceNumber, late.Timestamp = late.SequenceNumber-3, late.Timestamp-3*960
	c.RTP(now, &late, speech) // overtaken
	c.RTP(now, &late, speech) // doubled
	c.say(100)
	if b := c.Breaches(); len(b) != 0 {
		t.Fatalf("broke %+v", b)
	}
	if c.Lost() == 0 {
		t.Error("no loss counted")
	}
	c.h.SequenceNumber += 50
	c.say(1)
	if b, _ := c.First(); b.Rule != SequenceJump {
		t.Fatalf("a jump by 50 in 20 ms fired %+v", b)
	}
}

// change replaces a line of the answer by another, or, when with is empty, takes it out.
func change(old, with string) string {
	if !strings.Contains(answer, old) {
		panic(old)
	}
	if with == "" {
		return strings.Replace(answer, old+"\r\n", "", 1)
	}
	return strings.Replace(answer, old, with, 1)
}

func TestEveryRuleFires(t *testing.T) {
	live := func(do func(c *take)) func() *take {
		return func() *take {
			c := clean()
			c.accept()
			c.say(300)
			do(c)
			return c
		}
	}
	text := func(s string) func() *take {
		return func() *take {
			c := &take{Judge: NewJudge(Expect{Opus: 111, DTMF: 126, Mid: "audio"})}
			c.Accept(0, s)
			return c
		}
	}
	conduct := func(r icetest.Rule) func() *take {
		return func() *take {
			c := clean()
			c.Conduct(icetest.Breach{Rule: r, Detail: "x"})
			return c
		}
	}
	type test struct {
		rule Name
		name string
		run  func() *take
	}
	tests := []test{
		{MediaBeforeGate, "silence while ringing", func() *take { c := clean(); c.say(1); return c }},
		{SecondSSRC, "a source switch with its own SSRC", live(func(c *take) { c.h.SSRC++; c.say(1) })},
		{SSRCNotInSDP, "from the start", func() *take { c := clean(); c.accept(); c.h.SSRC++; c.say(1); return c }},
		{SequenceJump, "forward", live(func(c *take) { c.h.SequenceNumber += 50; c.say(1) })},
		{SequenceJump, "one missing", live(func(c *take) { c.h.SequenceNumber++; c.h.Timestamp += 960; c.wait(20 * time.Millisecond); c.say(1) })},
		{SequenceJump, "back", live(func(c *take) { c.h.SequenceNumber -= 1000; c.say(1) })},
		{SequenceJump, "the same again", live(func(c *take) { c.h.SequenceNumber--; c.say(1) })},
		{TimestampJump, "forward by a frame", live(func(c *take) { c.h.Timestamp += 960; c.say(1) })},
		{TimestampJump, "forward by an hour", live(func(c *take) { c.h.Timestamp += 3600 * 48000; c.say(1) })},
		{TimestampJump, "back", live(func(c *take) { c.h.Timestamp -= 48000; c.say(1) })},
		{TimestampJump, "stuck", live(func(c *take) { c.h.Timestamp -= 960; c.say(1) })},
		{TimestampJump, "in steps of 8 kHz", live(func(c *take) { c.h.Timestamp -= 800; c.say(1) })},
		{TimestampJump, "a little too much", live(func(c *take) { c.h.Timestamp += 40; c.say(1) })},
		{TimestampJump, "a gap of 2 s that the timestamps do not follow", live(func(c *take) { c.wait(2 * time.Second); c.say(500) })},
		{TimestampJump, "twice as fast as the clock", live(func(c *take) {
			for range 50 {
				c.RTP(c.now, &c.h, speech)
				c.h.SequenceNumber++
				c.h.Timestamp += 960
				c.say(1)
			}
		})},
		{TimestampJump, "events that do not share a timestamp", live(func(c *take) { c.press(1, 160); c.h.Timestamp -= 1920; c.press(1, 160) })},
		{TimestampJump, "audio after a digit that stayed behind", live(func(c *take) { c.press(5, 160); c.h.Timestamp -= 10 * 960; c.say(1) })},
		{TimestampJump, "audio after a digit that jumped", live(func(c *take) { c.press(5, 160); c.h.Timestamp += 10 * 960; c.say(1) })},
		{WrongPtime, "60 ms", live(func(c *take) { c.RTP(c.now, &c.h, []byte{0x58, 1}) })},
		{WrongPtime, "two frames of 20 ms", live(func(c *take) { c.RTP(c.now, &c.h, []byte{0x49, 1, 2}) })},
		{WrongPtime, "empty", live(func(c *take) { c.RTP(c.now, &c.h, nil) })},
		{WrongPtime, "code 3 of 48 frames", live(func(c *take) { c.RTP(c.now, &c.h, []byte{0x4b, 48, 2}) })},
		{DTMFClock, "48 kHz durations", live(func(c *take) { c.press(5, 960) })},
		{DTMFClock, "six times too long from the second packet on", live(func(c *take) { c.press(2, 160); c.press(3, 480) })},
		{WrongPayloadType, "PCMU", live(func(c *take) { c.h.PayloadType = 0; c.say(1) })},
		{HeaderExtension, "transport-cc", live(func(c *take) { _ = c.h.SetExtension(1, []byte{0, 1}); c.say(1) })},
		{CSRC, "a mixer's", live(func(c *take) { c.h.CSRC = []uint32{1}; c.say(1) })},
		{Padding, "any", live(func(c *take) { c.h.Padding = true; c.say(1) })},
		{NoMediaAtStart, "20 s after accept", func() *take { c := clean(); c.accept(); c.wait(20 * time.Second); return c }},
		{NoMedia, "30 s later", live(func(c *take) { c.wait(30 * time.Second) })},
		{RTCPGap, "7 s", live(func(c *take) {
			for range 50 * 7 {
				c.RTP(c.now, &c.h, speech)
				c.now += 20 * time.Millisecond
				c.h.SequenceNumber++
				c.h.Timestamp += 960
				c.Tick(c.now)
			}
		})},
		{RTCPSource, "another SSRC", live(func(c *take) { b, _ := (&rtcp.SenderReport{SSRC: 1}).Marshal(); c.RTCP(c.now, b) })},
		{RTCPSource, "no report first", live(func(c *take) { b, _ := (&rtcp.Goodbye{Sources: []uint32{ssrc}}).Marshal(); c.RTCP(c.now, b) })},
		{RTCPSource, "garbage", live(func(c *take) { c.RTCP(c.now, []byte{0x80, 200, 0xff, 0xff}) })},
		{SDPChanged, "one byte", func() *take { c := clean(); c.Accept(0, change("o=- 1 2", "o=- 1 3")); return c }},
		{SDPChanged, "cut", func() *take { c := clean(); c.Accept(0, answer[:len(answer)-2]); return c }},
		{FingerprintCount, "two", text(change("a=setup:active", "a=fingerprint:sha-256 "+strings.Repeat("AB:", 31)+"CD\r\na=setup:active"))},
		{FingerprintCount, "none", text(change("a=fingerprint:sha-256 "+strings.Repeat("AB:", 31)+"CD", ""))},
		{FingerprintHash, "sha-1", text(change("sha-256", "sha-1"))},
		{FingerprintHash, "upper case name", text(change("sha-256", "SHA-256"))},
		{FingerprintHash, "lower case hex", text(change(":CD", ":cd"))},
		{SDPForm, "LF", text(strings.Replace(answer, "\r\n", "\n", 1))},
		{SDPForm, "no last CRLF", text(strings.TrimSuffix(answer, "\r\n"))},
		{SDPForm, "another profile", text(change("UDP/TLS/RTP/SAVPF", "RTP/AVP"))},
		{SDPForm, "another mid", text(change("a=mid:audio", "a=mid:0"))},
		{SDPForm, "no BUNDLE", text(change("a=group:BUNDLE audio", ""))},
		{SDPForm, "sendonly", text(change("a=sendrecv", "a=sendonly"))},
		{SDPCodec, "PCMU", text(change("SAVPF 111 126", "SAVPF 111 126 0"))},
		{SDPCodec, "no opus", text(strings.Replace(change("a=rtpmap:111 opus/48000/2", ""), "SAVPF 111 126", "SAVPF 126", 1))},
		{SDPCodec, "other payload types", text(strings.ReplaceAll(answer, "111", "96"))},
		{SDPCodec, "48 kHz telephone-event", text(change("telephone-event/8000", "telephone-event/48000"))},
		{SDPMediaLines, "video", text(answer + "m=video 9 UDP/TLS/RTP/SAVPF 97\r\n")},
		{SDPSSRCCount, "two", text(answer + "a=ssrc:43 cname:x\r\n")},
		{SDPSSRCCount, "none", text(change("a=ssrc:424242 cname:x", ""))},
		{SDPIceLite, "lite", text(change("s=-", "s=-\r\na=ice-lite"))},
		{SDPCredentials, "short", text(change("a=ice-pwd:abcdEFGHabcdEFGHabcdEFGH", "a=ice-pwd:abc"))},
		{SDPSetup, "actpass in an answer", text(change("a=setup:active", "a=setup:actpass"))},
		{SDPSetup, "passive in an answer", text(change("a=setup:active", "a=setup:passive"))},
		{SDPSetup, "active in an offer", func() *take { c := &take{Judge: NewJudge(Expect{})}; c.Offer(0, answer); return c }},
		{SDPCandidate, "none", text(change("a=candidate:1 1 udp 2130706431 192.0.2.7 40000 typ host", ""))},
		{SDPCandidate, "host name", text(change("192.0.2.7 40000 typ", "edge.local 40000 typ"))},
		{SDPCandidate, "relayed", text(change("typ host", "typ relay"))},
		{SDPRTCPMux, "none", text(change("a=rtcp-mux", ""))},
		{SDPPtime, "40", text(change("a=ptime:20", "a=ptime:40"))},
		{SDPPtime, "maxptime 60", text(change("a=maxptime:20", "a=maxptime:60"))},
		{DTLSCertificate, "another", func() *take { c := clean(); c.Certificate(0, "x"); return c }},
		{ConsentGap, "16 s", live(func(c *take) { c.Tick(c.lastCheck + 15*time.Second + 1) })},
		{ConsentGap, "told by the next check", live(func(c *take) { c.Check(c.lastCheck + 16*time.Second) })},
		{NotAccepted, "60 s", func() *take { c := clean(); c.Unaccepted(AcceptLimit); return c }},
	}
	for _, r := range icetest.Rules {
		tests = append(tests, test{Name(r), "seen by the transport", conduct(r)})
	}
	fired := map[Name]bool{}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%s/%s", tt.rule, tt.name), func(t *testing.T) {
			c := tt.run()
			first, broken := c.First()
			if !broken || first.Rule != tt.rule || first.Reason == "" {
				t.Fatalf("first broken: %+v; all: %+v", first, c.Breaches())
			}
			fired[tt.rule] = true
		})
	}
	for _, r := range All {
		if !fired[r.Name] {
			t.Errorf("%s has no test that shows it fire", r.Name)
		}
		if r.Code == 0 || r.Doc == "" {
			t.Errorf("%s has no code or no text", r.Name)
		}
	}
}

func TestOffersAreJudgedToo(t *testing.T) {
	c := NewJudge(Expect{})
	c.Offer(0, strings.ReplaceAll(strings.Replace(answer, "setup:active", "setup:actpass", 1), "111", "96"))
	if b, broken := c.First(); broken {
		t.Fatalf("broke %+v", b)
	}
	if c.expect.Opus != 96 || c.expect.DTMF != 126 {
		t.Fatalf("payload types %+v", c.expect)
	}
}

func FuzzCheckSDP(f *testing.F) {
	f.Add(answer)
	f.Add("")
	f.Add("v=0\r\nm=audio\r\na=candidate\r\na=ssrc:\r\na=fingerprint")
	f.Fuzz(func(t *testing.T, s string) { CheckSDP(s, Answer, Expect{}) })
}

func FuzzJudge(f *testing.F) {
	f.Add([]byte{0x80, 111, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0xf8, 0xff, 0xfe})
	f.Fuzz(func(t *testing.T, b []byte) {
		c := clean()
		c.accept()
		var h rtp.Header
		if n, err := h.Unmarshal(b); err == nil {
			c.RTP(c.now, &h, b[n:])
			c.say(2)
		}
		c.RTCP(c.now, b)
	})
}
