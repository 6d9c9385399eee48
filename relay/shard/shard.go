package shard

import (
	"fmt"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/onelane/onelane/ice/udp"
)

// Bounds of the loop.
const (
	// readBatch is how many datagrams one turn reads: enough to share the cost of a wake-up, few enough that the last of them has not
	// waited for a millisecond.
	readBatch = 256
	// maxWrites is how many datagrams of set-up (STUN, DTLS) may wait for the shard. Set-up repeats what is lost.
	maxWrites = 512
)

// Turn is what a posted function may touch: the Core and the ports of the shard, between two batches.
type Turn struct {
	Now   time.Duration
	Core  *Core
	Ports udp.Ports
}

// Shard runs a Core: Shard.run, one goroutine pinned to its thread, owns the ports, the Core and all media state of its calls. Every
// method may be called by anybody.
type Shard struct {
	ports  udp.Ports
	core   *Core
	origin time.Time
	tell   func([]Event)
	thread func() // nil, or run first on the shard's thread
	done   chan struct{}
	err    error // why the loop ended; valid after done

	pending atomic.Bool // something is in posts or writes
	mu      sync.Mutex  // guards what follows; held for a few instructions, by the shard only when pending is set
	closed  bool
	posts   []func(*Turn)
	writes  []udp.Datagram
	dropped uint64 // writes that did not fit
}

// New starts a shard on ports, which belong to it from now on. origin is the process's time zero. tell gets the events of each turn, on
// the shard's goroutine: it must not block nor keep the slice. thread, if not nil, runs first on the thread that the shard keeps: the
// place to raise its priority.
func New(ports udp.Ports, origin time.Time, tell func([]Event), thread func()) *Shard {
	s := &Shard{
		ports:  ports,
		core:   NewCore(origin.Round(0)), // the wall clock; now carries the monotonic one
		origin: origin,
		tell:   tell,
		thread: thread,
		done:   make(chan struct{}),
	}
	go s.run()
	return s
}

// Now is the time since the shard's origin.
func (s *Shard) Now() time.Duration { return time.Since(s.origin) }

// Do posts a function to the shard, to be run between two batches. It returns false when the shard has ended: f will not run.
func (s *Shard) Do(f func(*Turn)) bool {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return false
	}
	s.posts = append(s.posts, f)
	s.mu.Unlock()
	s.wake()
	return true
}

// Wait runs a function on the shard and waits for it. It returns false when the shard has ended.
func (s *Shard) Wait(f func(*Turn)) bool {
	ran := make(chan struct{})
	if !s.Do(func(t *Turn) { defer close(ran); f(t) }) {
		return false
	}
	select {
	case <-ran:
		return true
	case <-s.done:
		select {
		case <-ran:
			return true
		default:
			return false
		}
	}
}

// Write sends a datagram of set-up. It copies b, never blocks, and drops when too much waits.
func (s *Shard) Write(port udp.Port, to netip.AddrPort, b []byte) {
	s.mu.Lock()
	if s.closed || len(s.writes) >= maxWrites {
		s.dropped++
		s.mu.Unlock()
		return
	}
	s.writes = append(s.writes, udp.Datagram{Port: port, Remote: to, Data: append([]byte(nil), b...)})
	s.mu.Unlock()
	s.wake()
}

func (s *Shard) wake() {
	if s.pending.CompareAndSwap(false, true) {
		s.ports.Wake()
	}
}

// Close ends the loop, closes every port, and waits. Calls that are still there end without a word.
func (s *Shard) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.wake()
	<-s.done
	return s.err
}

// run is the loop. Nothing in it decides anything.
func (s *Shard) run() {
	runtime.LockOSThread() // for good: the thread ends with the goroutine, and with it what was set on it
	defer close(s.done)
	if s.thread != nil {
		s.thread()
	}
	turn := &Turn{Core: s.core, Ports: s.ports}
	in := make([]udp.Datagram, readBatch)
	var wait time.Duration
	for {
		n, err := s.ports.Receive(in, wait)
		if err != nil {
			s.err = fmt.Errorf("receive: %w", err)
			s.stop()
			return
		}
		turn.Now = s.Now()
		if s.pending.Load() && !s.apply(turn) {
			s.err = s.ports.Shutdown()
			return
		}
		out, next, ok := s.core.Turn(turn.Now, in[:n])
		s.ports.Send(out)
		s.after()
		wait = -1
		if ok {
			wait = max(0, next-s.Now())
		}
	}
}

// apply runs what was posted and sends what was written. It returns false when the shard was closed.
func (s *Shard) apply(t *Turn) bool {
	s.pending.Store(false)
	s.mu.Lock()
	posts, writes, closed := s.posts, s.writes, s.closed
	s.posts, s.writes = nil, nil
	s.mu.Unlock()
	s.ports.Send(writes) // first: what a call says last is written before the call is taken away
	for _, f := range posts {
		s.post(t, f)
	}
	return !closed
}

// post runs one posted function. A panic in it is told and costs no other call anything.
func (s *Shard) post(t *Turn, f func(*Turn)) {
	s.core.busy = noCall
	defer func() {
		if p := recover(); p != nil {
			s.core.panicked(t.Now, p)
		}
	}()
	f(t)
}

// stop refuses what is posted from now on.
func (s *Shard) stop() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.ports.Shutdown()
}

// after hands on what the turn left for others: events for the control plane, queues to wake.
func (s *Shard) after() {
	if e := s.core.Events(); len(e) > 0 {
		s.tell(e)
	}
	for i, q := range s.core.wakes {
		q.Wake()
		s.core.wakes[i] = nil
	}
	s.core.wakes = s.core.wakes[:0]
}
