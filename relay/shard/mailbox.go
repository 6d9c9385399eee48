package shard

import (
	"sync/atomic"

	"github.com/onelane/onelane/ice/udp"
)

// maxWrites is how many datagrams of set-up (STUN, DTLS) may wait for the shard. Set-up repeats what is lost.
const maxWrites = 512

// post is what somebody leaves for the shard: a function to run or a datagram to send.
type post struct {
	next  *post
	run   func(*Turn)
	ran   chan struct{} // nil, or closed when run has been
	write udp.Datagram
	last  bool // the shard is to end
}

// mailbox holds what is left for the shard, newest first, until the shard takes all of it. There is no lock in it: whoever holds one may
// be stopped by the shard's own thread, which goes before all others, and would make it wait. The zero value is ready; anybody may put,
// the shard alone takes.
type mailbox struct {
	newest  atomic.Pointer[post]
	writes  atomic.Int32 // how many posts are datagrams
	dropped atomic.Uint64
}

// shut is the newest post of a mailbox that takes no more.
var shut = new(post)

// put leaves p and tells whether it is the first since the shard looked (it has to be woken), and whether it was taken at all.
func (m *mailbox) put(p *post) (first, ok bool) {
	for {
		newest := m.newest.Load()
		if newest == shut {
			return false, false
		}
		p.next = newest
		if m.newest.CompareAndSwap(newest, p) {
			return newest == nil, true
		}
	}
}

// putWrite is put for a datagram, of which only so many may wait.
func (m *mailbox) putWrite(p *post) (first bool) {
	if m.writes.Add(1) > maxWrites {
		m.writes.Add(-1)
		m.dropped.Add(1)
		return false
	}
	first, ok := m.put(p)
	if !ok {
		m.writes.Add(-1)
		m.dropped.Add(1)
	}
	return first
}

// waiting tells whether there is something to take.
func (m *mailbox) waiting() bool { return m.newest.Load() != nil }

// take gives what is there, oldest first, and leaves the mailbox empty, or shut for good.
func (m *mailbox) take(end bool) *post {
	var next *post
	if end {
		next = shut
	}
	p := m.newest.Swap(next)
	if p == shut {
		return nil
	}
	var oldest *post
	for p != nil {
		p.next, oldest, p = oldest, p, p.next
	}
	return oldest
}
