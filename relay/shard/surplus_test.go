package shard

import (
	"testing"
	"time"

	"github.com/onelane/onelane/ice/udp"
	"github.com/onelane/onelane/relay/sink"
)

// kept checks that recorded frames do not overlap and that the last one stands at the clock, and gives how many there are.
func kept(t *testing.T, p *phone, frames []sink.Frame) int {
	t.Helper()
	heard := audio(frames, sink.Caller)
	for i := 1; i < len(heard); i++ {
		if heard[i].At < heard[i-1].At+960 {
			t.Fatalf("frame %d stands %d samples behind the one before it", i, heard[i].At-heard[i-1].At)
		}
	}
	clock := p.core.find(p.ref).position(p.now)
	if off := heard[len(heard)-1].At - clock; off > 2*960 || off < -2*960 {
		t.Fatalf("the last frame is %d ms ahead of the call's clock", off/48)
	}
	return len(heard)
}

// A phone whose clock runs fast has more audio than there is time: now and then a frame is left out of the recording, and the recording
// stays with the call.
func TestFastClockIsNotRecordedAheadOfTheCall(t *testing.T) {
	p := newRig(t).live()
	stop := p.record(1, sink.Caller)
	const packets = 1450 // what a queue holds
	for range packets {
		p.turn(p.say())
		p.now += 20*ms - 40*time.Microsecond // 2000 ppm: 58 ms in all
	}
	left := p.drops()[DropSurplus.String()]
	if n := kept(t, p, stop()); left < 2 || n != packets-int(left) {
		t.Fatalf("%d of %d frames are recorded, %d left out", n, packets, left)
	}
}

// What a path held back for longer than a jump comes at once. What is said afterwards stands in its place.
func TestBurstAfterAStallIsNotRecordedAheadOfTheCall(t *testing.T) {
	p := newRig(t).live()
	stop := p.record(1, sink.Caller)
	p.talk(50)
	var held []udp.Datagram
	for range 75 {
		held = append(held, p.say())
		p.now += 20 * ms
	}
	p.turn(held...)
	p.talk(50)
	if n := kept(t, p, stop()); n < 100 || n > 103 {
		t.Fatalf("%d frames are recorded, want those before and after the stall", n)
	}
}
