package stages

import (
	"testing"
	"time"

	"github.com/onelane/onelane/ice"
	"github.com/onelane/onelane/relay/sink"
	"github.com/onelane/onelane/rtpx"
	"github.com/onelane/onelane/rtpx/opus"
)

// plain gives a round of RTP packets that lie behind each other, as in a receive slab.
func plain(round int) [][]byte {
	packets := make([][]byte, round)
	slab := make([]byte, round*slot)
	for i := range packets {
		b := slab[i*slot : i*slot+rtpx.HeaderSize+payload : (i+1)*slot]
		rtpx.PutHeader(b, opusPT, false, 0, 0, ssrc)
		b[rtpx.HeaderSize] = 9 << 3 // SILK wide band, 20 ms, one frame
		packets[i] = b
	}
	return packets
}

// slot has room for a packet and what sealing adds to it.
const slot = 160

func classify(b *testing.B, _, round int) (func(), func(int)) {
	packets := plain(round)
	return nil, func(n int) {
		for i := range n {
			if ice.Classify(packets[i]) != ice.RTP {
				b.Fatal("not RTP")
			}
		}
	}
}

func parse(b *testing.B, _, round int) (func(), func(int)) {
	packets := plain(round)
	return nil, func(n int) {
		var p rtpx.Packet
		for i := range n {
			if rtpx.Parse(packets[i], &p) != rtpx.OK {
				b.Fatal("not parsed")
			}
		}
	}
}

// turn counts the packets of each call: every call is touched once before any is touched again, in an order in which no prefetcher finds
// the next one.
type turn struct{ call, calls, step, number, touched int }

// stride is prime, so that it leads to every call of any number that is used here.
const stride = 619

func newTurn(calls int) turn { return turn{calls: calls, step: stride % calls} }

func (t *turn) next() (call, number int) {
	call, number = t.call, t.number
	if t.call += t.step; t.call >= t.calls {
		t.call -= t.calls
	}
	if t.touched++; t.touched == t.calls {
		t.touched, t.number = 0, t.number+1
	}
	return call, number
}

// apart is a step's state with the distance to the next call's that it has in life, where it is one part of a call's record.
type apart[T any] struct {
	state T
	_     [1024]byte
}

func guard(_ *testing.B, calls, _ int) (func(), func(int)) {
	guards := make([]apart[rtpx.Guard], calls)
	t := newTurn(calls)
	return nil, func(n int) {
		for range n {
			k, number := t.next()
			guards[k].state.Admit(ssrc, uint16(number), 1)
		}
	}
}

func window(b *testing.B, calls, _ int) (func(), func(int)) {
	windows, pool := make([]apart[rtpx.Window], calls), rtpx.NewPool(64)
	t := newTurn(calls)
	return nil, func(n int) {
		var p rtpx.Packet
		for range n {
			k, number := t.next()
			if v, _ := windows[k].state.Offer(time.Duration(number)*frame, rtpx.Seq(1<<16+number), &p, pool); v != rtpx.Pass {
				b.Fatal(v)
			}
		}
	}
}

func reception(_ *testing.B, calls, _ int) (func(), func(int)) {
	streams := make([]apart[rtpx.Reception], calls)
	t := newTurn(calls)
	return nil, func(n int) {
		for range n {
			k, number := t.next()
			streams[k].state.Receive(time.Duration(number)*frame, rtpx.Seq(1<<16+number), uint32(number)*960)
		}
	}
}

func timeline(_ *testing.B, calls, _ int) (func(), func(int)) {
	lines := make([]apart[rtpx.Timeline], calls)
	t := newTurn(calls)
	return nil, func(n int) {
		for range n {
			k, number := t.next()
			lines[k].state.Place(time.Duration(number)*frame, uint32(number)*960)
		}
	}
}

func toc(b *testing.B, _, round int) (func(), func(int)) {
	packets := plain(round)
	return nil, func(n int) {
		for i := range n {
			if samples, _ := opus.Samples(packets[i][rtpx.HeaderSize:]); samples != 960 {
				b.Fatal(samples)
			}
		}
	}
}

// cut takes a packet of two frames apart into two packets of 20 ms.
func cut(b *testing.B, calls, _ int) (func(), func(int)) {
	cutters := make([]apart[opus.Cutter], calls)
	two := append([]byte{9<<3 | 1}, make([]byte, payload)...)
	t := newTurn(calls)
	return nil, func(n int) {
		for range n {
			k, _ := t.next()
			if cutters[k].state.Push(two) != opus.OK {
				b.Fatal("not cut")
			}
			for {
				if _, _, _, ok := cutters[k].state.Next(); !ok {
					break
				}
			}
		}
	}
}

// nothing takes all and keeps nothing.
type nothing struct{}

func (nothing) Write([]sink.Frame) error { return nil }
func (nothing) Close() error             { return nil }

// offer gives a frame to a queue whose writer wakes up for 50 of them, as a recording's does.
func offer(b *testing.B, calls, _ int) (func(), func(int)) {
	queues := make([]*sink.Queue, calls)
	for i := range queues {
		queues[i] = sink.NewQueue(nothing{}, sink.QueueOptions{Batch: 50})
	}
	b.Cleanup(func() {
		for _, q := range queues {
			_ = q.Close(b.Context(), sink.Frame{})
		}
	})
	f := sink.Frame{Samples: sink.FrameSamples, Direction: sink.Caller, Payload: make([]byte, payload)}
	t := newTurn(calls)
	return nil, func(n int) {
		for range n {
			k, number := t.next()
			f.At = int64(number) * sink.FrameSamples
			if queues[k].Offer(&f) {
				queues[k].Wake()
			}
		}
	}
}
