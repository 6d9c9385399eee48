package sink

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// DefaultSlots hold 2.5 s of both directions.
	DefaultSlots = 256
	// MaxSlots bounds what one attachment may ask for: 40 s of both directions, 1 MB.
	MaxSlots = 4096
	// maxBatch is the most frames of one Write: what a second of both directions has, and a little.
	maxBatch = 128
	// patience is how much media may wait for a batch to fill.
	patience = SampleRate
	// maxStack is how much of a panicking Writer's stack its error keeps.
	maxStack = 4 << 10
)

// ErrStopped in an error of Write ends the attachment: the Writer is closed and gets no more frames.
var ErrStopped = errors.New("sink stopped")

// QueueOptions say how a Queue treats its Writer. The zero value is ready.
type QueueOptions struct {
	// Slots is how many frames wait at most, rounded up to a power of two; 0: DefaultSlots. At least twice Batch is taken.
	Slots int
	// Batch is how many frames should wait before the Writer is woken; 0 or 1: each. A bot wants 1, a recording 50. A mark wakes
	// at once, and so does a frame that is a second of media younger than the oldest that waits.
	Batch int
	// Failed is called when a Write fails after one that did not, and once more when the attachment ends by itself: then the error
	// wraps ErrStopped. Recovered is called when a Write succeeds again. Both run on the Queue's goroutine and may not call Close.
	Failed    func(error)
	Recovered func()
}

// Queue is what the data plane sees of an attachment: a bounded ring in front of a Writer that may block.
//
// The shard calls Offer for each frame and, where that asks for it, has Wake called after its turn. A goroutine of the Queue, run, takes
// the frames out and calls the Writer; it holds no slot meanwhile, so a Writer that blocks for ever costs the shard nothing and the
// call only its oldest frames.
//
// Who guarantees that a frame does not wait for ever while Batch is not full: the shard offers a mark at least once a second while the
// call is quiet, and a mark wakes; while the call is not quiet, the frames themselves do, when the youngest is a second of media after
// the oldest.
type Queue struct {
	writer  Writer
	options QueueOptions
	origin  time.Time // of the nanoseconds below

	ring   *ring
	parked atomic.Bool   // run waits for a Wake
	taken  atomic.Uint64 // the consumer's position when it parked
	wakes  chan struct{}

	// The first mark goes beside the ring, so that no overflow can drop it. The producer writes start before started.
	offered bool // producer only
	start   int64
	started atomic.Bool

	shut    atomic.Bool // no more frames: closing, or stopped by the Writer
	closing atomic.Bool // written after end
	closed  sync.Once
	end     int64
	done    chan struct{} // run is over
	result  error         // of the Writer's end; valid after done

	count counts
}

type counts struct {
	frames, dropped, refused, errors atomic.Uint64
	last                             atomic.Pointer[string]
	busySince                        atomic.Int64 // 1 + nanoseconds after origin, 0: the Writer is not being called
}

// Stats is what a Queue has done so far. Marks are not counted.
type Stats struct {
	Frames    uint64 // audio frames that the Writer took
	Dropped   uint64 // audio frames that never reached it: it was too slow, or it had ended
	Refused   uint64 // audio frames in Writes that failed
	Errors    uint64 // failed Writes, and a failed Close
	LastError string
	Blocked   time.Duration // for how long the Write or Close under way has been running; 0: none is
}

// NewQueue starts a goroutine that hands frames to w. It ends after Close, or when the Writer stops.
func NewQueue(w Writer, o QueueOptions) *Queue {
	o.Batch = min(max(o.Batch, 1), maxBatch)
	if o.Slots <= 0 {
		o.Slots = DefaultSlots
	}
	o.Slots = min(max(o.Slots, 2*o.Batch), MaxSlots)
	q := &Queue{
		writer:  w,
		options: o,
		origin:  time.Now(),
		ring:    newRing(o.Slots),
		wakes:   make(chan struct{}, 1),
		done:    make(chan struct{}),
	}
	go q.run()
	return q
}

// Offer copies f into the ring. It never blocks, locks or touches a channel, and allocates only when a payload of more than 160 bytes
// meets a slot for the first time. When the ring is full the oldest frame goes; when that one is being read this very moment, f itself
// goes instead. Either way it is counted, and told in the Lost of the next frame of that direction.
//
// True asks the caller to call Wake soon; it is said once and stays owed. One goroutine, the shard, calls Offer.
func (q *Queue) Offer(f *Frame) (wake bool) {
	mark := f.Direction == 0
	if q.shut.Load() || len(f.Payload) > MaxPayload || f.Direction > Business {
		if !mark {
			q.count.dropped.Add(1)
			q.ring.skip(f)
		}
		return false
	}
	if !q.offered {
		q.offered = true
		if mark {
			q.start = f.At
			q.started.Store(true)
			return q.parked.CompareAndSwap(true, false)
		}
	}
	ok, dropped := q.ring.put(f)
	if dropped > 0 {
		q.count.dropped.Add(uint64(dropped))
	}
	if !ok || !q.parked.Load() {
		return false
	}
	// While run is parked nothing is taken, so all from taken to head wait, but for what was overwritten.
	tail := q.taken.Load()
	if mark || q.ring.head-tail >= uint64(q.options.Batch) || f.At-q.ring.oldest(tail) >= patience {
		return q.parked.CompareAndSwap(true, false)
	}
	return false
}

// Wake lets the Queue's goroutine look for frames. It never blocks; any goroutine may call it.
func (q *Queue) Wake() {
	select {
	case q.wakes <- struct{}{}:
	default:
	}
}

// Stats may be called by any goroutine.
func (q *Queue) Stats() Stats {
	s := Stats{
		Frames: q.count.frames.Load(), Dropped: q.count.dropped.Load(),
		Refused: q.count.refused.Load(), Errors: q.count.errors.Load(),
	}
	if last := q.count.last.Load(); last != nil {
		s.LastError = *last
	}
	if since := q.count.busySince.Load(); since != 0 {
		s.Blocked = time.Since(q.origin) - time.Duration(since-1)
	}
	return s
}

// Done is closed when the Writer has been closed: after Close, or because it stopped.
func (q *Queue) Done() <-chan struct{} { return q.done }

// Close hands over what waits, then a last mark at end.At, closes the Writer and waits for all that; frames offered from now on are
// dropped. When ctx ends first Close returns, and the rest happens if and when the Writer returns: it cannot be interrupted, and
// must not hold up whoever closes. Any goroutine may call it, and more than once: the first end counts. The error is what the Writer
// made of its last mark and its Close, or what stopped it before.
func (q *Queue) Close(ctx context.Context, end Frame) error {
	q.closed.Do(func() {
		q.end = end.At
		q.shut.Store(true)
		q.closing.Store(true)
		q.Wake()
	})
	select {
	case <-q.done:
		return q.result
	default:
	}
	select {
	case <-q.done:
		return q.result
	case <-ctx.Done():
		return fmt.Errorf("close sink: the writer has not returned: %w", context.Cause(ctx))
	}
}

// panicError is a panic of a Writer.
func panicError(what string, v any) error {
	stack := debug.Stack()
	if len(stack) > maxStack {
		stack = stack[:maxStack]
	}
	return fmt.Errorf("%s panicked: %v: %w\n%s", what, v, ErrStopped, stack)
}
