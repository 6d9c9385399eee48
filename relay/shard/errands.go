package shard

import (
	"net/netip"
	"sync/atomic"

	"github.com/onelane/onelane/ice"
	"github.com/onelane/onelane/ice/udp"
	"github.com/onelane/onelane/relay/sink"
)

const (
	// maxErrands wait for the porter at most. Half of them may be datagrams of set-up, which is repeated when it is lost.
	maxErrands = 1024
	// maxOwed is how many datagrams of set-up of one call may wait: as many as wait in front of pion then. A call that is flooded takes no
	// room from others.
	maxOwed = 32
)

// owed is how many datagrams of set-up of one call wait. The zero value is ready.
type owed struct{ n atomic.Int32 }

// errand is one thing that a turn leaves for the porter. One of conn, queue, ran and events is set.
type errand struct {
	owner  uint64 // whose call it is, for the report of a panic
	conn   *ice.Conn
	owed   *owed // of conn's call
	from   netip.AddrPort
	data   []byte // for conn; the slot's own memory
	queue  *sink.Queue
	ran    chan struct{}
	events []Event
}

// errands are a ring that the shard fills and the porter empties, without a lock.
//
// Why the shard does not do them itself: a goroutine that it lets go on is put into the queue of the processor that the Go scheduler has
// lent to the shard's thread. There it waits until that thread is stopped (by a collection, or after ten milliseconds of work), and then
// it runs before the shard does, and so does what it lets go on in turn: live media would wait for the signatures of calls in set-up.
type errands struct {
	slots [maxErrands]errand
	put   atomic.Uint64 // how many were ever put; written by the shard
	done  atomic.Uint64 // how many were ever done; written by the porter
	rung  uint64        // the shard's: put when the bell last rang
}

// free is the next slot to fill, or nil when so many wait.
func (e *errands) free(limit uint64) *errand {
	at := e.put.Load()
	if at-e.done.Load() >= limit {
		return nil
	}
	return &e.slots[at%maxErrands]
}

// deliver has a datagram of set-up given to whom it is for. It copies the bytes, and returns false when it has no room.
func (e *errands) deliver(owner uint64, call *owed, conn *ice.Conn, d *udp.Datagram) bool {
	s := e.free(maxErrands / 2)
	if s == nil || call.n.Load() >= maxOwed {
		return false
	}
	call.n.Add(1)
	s.owner, s.owed, s.conn, s.from, s.data = owner, call, conn, d.Remote, append(s.data[:0], d.Data...)
	e.put.Add(1)
	return true
}

// wake has a queue's goroutine woken.
func (e *errands) wake(q *sink.Queue) {
	s := e.free(maxErrands)
	if s == nil {
		q.Wake()
		return
	}
	s.queue = q
	e.put.Add(1)
}

// tell has events told; they are the errand's from now on. It returns false when it has no room.
func (e *errands) tell(events []Event) bool {
	s := e.free(maxErrands)
	if s == nil {
		return false
	}
	s.events = events
	e.put.Add(1)
	return true
}

// answer has the one who waits for ran go on.
func (e *errands) answer(ran chan struct{}) {
	s := e.free(maxErrands)
	if s == nil {
		close(ran)
		return
	}
	s.ran = ran
	e.put.Add(1)
}

// due tells, once, that something was put since it last said so.
func (e *errands) due() bool {
	put := e.put.Load()
	due := put != e.rung
	e.rung = put
	return due
}

// porter does the errands of a shard. Porter.run, one goroutine a shard, ends when the ports are shut down and all errands are done.
type porter struct {
	bell     udp.Bell
	errands  *errands
	tell     func([]Event)
	panicked func(owner uint64, p any)
	over     <-chan struct{} // closed when the shard's loop is over, which shuts the ports down
	done     chan<- struct{} // closed when everything is
}

func (p *porter) run() {
	defer close(p.done)
	for more := true; more; {
		more = p.bell.Wait()
		for p.next() {
		}
	}
	<-p.over
}

// next does one errand, if there is one. A panic in it is told and costs no other call anything.
func (p *porter) next() (did bool) {
	at := p.errands.done.Load()
	if at == p.errands.put.Load() {
		return false
	}
	did = true
	e := &p.errands.slots[at%maxErrands]
	defer func() {
		if r := recover(); r != nil {
			p.panicked(e.owner, r)
		}
		e.conn, e.owed, e.queue, e.ran, e.events = nil, nil, nil, nil, nil
		p.errands.done.Store(at + 1)
	}()
	switch {
	case e.conn != nil:
		e.owed.n.Add(-1)
		e.conn.Deliver(e.data, e.from)
	case e.queue != nil:
		e.queue.Wake()
	case e.ran != nil:
		close(e.ran)
	default:
		p.tell(e.events)
	}
	return did
}
