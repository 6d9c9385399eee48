package sink

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// script is a Writer that a test steers. Its fields may be read when the Queue is idle or done.
type script struct {
	frames  []Frame // copies
	batches []int
	gate    chan struct{}        // not nil: each Write waits for it
	reply   func(call int) error // what a Write answers; nil: success
	closing func() error         // what Close answers; nil: success
	closes  int
}

func (s *script) Write(frames []Frame) error {
	if s.gate != nil {
		<-s.gate
	}
	s.batches = append(s.batches, len(frames))
	for _, f := range frames {
		f.Payload = append([]byte(nil), f.Payload...)
		s.frames = append(s.frames, f)
	}
	if s.reply != nil {
		return s.reply(len(s.batches))
	}
	return nil
}

func (s *script) Close() error {
	s.closes++
	if s.closing != nil {
		return s.closing()
	}
	return nil
}

// text is the frames as one readable line: marks as |at, frames as direction's letter, number, and lost packets.
func (s *script) text() string {
	var b strings.Builder
	for _, f := range s.frames {
		switch {
		case f.Direction == 0:
			fmt.Fprintf(&b, "|%d ", f.At/FrameSamples)
		case f.Lost > 0:
			fmt.Fprintf(&b, "%.1s%d-%d ", f.Direction, f.At/FrameSamples, f.Lost)
		default:
			fmt.Fprintf(&b, "%.1s%d ", f.Direction, f.At/FrameSamples)
		}
	}
	return strings.TrimSpace(b.String())
}

func frame(d Direction, i int) *Frame {
	return &Frame{At: int64(i) * FrameSamples, Samples: FrameSamples, Direction: d, Payload: []byte{0x48, byte(i), byte(i >> 8), byte(d)}}
}

func mark(i int) *Frame { return &Frame{At: int64(i) * FrameSamples} }

// offer is what a shard does: Wake at the end of the turn where it was asked for.
func offer(q *Queue, frames ...*Frame) {
	wake := false
	for _, f := range frames {
		wake = q.Offer(f) || wake
	}
	if wake {
		q.Wake()
	}
}

func end(t *testing.T, q *Queue, i int) {
	t.Helper()
	if err := q.Close(t.Context(), *mark(i)); err != nil {
		t.Errorf("Close: %v", err)
	}
}

func expect(t *testing.T, what string, got, want any) {
	t.Helper()
	if got != want {
		t.Errorf("%s:\n got %v\nwant %v", what, got, want)
	}
}

func TestFramesArriveInOrderBetweenTheMarks(t *testing.T) {
	w := &script{}
	q := NewQueue(w, QueueOptions{})
	offer(q, mark(0), frame(Caller, 0), frame(Business, 0), mark(1))
	offer(q, &Frame{At: 2880, Samples: 2880, Lost: 2, Direction: Caller, Uncut: true, Payload: make([]byte, MaxPayload)})
	end(t, q, 6)
	expect(t, "frames", w.text(), "|0 c0 b0 |1 c3-2 |6")
	expect(t, "closes", w.closes, 1)
	if f := w.frames[4]; f.Samples != 2880 || !f.Uncut || len(f.Payload) != MaxPayload {
		t.Errorf("the uncut frame became %+v", f)
	}
	if p := w.frames[2].Payload; len(p) != 4 || p[3] != byte(Business) {
		t.Errorf("payload %v", p)
	}
	expect(t, "frames counted", q.Stats().Frames, uint64(3))
}

func TestEmptyCallHasBothMarks(t *testing.T) {
	w := &script{}
	q := NewQueue(w, QueueOptions{})
	offer(q, mark(0))
	end(t, q, 0)
	expect(t, "frames", w.text(), "|0 |0")
}

func TestBatchWakesWhenFullOrMarkedOrOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &script{}
		q := NewQueue(w, QueueOptions{Batch: 4})
		step := func(what string, want bool, f *Frame) {
			t.Helper()
			synctest.Wait()
			if got := q.Offer(f); got != want {
				t.Errorf("%s: wake is %t", what, got)
			} else if got {
				q.Wake()
			}
		}
		step("first mark", true, mark(0))
		step("1 waits", false, frame(Caller, 0))
		step("2 wait", false, frame(Business, 0))
		step("3 wait", false, frame(Caller, 1))
		step("4 wait", true, frame(Business, 1))
		step("1 waits", false, frame(Caller, 2))
		step("a mark", true, mark(3))
		step("1 waits", false, frame(Caller, 4))
		step("2 wait, 980 ms", false, frame(Caller, 53))
		step("3 wait, a second", true, frame(Caller, 54))
		synctest.Wait()
		expect(t, "batches", fmt.Sprint(w.batches), "[1 4 2 3]")
		end(t, q, 55)
	})
}

// While the Writer works nobody has to wake it: it looks again before it parks.
func TestNoWakeWhileTheWriterWorks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &script{gate: make(chan struct{})}
		q := NewQueue(w, QueueOptions{})
		offer(q, mark(0))
		synctest.Wait()
		for i := range 10 {
			if q.Offer(frame(Caller, i)) {
				t.Error("asked for a wake-up while the writer was working")
			}
		}
		close(w.gate)
		synctest.Wait()
		expect(t, "batches", fmt.Sprint(w.batches), "[1 10]")
		end(t, q, 10)
	})
}

func TestFullQueueDropsTheOldestAndSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &script{gate: make(chan struct{})}
		q := NewQueue(w, QueueOptions{Slots: 8})
		offer(q, mark(0))
		synctest.Wait() // the Writer is blocked in the mark
		for i := range 20 {
			f := frame(Caller, i)
			if i == 3 {
				f.Lost = 5 // a loss before a frame that is dropped itself is not forgotten
			}
			offer(q, f)
		}
		offer(q, mark(20), frame(Business, 20))
		<-time.After(3 * time.Second)
		s := q.Stats()
		expect(t, "dropped", s.Dropped, uint64(14))
		expect(t, "blocked", s.Blocked, 3*time.Second)
		close(w.gate)
		synctest.Wait()
		expect(t, "blocked", q.Stats().Blocked, time.Duration(0))
		end(t, q, 21)
		expect(t, "frames", w.text(), "|0 c14-19 c15 c16 c17 c18 c19 |20 b20 |21")
	})
}

// Marks are not counted, but the first and the last always arrive, even when the Writer never got to run in between.
func TestOverflowKeepsTheFirstAndTheLastMark(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &script{}
		q := NewQueue(w, QueueOptions{Slots: 4})
		synctest.Wait()
		for i := range 40 { // parked, and never woken
			q.Offer(mark(i))
		}
		end(t, q, 40)
		expect(t, "frames", w.text(), "|0 |36 |37 |38 |39 |40")
		expect(t, "dropped", q.Stats().Dropped, uint64(0))
	})
}

func TestFailureIsToldOnTheTransitionOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []string
		full := errors.New("disk full")
		w := &script{reply: func(call int) error {
			if call >= 2 && call <= 4 || call == 6 {
				return fmt.Errorf("call %d: %w", call, full)
			}
			return nil
		}}
		q := NewQueue(w, QueueOptions{
			Failed:    func(err error) { told = append(told, "failed "+err.Error()) },
			Recovered: func() { told = append(told, "recovered") },
		})
		for i := range 7 {
			offer(q, frame(Caller, i))
			synctest.Wait()
		}
		end(t, q, 7)
		expect(t, "told", strings.Join(told, ", "), "failed call 2: disk full, recovered, failed call 6: disk full, recovered")
		s := q.Stats()
		s.Blocked = 0
		expect(t, "stats", s, Stats{Frames: 3, Refused: 4, Errors: 4, LastError: "call 6: disk full"})
	})
}

func TestStoppedWriterGetsNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []error
		w := &script{reply: func(call int) error {
			switch call {
			case 2:
				return errors.New("a hiccup")
			case 3:
				return fmt.Errorf("remote hung up: %w", ErrStopped)
			}
			return nil
		}}
		q := NewQueue(w, QueueOptions{Failed: func(err error) { told = append(told, err) }})
		for i := range 5 {
			offer(q, frame(Caller, i))
			synctest.Wait()
		}
		<-q.Done()
		expect(t, "closes", w.closes, 1)
		expect(t, "frames", w.text(), "c0 c1 c2")
		if len(told) != 2 || !errors.Is(told[1], ErrStopped) {
			t.Errorf("told %v", told)
		}
		for range 2 {
			if err := q.Close(t.Context(), *mark(5)); !errors.Is(err, ErrStopped) {
				t.Errorf("Close: %v", err)
			}
		}
		expect(t, "closes", w.closes, 1)
		if s := q.Stats(); s.Frames != 1 || s.Refused != 2 || s.Dropped != 2 {
			t.Errorf("%+v", s)
		}
	})
}

func TestPanicEndsOnlyTheAttachment(t *testing.T) {
	for _, where := range []string{"Write", "Close"} {
		t.Run(where, func(t *testing.T) {
			var told error
			w := &script{}
			boom := func() error { panic("boom at the writer") }
			if where == "Close" {
				w.closing = boom
			} else {
				w.reply = func(int) error { return boom() }
			}
			q := NewQueue(w, QueueOptions{Failed: func(err error) { told = err }})
			offer(q, frame(Caller, 0))
			err := q.Close(t.Context(), *mark(1))
			if !errors.Is(err, ErrStopped) || !strings.Contains(err.Error(), where+" panicked: boom at the writer") ||
				!strings.Contains(err.Error(), "queue_test.go") || len(err.Error()) > maxStack+300 {
				t.Errorf("Close: %v", err)
			}
			expect(t, "closes", w.closes, 1)
			if where == "Write" && told == nil {
				t.Error("nobody was told")
			}
			if s := q.Stats(); s.Errors != 1 || !strings.Contains(s.LastError, "boom") {
				t.Errorf("%+v", s)
			}
		})
	}
}

func TestBlockedWriterDoesNotHoldUpClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &script{gate: make(chan struct{}), closing: func() error { return errors.New("rename failed") }}
		q := NewQueue(w, QueueOptions{})
		offer(q, mark(0), frame(Caller, 0))
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		start := time.Now()
		if err := q.Close(ctx, *mark(9)); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 5*time.Second {
			t.Errorf("Close: %v after %s", err, time.Since(start))
		}
		offer(q, frame(Caller, 1), frame(Caller, 2))
		expect(t, "dropped", q.Stats().Dropped, uint64(2))
		close(w.gate) // the Writer returns at last: the rest happens all the same
		<-q.Done()
		expect(t, "frames", w.text(), "|0 c0 |9")
		expect(t, "closes", w.closes, 1)
		if err := q.Close(t.Context(), *mark(10)); err == nil || err.Error() != "rename failed" {
			t.Errorf("Close: %v", err)
		}
	})
}

func TestFrameThatCannotBeIsDropped(t *testing.T) {
	w := &script{}
	q := NewQueue(w, QueueOptions{})
	big := frame(Caller, 0)
	big.Payload = make([]byte, MaxPayload+1)
	offer(q, big, frame(Both, 1), frame(Caller, 2))
	end(t, q, 3)
	expect(t, "frames", w.text(), "c2-1 |3")
	expect(t, "dropped", q.Stats().Dropped, uint64(2))
}
