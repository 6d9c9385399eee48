package phone

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"github.com/onelane/onelane/cmd/metasim/internal/rules"
)

// run lets a phone speak for n ticks, on a perfect clock, and returns what it sends and when.
func run(s *Scenario, frames [][]byte, n int) (out []packet, at []time.Duration) {
	v := &voice{plan: s, frames: frames, opus: 111, dtmf: 126, ssrc: 1, random: rand.New(rand.NewPCG(s.Seed, 1))}
	v.start(time.Second)
	for now, i := v.origin, 0; i < n; i++ {
		packets, next := v.due(now)
		for _, p := range packets {
			out, at = append(out, p), append(at, now+p.delay)
		}
		now = next
	}
	return out, at
}

func words(n int) [][]byte {
	out := make([][]byte, n)
	for i := range out {
		out[i] = bytes.Repeat([]byte{0x48, byte(i)}, 20)
	}
	return out
}

func TestSpeechThenSilence(t *testing.T) {
	out, at := run(&Scenario{}, words(10), 30)
	if len(out) != 30 || !out[0].header.Marker {
		t.Fatalf("%d packets, marker %v", len(out), out[0].header.Marker)
	}
	for i, p := range out {
		h := p.header
		if i > 0 {
			before := out[i-1].header
			if h.SequenceNumber != before.SequenceNumber+1 || h.Timestamp != before.Timestamp+960 || h.Marker || at[i]-at[i-1] != tick {
				t.Errorf("packet %d: %+v after %+v", i, h, before)
			}
		}
		if spoken := bytes.Equal(p.payload, silence); spoken == (i < 10) {
			t.Errorf("packet %d is %x", i, p.payload)
		}
	}
}

func TestSpeechIsRepeated(t *testing.T) {
	out, _ := run(&Scenario{Voice: Voice{Repeat: true}}, words(10), 30)
	if !bytes.Equal(out[25].payload, words(10)[5]) {
		t.Errorf("packet 25 is %x", out[25].payload)
	}
}

func TestDTXSendsAPacketEvery400ms(t *testing.T) {
	out, at := run(&Scenario{Voice: Voice{DTX: true}}, words(10), 200)
	if len(out) != 10+9 { // ticks 20, 40 ... 180
		t.Fatalf("%d packets", len(out))
	}
	for i := 11; i < len(out); i++ {
		if at[i]-at[i-1] != 400*time.Millisecond || out[i].header.Timestamp-out[i-1].header.Timestamp != 20*960 ||
			out[i].header.SequenceNumber != out[i-1].header.SequenceNumber+1 || !out[i].header.Marker {
			t.Errorf("packet %d: %+v at %v", i, out[i].header, at[i])
		}
	}
}

func TestMuteSendsNothingAndTimestampsFollowTheClock(t *testing.T) {
	out, _ := run(&Scenario{Voice: Voice{Mute: []Pause{{AtMS: 200, DurationMS: 1000}}}}, words(100), 100)
	if len(out) != 50 || out[10].header.Timestamp-out[9].header.Timestamp != 51*960 || !out[10].header.Marker {
		t.Fatalf("%d packets, %+v after %+v", len(out), out[10].header, out[9].header)
	}
}

func TestDigitsAreRFC4733(t *testing.T) {
	for _, markerOnEnds := range []bool{false, true} {
		plan := &Scenario{Voice: Voice{MarkerOnEnds: markerOnEnds, Digits: []Press{{"5", 100, 0}, {"#", 400, 60}}}}
		if err := plan.Check(); err != nil {
			t.Fatal(err)
		}
		out, at := run(plan, words(100), 50)
		var e ear
		var events []packet
		for i, p := range out {
			if p.header.PayloadType == 126 {
				events = append(events, p)
				e.packet(at[i], time.Second, p.header.Timestamp, p.payload)
			}
		}
		if len(events) != 5+2+3+2 || e.String() != "5#" {
			t.Fatalf("%d event packets, heard %q", len(events), e.String())
		}
		if e.heard[0] != (Digit{"5", 100, 100}) || e.heard[1] != (Digit{"#", 400, 60}) {
			t.Errorf("heard %+v", e.heard)
		}
		for i, p := range events[:7] {
			want := uint16(min(i+1, 5) * 160)
			end := i >= 4
			if binary.BigEndian.Uint16(p.payload[2:]) != want || p.payload[1]&0x80 != 0 != end || p.header.Timestamp != events[0].header.Timestamp {
				t.Errorf("packet %d: %x at %d", i, p.payload, p.header.Timestamp)
			}
			if marker := i == 0 && !markerOnEnds || end && markerOnEnds; p.header.Marker != marker {
				t.Errorf("packet %d: marker %v", i, p.header.Marker)
			}
		}
		if out[5].header.Timestamp != out[4].header.Timestamp+960 || out[5].header.SequenceNumber != out[4].header.SequenceNumber+1 {
			t.Error("the digit is not on the audio's line")
		}
	}
}

func TestTheNetworkIsSeeded(t *testing.T) {
	plan := &Scenario{Seed: 7, Network: Network{Loss: 0.1, Duplicate: 0.05, Reorder: 0.05, JitterMS: 15}}
	a, at := run(plan, words(100), 2000)
	b, _ := run(plan, words(100), 2000)
	if len(a) != len(b) || len(a) < 1800 || len(a) > 2000 {
		t.Fatalf("%d and %d packets", len(a), len(b))
	}
	overtaken, doubled := 0, 0
	for i := 1; i < len(a); i++ {
		if a[i].delay != b[i].delay || a[i].header.SequenceNumber != b[i].header.SequenceNumber {
			t.Fatal("the same seed gave another network")
		}
		if a[i].header.SequenceNumber == a[i-1].header.SequenceNumber {
			doubled++
		} else if at[i] < at[i-1] {
			overtaken++
		}
	}
	if overtaken < 20 || doubled < 50 {
		t.Errorf("%d overtaken, %d doubled", overtaken, doubled)
	}
}

func TestAPhoneThatWasHeldUpDropsOldAudio(t *testing.T) {
	v := &voice{plan: &Scenario{}, frames: words(1000), random: rand.New(rand.NewPCG(1, 1))}
	v.start(0)
	first, _ := v.due(0)
	ts := first[0].header.Timestamp
	out, next := v.due(5 * time.Second)
	if len(out) > int(catchUp/tick)+1 || next != 5*time.Second+tick {
		t.Fatalf("a burst of %d packets, next at %v", len(out), next)
	}
	if last := out[len(out)-1].header.Timestamp - ts; last != 250*960 {
		t.Errorf("the timestamps are at %d", last)
	}
}

func TestDigitsWithLostPackets(t *testing.T) {
	event := func(code, end byte, units uint16) []byte { return []byte{code, end, byte(units >> 8), byte(units)} }
	var e ear
	e.packet(0, 0, 1000, event(1, 0, 320)) // the start was lost; all ends will be
	e.tick(100*time.Millisecond, 0)
	if len(e.heard) != 0 {
		t.Fatal("released too early")
	}
	e.tick(300*time.Millisecond, 0)
	e.packet(400*time.Millisecond, 0, 9000, event(2, 0x80, 800)) // only an end came, twice
	e.packet(400*time.Millisecond, 0, 9000, event(2, 0x80, 800))
	e.packet(time.Second, 0, 50000, event(2, 0, 160)) // the next one cuts it off
	e.packet(2*time.Second, 0, 90000, event(11, 0x80, 160))
	e.packet(3*time.Second, 0, 95000, event(16, 0x80, 160)) // not a digit
	if e.String() != "122#" {
		t.Fatalf("heard %q", e.String())
	}
}

func TestRecordingHasTheTrueLength(t *testing.T) {
	path := filepath.Join(t.TempDir(), "heard.opus")
	r, err := newRecorder(1)
	if err != nil {
		t.Fatal(err)
	}
	ts := uint32(1<<32 - 96000) // over a wrap of the timestamp
	for i := range 500 {
		if i%50 < 40 { // a fifth was lost
			r.packet(ts+uint32(i)*960, silence)
		}
	}
	r.packet(ts, silence) // overtaken by ten seconds
	r.packet(ts+499*960, silence)
	if err := r.save(path); err != nil {
		t.Fatal(err)
	}
	if r.samples != 500*960 {
		t.Fatalf("%d samples", r.samples)
	}
	judge, err := exec.LookPath("opusinfo")
	if err != nil {
		t.Skip("opusinfo is not installed")
	}
	text, err := exec.Command(judge, path).CombinedOutput()
	if err != nil || !regexp.MustCompile(`Playback length: 0m:10\.00\ds`).Match(text) || strings.Contains(string(text), "WARNING") {
		t.Fatalf("%v\n%s", err, text)
	}
	frames, err := readSpeech(path)
	if err != nil || len(frames) != 500+preRoll {
		t.Fatalf("%d frames, %v", len(frames), err)
	}
}

func TestSpeechOfAnotherPtimeIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "60.opus")
	r, _ := newRecorder(1)
	r.packet(0, []byte{0x58, 1, 2}) // SILK, 60 ms
	if err := r.save(path); err != nil {
		t.Fatal(err)
	}
	if _, err := readSpeech(path); err == nil || !strings.Contains(err.Error(), "--framesize 20") {
		t.Fatalf("read: %v", err)
	}
	if _, err := readFrames(strings.NewReader("no Ogg at all")); err == nil {
		t.Fatal("read something else")
	}
}

func TestReportsAreRFC3550(t *testing.T) {
	var r reception
	for i := range uint16(100) {
		if i%10 == 9 {
			continue
		}
		r.rtp(time.Duration(i)*tick, &rtp.Header{SSRC: 9, SequenceNumber: 65500 + i, Timestamp: uint32(i) * 960})
	}
	sr, err := (&rtcp.SenderReport{SSRC: 9, NTPTime: 0x1122334455667788}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	r.rtcp(2*time.Second, sr)
	v := &voice{ssrc: 5, sent: 10, bytes: 100, origin: time.Second}
	b, err := compound(4*time.Second, time.Unix(0, 0), v, &r)
	if err != nil {
		t.Fatal(err)
	}
	packets, err := rtcp.Unmarshal(b)
	if err != nil || len(packets) != 2 {
		t.Fatalf("%v %v", packets, err)
	}
	s := packets[0].(*rtcp.SenderReport)
	k := s.Reports[0]
	if s.SSRC != 5 || s.PacketCount != 10 || s.RTPTime != 3*48000 || k.SSRC != 9 || k.TotalLost != 9 || k.LastSequenceNumber != 1<<16+62 ||
		k.LastSenderReport != 0x33445566 || k.Delay != 2*65536 || k.Jitter != 0 || k.FractionLost == 0 {
		t.Errorf("%#v", k)
	}
}

func TestScenarioIsFlatJSON(t *testing.T) {
	var s Scenario
	text := `{"speech":"a.opus","loss":0.1,"jitter_ms":5,"dtx":true,"duration_ms":9,"answer_delay_ms":3,"digits":[{"digit":"1","at_ms":5}],"ignore_checks_ms":7}`
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		t.Fatal(err)
	}
	if s.Speech != "a.opus" || s.Loss != 0.1 || s.JitterMS != 5 || !s.DTX || s.DurationMS != 9 || s.AnswerDelayMS != 3 ||
		s.Digits[0].Digit != "1" || s.IgnoreChecksMS != 7 {
		t.Errorf("%+v", s)
	}
	for _, bad := range []Scenario{
		{Network: Network{Loss: -1}}, {Voice: Voice{Digits: []Press{{"12", 0, 0}}}}, {Voice: Voice{Digits: []Press{{"1", 100, 100}, {"2", 150, 100}}}},
		{Description: Description{Setup: "passive"}}, {Faults: Faults{Keepalives: "x"}}, {Faults: Faults{Profiles: []string{"x"}}}, {DurationMS: -1},
	} {
		if bad.Check() == nil {
			t.Errorf("%+v was allowed", bad)
		}
	}
}

// TestThePhoneKeepsTheRulesItself: what the phone says on a perfect network is what it asks of the business.
func TestThePhoneKeepsTheRulesItself(t *testing.T) {
	out, at := run(&Scenario{Voice: Voice{Digits: []Press{{"1", 500, 0}, {"2", 1000, 200}}, Mute: []Pause{{2000, 500}}}}, words(50), 500)
	j := rules.NewJudge(rules.Expect{Opus: 111, DTMF: 126})
	j.OpenGate(0)
	j.Start(0)
	for i, p := range out {
		j.RTP(at[i], &p.header, p.payload)
	}
	if b := j.Breaches(); len(b) != 0 {
		t.Errorf("%+v", b)
	}
}
