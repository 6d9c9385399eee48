package recording

import (
	"testing"
	"time"

	"github.com/onelane/onelane/relay/sink"
	"github.com/onelane/onelane/rtpx/opus"
)

func TestBothSidesLandOnTheirChannels(t *testing.T) {
	const start = 123456 // the recording is attached in the middle of a call
	var s script
	s.mark(start)
	s.say(sink.Caller, start+300, speech(t, "caller.ogg")) // no multiple of 20 ms
	s.say(sink.Business, start+700, speech(t, "business.ogg"))
	s.mark(start + samples(6.2345))
	path, c := record(t, Options{Started: time.Unix(1790000000, 0)}, s.sorted())
	if c != (Counters{}) {
		t.Errorf("%+v", c)
	}
	pcm := judge(t, path, samples(6.2345), 2)
	caller, business := original(t, "caller.ogg"), original(t, "business.ogg")
	hears(t, pcm[0], 300, caller, 0.97)
	hears(t, pcm[1], 700, business, 0.97)
	if c, _ := likeness(pcm[0], 300, business); c > 0.3 {
		t.Errorf("the business is on the left: %.2f", c)
	}
	if c, _ := likeness(pcm[1], 300, caller); c > 0.3 {
		t.Errorf("the caller is on the right: %.2f", c)
	}
}

func TestMonoIsAnOrdinaryFile(t *testing.T) {
	for channels, name := range map[Channels]string{MonoCaller: "caller.ogg", MonoBusiness: "business.ogg"} {
		var s script
		s.mark(0)
		s.say(sink.Caller, 0, speech(t, "caller.ogg"))
		s.say(sink.Business, 0, speech(t, "business.ogg"))
		s.mark(samples(6))
		path, _ := record(t, Options{Channels: channels}, s.sorted())
		pcm := judge(t, path, samples(6), 1)
		hears(t, pcm[0], 0, original(t, name), 0.97)
	}
}

func TestLateStartIsSilence(t *testing.T) {
	late := samples(3.7)
	var s script
	s.mark(0)
	s.say(sink.Caller, late, speech(t, "caller.ogg"))
	s.say(sink.Business, 0, speech(t, "business.ogg"))
	s.mark(samples(10))
	path, _ := record(t, Options{}, s.sorted())
	pcm := judge(t, path, samples(10), 2)
	hears(t, pcm[0], late, original(t, "caller.ogg"), 0.97)
	hears(t, pcm[1], 0, original(t, "business.ogg"), 0.97)
	if p := peak(pcm[0], 0, late-960); p > 2 {
		t.Errorf("before the late start the left channel reaches %v", p)
	}
	if p := peak(pcm[1], samples(6.3), samples(10)); p > 2 {
		t.Errorf("after its end the right channel reaches %v", p)
	}
}

func TestPausesOfDTXAreSilence(t *testing.T) {
	caller := speech(t, "caller.ogg")
	var s script
	s.mark(0)
	s.say(sink.Caller, 0, caller[:100])
	s.say(sink.Caller, samples(5), caller[100:]) // 3 s without a packet
	for at := int64(0); at < samples(9); at += 960 {
		s = append(s, sink.Frame{At: at, Samples: 960, Direction: sink.Business, Payload: opus.Silence20})
	}
	s.mark(samples(9))
	path, _ := record(t, Options{}, s.sorted())
	pcm := judge(t, path, samples(9), 2)
	ref := original(t, "caller.ogg")
	hears(t, pcm[0], 0, ref[:samples(1.9)], 0.97)
	hears(t, pcm[0], samples(5)+samples(0.1), ref[samples(0.1)+samples(2):], 0.95)
	if p := peak(pcm[0], samples(2.15), samples(5)); p > 2 {
		t.Errorf("in the pause the left channel reaches %v", p)
	}
}

func TestLossesKeepTheirTime(t *testing.T) {
	var s script
	s.mark(0)
	s.say(sink.Caller, 0, speech(t, "caller.ogg"))
	s.say(sink.Business, 0, speech(t, "business.ogg"))
	s.mark(samples(6))
	kept := s[:0:0]
	for i, f := range s {
		if f.Direction == sink.Caller && (i%17 == 3 || i > 200 && i < 204) {
			continue
		}
		kept = append(kept, f)
	}
	path, _ := record(t, Options{}, kept.sorted())
	pcm := judge(t, path, samples(6), 2)
	hears(t, pcm[0], 0, original(t, "caller.ogg"), 0.8)
	hears(t, pcm[1], 0, original(t, "business.ogg"), 0.97)
}

func TestMuteOfTenMinutesHasItsLength(t *testing.T) {
	caller := speech(t, "caller.ogg")
	var s script
	s.mark(0)
	end := s.say(sink.Caller, 0, caller)
	for at := end; at < samples(610); at += sink.SampleRate {
		s.mark(at)
	}
	s.say(sink.Caller, samples(610), caller)
	s.mark(samples(617))
	path, _ := record(t, Options{}, s.sorted())
	pcm := judge(t, path, samples(617), 2)
	ref := original(t, "caller.ogg")
	hears(t, pcm[0], 0, ref, 0.97)
	hears(t, pcm[0], samples(610), ref, 0.97)
	if p := peak(pcm[0], end+samples(0.15), samples(610)); p > 2 {
		t.Errorf("while muted the left channel reaches %v", p)
	}
	if p := peak(pcm[1], 0, samples(617)); p > 2 {
		t.Errorf("the right channel reaches %v", p)
	}
}

func TestUncutFramesMeetJoinedOnes(t *testing.T) {
	var s script
	s.mark(0)
	s.say(sink.Caller, samples(0.5), speech(t, "caller60.ogg"))
	s.say(sink.Business, 0, speech(t, "business.ogg"))
	s.mark(samples(7))
	path, c := record(t, Options{}, s.sorted())
	if c != (Counters{}) {
		t.Errorf("%+v", c)
	}
	pcm := judge(t, path, samples(7), 2)
	hears(t, pcm[0], samples(0.5), original(t, "caller60.ogg"), 0.97)
	hears(t, pcm[1], 0, original(t, "business.ogg"), 0.97)
}

func TestUncutFramesWithLossesOnTheOtherSide(t *testing.T) {
	var s script
	s.mark(0)
	s.say(sink.Caller, 0, speech(t, "caller60.ogg"))
	s.say(sink.Business, samples(0.02), speech(t, "business.ogg"))
	s.mark(samples(6.5))
	kept := s[:0:0]
	for i, f := range s {
		if f.Direction == sink.Business && i%11 < 2 {
			continue
		}
		kept = append(kept, f)
	}
	path, _ := record(t, Options{}, kept.sorted())
	pcm := judge(t, path, samples(6.5), 2)
	hears(t, pcm[0], 0, original(t, "caller60.ogg"), 0.97)
	hears(t, pcm[1], samples(0.02), original(t, "business.ogg"), 0.6)
}

func TestConfigurationChangesInsideAGroup(t *testing.T) {
	business := speech(t, "business.ogg")
	for i := 50; i < 250; i += 7 { // the lane goes to its silence and back
		business[i] = opus.Silence20
	}
	var s script
	s.mark(0)
	s.say(sink.Caller, 0, speech(t, "caller60.ogg"))
	s.say(sink.Business, 0, business)
	s.mark(samples(6))
	path, _ := record(t, Options{}, s.sorted())
	pcm := judge(t, path, samples(6), 2)
	hears(t, pcm[0], 0, original(t, "caller60.ogg"), 0.97)
	hears(t, pcm[1], 0, original(t, "business.ogg"), 0.6)
}

func TestUncutFramesOnBothSidesOutOfStep(t *testing.T) {
	for _, shift := range []int64{0, 960, 1920} {
		var s script
		s.mark(0)
		s.say(sink.Caller, 0, speech(t, "caller60.ogg"))
		s.say(sink.Business, shift, speech(t, "caller60.ogg"))
		s.mark(samples(6.5))
		path, c := record(t, Options{}, s.sorted())
		if c != (Counters{}) {
			t.Errorf("shift %d: %+v", shift, c)
		}
		pcm := judge(t, path, samples(6.5), 2)
		ref := original(t, "caller60.ogg")
		hears(t, pcm[0], 0, ref, 0.95)
		c1, off := likeness(pcm[1], shift+fixturePreSkip, ref)
		if c1 < 0.95 || off < -1930 || off > 1930 {
			t.Errorf("shift %d: likeness %.3f at %+d, want at most two slots off", shift, c1, off)
		}
	}
}

func TestStereoPacketsAreMixedDown(t *testing.T) {
	for _, name := range []string{"silkstereo.ogg", "celtstereo.ogg"} {
		var s script
		s.mark(0)
		s.say(sink.Caller, 0, speech(t, name))
		s.say(sink.Business, 0, speech(t, "business.ogg"))
		s.mark(samples(6))
		path, _ := record(t, Options{}, s.sorted())
		pcm := judge(t, path, samples(6), 2)
		both := decode(t, "testdata/"+name, 2)
		mix := both[0]
		for i := range mix {
			mix[i] = (mix[i] + both[1][i]) / 2
		}
		hears(t, pcm[0], 0, mix, 0.9)
		hears(t, pcm[1], 0, original(t, "business.ogg"), 0.97)
	}
}

func TestSlowSenderLeavesSlotsEmptyAndDoesNotDriftAway(t *testing.T) {
	var s script
	s.mark(0)
	at := int64(0)
	const frames = 60000 // 20 minutes; one sample more a frame: a thousand times worse than a clock may be
	for range frames {
		s = append(s, sink.Frame{At: at, Samples: 960, Direction: sink.Caller, Payload: opus.Silence20})
		at += 961
	}
	s.mark(at)
	w, _ := open(t, Options{Channels: MonoCaller})
	feed(t, w, s)
	if got, want := w.next, at/960; got < want-1 || got > want+1 {
		t.Errorf("%d slots for %d", got, want)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if w.Counters != (Counters{}) {
		t.Errorf("%+v", w.Counters)
	}
}

func TestFastSenderHasFramesDroppedAndDoesNotDriftAway(t *testing.T) {
	w, path := open(t, Options{Channels: MonoCaller})
	if err := w.Write([]sink.Frame{{At: 0}}); err != nil {
		t.Fatal(err)
	}
	at := int64(0)
	for range 6000 {
		if err := w.Write([]sink.Frame{{At: at, Samples: 960, Direction: sink.Caller, Payload: opus.Silence20}}); err != nil {
			t.Fatal(err)
		}
		at += 950
	}
	if err := w.Write([]sink.Frame{{At: at}}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if w.Counters.Taken < 60 || w.Counters.Taken > 65 || w.Counters.Late != 0 {
		t.Errorf("%+v, want about 62 taken", w.Counters)
	}
	judge(t, path, at, 1)
}

func TestDirectionsThatComeOutOfOrderAreAligned(t *testing.T) {
	var s script
	s.say(sink.Caller, 0, speech(t, "caller.ogg"))
	s.say(sink.Business, 0, speech(t, "business.ogg"))
	frames := make([]sink.Frame, 0, len(s)+2)
	frames = append(frames, sink.Frame{})
	caller, business := s[:len(s)/2], s[len(s)/2:]
	for len(business) > 0 || len(caller) > 0 { // the caller comes 800 ms behind
		if len(business) > 0 {
			frames = append(frames, business[0])
			business = business[1:]
		}
		if done := len(s)/2 - len(business); done > 40 && len(caller) > 0 {
			frames = append(frames, caller[0])
			caller = caller[1:]
		}
	}
	frames = append(frames, sink.Frame{At: samples(6)})
	path, c := record(t, Options{}, frames)
	if c != (Counters{}) {
		t.Errorf("%+v", c)
	}
	pcm := judge(t, path, samples(6), 2)
	hears(t, pcm[0], 0, original(t, "caller.ogg"), 0.97)
	hears(t, pcm[1], 0, original(t, "business.ogg"), 0.97)
}

func TestEmptyRecordingIsAFile(t *testing.T) {
	path, _ := record(t, Options{}, nil)
	wellFormed(t, path)
	path, _ = record(t, Options{}, []sink.Frame{{At: 77}, {At: 77}})
	wellFormed(t, path)
	run(t, "opusinfo", path)
	path, _ = record(t, Options{}, []sink.Frame{{At: 77}, {At: 77 + 480}})
	judge(t, path, 480, 2)
}

func TestInvalidFramesAreHoles(t *testing.T) {
	w, path := open(t, Options{})
	feed(t, w, []sink.Frame{
		{At: 0},
		{At: 0, Samples: 960, Direction: sink.Caller, Payload: []byte{0xFB}},               // R6
		{At: 960, Samples: 960, Direction: sink.Caller, Payload: []byte{0xF0, 0xFF, 0xFE}}, // 10 ms
		{At: 1920, Samples: 0, Direction: sink.Caller, Payload: opus.Silence20},            // says no length
		{At: 2880, Samples: 960, Direction: sink.Caller, Payload: make([]byte, 1300)},      // R2
		{At: 3840, Samples: 960, Direction: sink.Business, Payload: opus.Silence20},
		{At: 9600},
	})
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if w.Counters.Invalid != 4 {
		t.Errorf("%+v", w.Counters)
	}
	judge(t, path, 9600, 2)
}

func TestJumpOfADayIsRefused(t *testing.T) {
	w, path := open(t, Options{})
	if err := w.Write([]sink.Frame{{At: 0}, {At: 1 << 60}}); err == nil {
		t.Error("taken")
	}
	feed(t, w, []sink.Frame{{At: 96000}})
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	judge(t, path, 96000, 2)
}

func TestMemoryIsBoundedAtTheHighestBitRate(t *testing.T) {
	w, path := open(t, Options{})
	big := make([]byte, sink.MaxPayload)
	big[0] = 0xF8
	if err := w.Write([]sink.Frame{{At: 0}}); err != nil {
		t.Fatal(err)
	}
	for i := range int64(500) { // only one direction: everything waits for the other
		if err := w.Write([]sink.Frame{{At: i * 960, Samples: 960, Direction: sink.Caller, Payload: big}}); err != nil {
			t.Fatal(err)
		}
		size := cap(w.together) + cap(w.scratch[0]) + cap(w.scratch[1]) + w.out.page.Size()
		for j := range w.tracks {
			size += cap(w.tracks[j].bytes)
		}
		if size > 64<<10 {
			t.Fatalf("%d bytes after frame %d", size, i)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	wellFormed(t, path)
}

func TestSteadyStateDoesNotAllocate(t *testing.T) {
	w, _ := open(t, Options{})
	packet := speech(t, "caller.ogg")[20]
	at := int64(0)
	batch := make([]sink.Frame, 0, 50)
	half := func() {
		batch = batch[:0]
		for range 25 {
			batch = append(batch, sink.Frame{At: at, Samples: 960, Direction: sink.Caller, Payload: packet},
				sink.Frame{At: at, Samples: 960, Direction: sink.Business, Payload: packet})
			at += 960
		}
		if err := w.Write(batch); err != nil {
			t.Fatal(err)
		}
	}
	for range 10 {
		half()
	}
	if n := testing.AllocsPerRun(100, half); n > 1 {
		t.Errorf("%v allocations a batch of half a second", n)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}
