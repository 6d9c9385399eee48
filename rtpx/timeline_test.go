package rtpx

import (
	"math/rand/v2"
	"testing"
	"time"
)

func TestFirstPacketStandsWhereItArrived(t *testing.T) {
	for _, now := range []time.Duration{0, ms(1), ms(12345), time.Hour} {
		var line Timeline
		at, reanchored := line.Place(now, 0xfffffe00)
		if want := int64(now/time.Millisecond) * 48; at != want || reanchored {
			t.Errorf("%v: %d, %v, want %d", now, at, reanchored, want)
		}
	}
}

// Timestamps are followed, whatever the jitter does, also over their wrap.
func TestTimestampsAreFollowedThroughJitter(t *testing.T) {
	var line Timeline
	r := rand.New(rand.NewPCG(1, 1))
	start := uint32(1<<32 - 960*50)
	for i := range 5000 {
		late := time.Duration(r.Int64N(int64(ms(300))))
		if i%100 == 0 {
			late = 0
		}
		at, reanchored := line.Place(ms(20*i)+late, start+uint32(i)*960)
		if at != int64(i)*960 || reanchored {
			t.Fatalf("packet %d at %d, %v", i, at, reanchored)
		}
	}
}

// 24 hours of a sender whose clock is off, with jitter: the position stays within a frame and what drift makes in one window.
func TestDriftIsCorrectedForADay(t *testing.T) {
	for _, ppm := range []int64{-200, -20, 0, 20, 200} {
		var line Timeline
		r := rand.New(rand.NewPCG(2, 2))
		var last int64
		var moves int
		for i := range int64(24 * 3600 * 50) {
			sent := time.Duration(i * (20_000_000 - 20*ppm)) // a fast clock has sent packet i early
			now := sent + time.Duration(r.Int64N(int64(ms(40))))
			at, reanchored := line.Place(now, uint32(i)*960+0x12345678)
			if reanchored {
				t.Fatalf("%d ppm: packet %d re-anchored", ppm, i)
			}
			if at < last {
				t.Fatalf("%d ppm: packet %d went back from %d to %d", ppm, i, last, at)
			}
			if i > 0 && at-last != 960 {
				moves++
				if at-last != 0 && at-last != 1920 {
					t.Fatalf("%d ppm: packet %d moved by %d", ppm, i, at-last)
				}
			}
			last = at
			// The anchor may be 40 ms late. A frame more is where a correction begins, and a window more is when.
			if off := at - ticks(sent); off > 48*64 || off < -48*64 {
				t.Fatalf("%d ppm: packet %d is %d ms off after %v", ppm, i, off/48, sent)
			}
		}
		// 200 ppm is 17.28 s a day: 864 frames.
		want := 864 * int(max(ppm, -ppm)) / 200
		if moves < want-3 || moves > want+3 {
			t.Errorf("%d ppm: %d corrections, want %d", ppm, moves, want)
		}
	}
}

func TestPauseKeepsItsLength(t *testing.T) {
	var line Timeline
	line.Place(0, 0)
	line.Place(ms(20), 960)
	at, reanchored := line.Place(ms(20)+10*time.Minute, 960+600*48000) // DTX: the timestamps went on
	if at != 960+600*48000 || reanchored {
		t.Fatalf("after a pause with timestamps: %d, %v", at, reanchored)
	}
	at, reanchored = line.Place(ms(40)+20*time.Minute, 1920+600*48000) // mute: they stood still
	if at != 1920+1200*48000 || !reanchored {
		t.Fatalf("after a pause without timestamps: %d, %v", at, reanchored)
	}
}

// After a pause of 10 minutes at 200 ppm the clocks are 120 ms apart. It is made up for, not kept.
func TestDriftOfAPauseIsMadeUpFor(t *testing.T) {
	for _, ppm := range []int64{-200, 200} {
		var line Timeline
		place := func(i int64) (off int64) {
			sent := time.Duration(i * (20_000_000 - 20*ppm))
			at, _ := line.Place(sent, uint32(i)*960)
			return at - ticks(sent)
		}
		for i := range int64(1000) {
			place(i)
		}
		var off int64
		for i := range int64(50 * 120) {
			off = place(i + 1000 + 50*600)
		}
		if off > 48*23 || off < -48*23 {
			t.Errorf("%d ppm: still %d ms off two minutes after the pause", ppm, off/48)
		}
	}
}

func TestJumpIsReanchoredAtOnce(t *testing.T) {
	for _, jump := range []uint32{48000*2 + 1, 1 << 30, 1<<31 - 1, 1 << 31, 3 << 30, 1<<32 - 48000*2} {
		var line Timeline
		line.Place(0, 0)
		line.Place(ms(20), 960)
		at, reanchored := line.Place(ms(40), 1920+jump)
		if at != 1920 || !reanchored {
			t.Errorf("jump by %#x: %d, %v", jump, at, reanchored)
		}
		at, reanchored = line.Place(ms(60), 2880+jump)
		if at != 2880 || reanchored {
			t.Errorf("jump by %#x: the next one at %d, %v", jump, at, reanchored)
		}
	}
}

// A path stalls, or a process stops, for longer than a jump; then all that was held back comes at once. What comes in time afterwards
// stands in its place again, not up to a second ahead of it.
func TestBurstAfterAStallLeavesThePlaceInTime(t *testing.T) {
	for _, stall := range []int{40, 60, 75, 100, 250} { // packets
		var line Timeline
		var last int64
		for i := range 1000 {
			now := ms(20 * i)
			if i >= 500 && i < 500+stall {
				now = ms(20 * (500 + stall))
			}
			at, _ := line.Place(now, uint32(i)*960)
			if at < last {
				t.Fatalf("stall of %d: packet %d went back", stall, i)
			}
			last = at
			if off := at - int64(i)*960; i > 500+stall && (off < -FrameSamples || off > FrameSamples) {
				t.Fatalf("stall of %d: packet %d is %d ms off", stall, i, off/48)
			}
			if ahead := at - ticks(now); ahead > FrameSamples {
				t.Fatalf("stall of %d: packet %d is %d ms ahead of the clock", stall, i, ahead/48)
			}
		}
	}
}

// Whatever the timestamps are, a position is never more than a second from the time, and never goes back.
func TestHostileTimestampsNeverLeaveTheCall(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	for name, stamp := range map[string]func(i uint32) uint32{
		"stuck":      func(uint32) uint32 { return 77 },
		"backwards":  func(i uint32) uint32 { return -i * 960 },
		"double":     func(i uint32) uint32 { return i * 1920 },
		"8 kHz":      func(i uint32) uint32 { return i * 160 },
		"just below": func(i uint32) uint32 { return i * (960 + 47999) },
		"random":     func(uint32) uint32 { return r.Uint32() },
		"half":       func(i uint32) uint32 { return i*960 + i%2<<31 },
		"jitter":     func(i uint32) uint32 { return i*960 + r.Uint32N(40000) },
	} {
		var line Timeline
		var last int64
		for i := range uint32(3600 * 50) {
			at, _ := line.Place(ms(20*int(i)), stamp(i))
			if off := at - int64(i)*960; off > jumpTicks+FrameSamples || off < -jumpTicks {
				t.Fatalf("%s: packet %d is %d ms off", name, i, off/48)
			}
			if at < last {
				t.Fatalf("%s: packet %d went back", name, i)
			}
			last = at
		}
	}
}

func TestStuckTimestampAdvancesEachSecond(t *testing.T) {
	var line Timeline
	var last int64
	for i := range 500 {
		at, reanchored := line.Place(ms(20*i), 5)
		if reanchored != (at != last) || reanchored != (i > 0 && i%51 == 0) {
			t.Fatalf("packet %d: at %d, re-anchored %v", i, at, reanchored)
		}
		last = at
	}
}

// An anchor that was late (the first packet met a queue) is made up for by a frame in each window.
func TestLateAnchorIsMadeUpFor(t *testing.T) {
	var line Timeline
	line.Place(ms(300), 0)
	var at int64
	for i := 1; i <= 50*170; i++ {
		at, _ = line.Place(ms(20*i), uint32(i)*960)
	}
	if off := at - 50*170*960; off < 0 || off >= FrameSamples {
		t.Errorf("%d ms off after 170 s", off/48)
	}
}
