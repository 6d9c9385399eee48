package sink

import (
	"encoding/binary"
	"math/rand/v2"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
)

// judge is a Writer that accounts for every frame: in order, whole, and each gap told by exactly the right Lost.
type judge struct {
	t      *testing.T
	next   [Business]uint32
	heard  uint64
	marks  int
	last   int64 // mark
	faults int
}

func (j *judge) Write(frames []Frame) error {
	for i := range frames {
		f := &frames[i]
		if f.Direction == 0 {
			if f.At <= j.last {
				j.fault("mark at %d after mark at %d", f.At, j.last)
			}
			j.last, j.marks = f.At, j.marks+1
			continue
		}
		j.heard++
		n, next := binary.BigEndian.Uint32(f.Payload), &j.next[f.Direction-1]
		for _, b := range f.Payload[4:] {
			if b != byte(n) {
				j.fault("frame %d is torn: %v", n, f.Payload)
				break
			}
		}
		if n < *next || n-*next != uint32(f.Lost) && f.Lost != 1<<16-1 {
			j.fault("%s frame %d with Lost %d, where %d was next", f.Direction, n, f.Lost, *next)
		}
		*next = n + 1
	}
	return nil
}

func (j *judge) Close() error { return nil }

func (j *judge) fault(format string, args ...any) {
	if j.faults++; j.faults < 10 {
		j.t.Errorf(format, args...)
	}
}

// numbered makes frame n of a direction: its number, then its number's last byte over and over.
func numbered(b []byte, d Direction, at int, n uint32) *Frame {
	binary.BigEndian.PutUint32(b, n)
	for i := range b[4:] {
		b[4+i] = byte(n)
	}
	return &Frame{At: int64(at) * FrameSamples, Samples: FrameSamples, Direction: d, Payload: b}
}

// TestRaceOfShardAndWriter runs both sides at full speed over a small ring.
func TestRaceOfShardAndWriter(t *testing.T) {
	total := 300_000
	if testing.Short() {
		total = 50_000
	}
	for _, o := range []QueueOptions{{Slots: 4}, {Slots: 16, Batch: 4}, {Slots: 256, Batch: 50}} {
		j := &judge{t: t, last: -1}
		q := NewQueue(j, o)
		offer(q, mark(0))
		random := rand.New(rand.NewPCG(1, 2))
		sent := [Business]uint32{}
		b := make([]byte, MaxPayload)
		for i := 1; i < total; i++ {
			if i%97 == 0 {
				runtime.Gosched()
			}
			if i%50 == 0 {
				offer(q, mark(i))
				continue
			}
			d, length := Caller+Direction(random.IntN(2)), 4+random.IntN(60)
			if random.IntN(1000) == 0 {
				length = 1000
			}
			offer(q, numbered(b[:length], d, i, sent[d-1]))
			sent[d-1]++
		}
		end(t, q, total)
		s := q.Stats()
		if s.Frames != j.heard || j.heard+s.Dropped != uint64(sent[0]+sent[1]) {
			t.Errorf("slots %d: sent %d, heard %d, %+v", o.Slots, sent[0]+sent[1], j.heard, s)
		}
		expect(t, "last mark", j.last, int64(total)*FrameSamples)
		t.Logf("slots %d: heard %d, dropped %d, %d marks", o.Slots, j.heard, s.Dropped, j.marks)
	}
}

// TestFrameBeingReadIsNotTakenOver drives the two sides by hand into the one case in which the new frame goes and not the oldest.
func TestFrameBeingReadIsNotTakenOver(t *testing.T) {
	r := newRing(2)
	for i := range 2 {
		r.put(frame(Caller, i))
	}
	oldest := &r.slots[0].state
	full := oldest.Load()
	oldest.Store(full - slotFull + slotReading)
	if ok, dropped := r.put(frame(Caller, 2)); ok || dropped != 1 {
		t.Errorf("put: %t, dropped %d", ok, dropped)
	}
	if ok, dropped := r.put(mark(3)); ok || dropped != 0 {
		t.Errorf("put of a mark: %t, dropped %d", ok, dropped)
	}
	oldest.Store(full)
	var got []Frame
	var f Frame
	take := func() bool {
		_, ok := r.take(&f, nil)
		if ok {
			got = append(got, f)
		}
		return ok
	}
	take()
	r.put(frame(Caller, 3))
	for take() {
	}
	w := script{frames: got}
	expect(t, "frames", w.text(), "c0 c1 c3-1")
}

func TestRingIsAPowerOfTwo(t *testing.T) {
	for slots, want := range map[int]int{1: 1, 2: 2, 3: 4, 255: 256, 256: 256, 257: 512} {
		expect(t, "slots", len(newRing(slots).slots), want)
	}
}

// A slot grows once: a call of big frames allocates for each slot at most one time.
func TestOfferDoesNotAllocate(t *testing.T) {
	q := NewQueue(nothing{}, QueueOptions{Slots: 64})
	small, big, m := frame(Caller, 0), frame(Business, 0), mark(0)
	big.Payload = make([]byte, MaxPayload)
	for range 64 {
		offer(q, big)
	}
	if n := testing.AllocsPerRun(1000, func() { offer(q, small, big, m) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	end(t, q, 1)
}

func TestStatsMayBeReadAtAnyTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &script{gate: make(chan struct{})}
		q := NewQueue(w, QueueOptions{})
		offer(q, mark(0))
		done := make(chan struct{})
		go func() {
			defer close(done)
			for range 1000 {
				_ = q.Stats()
				q.Wake()
			}
		}()
		for i := range 1000 {
			offer(q, frame(Caller, i))
		}
		<-done
		<-time.After(time.Minute)
		expect(t, "blocked", q.Stats().Blocked, time.Minute)
		close(w.gate)
		end(t, q, 1000)
	})
}

// nothing takes all and keeps nothing.
type nothing struct{}

func (nothing) Write([]Frame) error { return nil }
func (nothing) Close() error        { return nil }

func BenchmarkOffer(b *testing.B) {
	for name, o := range map[string]QueueOptions{"recording": {Batch: 50}, "bot": {Batch: 1}} {
		b.Run(name, func(b *testing.B) {
			q := NewQueue(nothing{}, o)
			f := frame(Caller, 0)
			f.Payload = make([]byte, 50)
			b.ReportAllocs()
			for b.Loop() {
				f.At += FrameSamples / 2
				if q.Offer(f) {
					q.Wake()
				}
			}
			s := q.Stats()
			b.ReportMetric(float64(s.Dropped)/float64(b.N), "dropped/op")
			if err := q.Close(b.Context(), *mark(0)); err != nil {
				b.Fatal(err)
			}
		})
	}
}
