package shard

import (
	"fmt"
	"net/netip"
	"runtime"
	"time"

	"github.com/onelane/onelane/ice/udp"
)

// readBatch is how many datagrams one turn reads: enough to share the cost of a wake-up, few enough that a full batch is sent within
// two milliseconds. 64 and 24 were no better under load.
const readBatch = 256

// Turn is what a posted function may touch: the Core and the ports of the shard, between two batches.
type Turn struct {
	Now   time.Duration
	Core  *Core
	Ports udp.Ports
}

// Shard runs a Core: Shard.run, one goroutine pinned to its thread, owns the ports, the Core and all media state of its calls. It waits
// for no lock and lets no goroutine go on: the mailbox and the errands are between it and everybody else. Every method may be called by
// anybody.
type Shard struct {
	ports  udp.Ports
	core   *Core
	origin time.Time
	tell   func([]Event)
	thread func() // nil, or run first on the shard's thread
	mail   mailbox
	done   chan struct{} // closed by the porter, after the loop
	err    error         // why the loop ended; valid after done

	bell   udp.Bell       // Shard.run's, as what follows
	writes []udp.Datagram // scratch
}

// New starts a shard on ports, which belong to it from now on. origin is the process's time zero. tell gets the events of each turn, which
// are its own; it must not block. thread, if not nil, runs first on the thread that the shard keeps: the place to raise its priority.
func New(ports udp.Ports, origin time.Time, tell func([]Event), thread func()) *Shard {
	s := &Shard{
		ports:  ports,
		core:   NewCore(origin.Round(0)), // the wall clock; now carries the monotonic one
		origin: origin,
		tell:   tell,
		thread: thread,
		done:   make(chan struct{}),
		bell:   ports.Bell(),
	}
	over := make(chan struct{})
	p := &porter{bell: s.bell, errands: s.core.errands, tell: tell, panicked: s.panicked, over: over, done: s.done}
	go p.run()
	go s.run(over)
	return s
}

// Now is the time since the shard's origin.
func (s *Shard) Now() time.Duration { return time.Since(s.origin) }

// Do posts a function to the shard, to be run between two batches. It returns false when the shard has ended: f will not run.
func (s *Shard) Do(f func(*Turn)) bool { return s.post(&post{run: f}) }

// Wait runs a function on the shard and waits for it. It returns false when the shard has ended.
func (s *Shard) Wait(f func(*Turn)) bool {
	ran := make(chan struct{})
	if !s.post(&post{run: f, ran: ran}) {
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

func (s *Shard) post(p *post) bool {
	first, ok := s.mail.put(p)
	if first {
		s.ports.Wake()
	}
	return ok
}

// Write sends a datagram of set-up. It copies b, never blocks, and drops when too much waits.
func (s *Shard) Write(port udp.Port, to netip.AddrPort, b []byte) {
	if s.mail.putWrite(&post{write: udp.Datagram{Port: port, Remote: to, Data: append([]byte(nil), b...)}}) {
		s.ports.Wake()
	}
}

// panicked tells of a panic in what the porter did for a call.
func (s *Shard) panicked(owner uint64, p any) {
	s.Do(func(t *Turn) { t.Core.Totals.Panics++ })
	s.tell([]Event{{Owner: owner, Kind: Panicked, At: s.Now(), Message: report(p)}})
}

// Close ends the loop, closes every port, and waits. Calls that are still there end without a word.
func (s *Shard) Close() error {
	s.post(&post{last: true})
	<-s.done
	return s.err
}

// run is the loop. Nothing in it decides anything.
func (s *Shard) run(over chan<- struct{}) {
	defer close(over)
	runtime.LockOSThread() // for good: the thread ends with the goroutine, and with it what was set on it
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
			s.mail.take(true)
			s.ports.Shutdown()
			return
		}
		turn.Now = s.Now()
		if s.mail.waiting() && !s.apply(turn) {
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

// apply runs and sends what was left in the mailbox, in the order in which it was left. It returns false when the shard was closed.
func (s *Shard) apply(t *Turn) bool {
	ends := s.work(t, s.mail.take(false))
	if ends {
		s.work(t, s.mail.take(true))
	}
	return !ends
}

// work does one post after the other and tells whether the last one was among them. Datagrams that follow one another go out together.
func (s *Shard) work(t *Turn, p *post) (ends bool) {
	for ; p != nil; p = p.next {
		if p.run == nil && !p.last {
			s.mail.writes.Add(-1)
			s.writes = append(s.writes, p.write)
			if p.next != nil {
				continue
			}
		}
		s.ports.Send(s.writes)
		clear(s.writes)
		s.writes = s.writes[:0]
		if p.run != nil {
			s.call(t, p.run)
		}
		if p.ran != nil {
			s.core.errands.answer(p.ran)
		}
		ends = ends || p.last
	}
	return ends
}

// call runs one posted function. A panic in it is told and costs no other call anything.
func (s *Shard) call(t *Turn, f func(*Turn)) {
	s.core.busy = noCall
	defer func() {
		if p := recover(); p != nil {
			s.core.panicked(t.Now, p)
		}
	}()
	f(t)
}

// after hands on what the turn left for others.
func (s *Shard) after() {
	if e := s.core.Events(); len(e) > 0 {
		if own := append([]Event(nil), e...); !s.core.errands.tell(own) {
			s.tell(own)
		}
	}
	if s.core.errands.due() {
		s.bell.Ring()
	}
}
