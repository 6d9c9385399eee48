package shard

import (
	"net/netip"
	"time"

	"github.com/onelane/onelane/ice"
	"github.com/onelane/onelane/ice/secure"
	"github.com/onelane/onelane/ice/udp"
	"github.com/onelane/onelane/relay/sink"
	"github.com/onelane/onelane/rtpx"
	"github.com/onelane/onelane/rtpx/opus"
)

// Bounds of a shard. What is beyond is refused or dropped under a name.
const (
	// outSlots is how many datagrams one turn may send. A turn reads at most a few hundred; each makes one packet a leg.
	outSlots = 1024
	// outReserve is what must be free before one more datagram or timer is worked on, so that it never runs out in the middle:
	// a 120 ms packet cut into six, to the lane and three RTP legs.
	outReserve = 32
	// slotBytes holds the longest datagram and the room that sealing needs behind it.
	slotBytes = udp.MaxDatagram + secure.Overhead + 4
	// reorderBuffers are shared by all reorder windows of a shard: a packet waits in one for rtpx.WindowWait at most.
	reorderBuffers = 2048
	// maxEvents of one turn. The loop hands them on after every turn.
	maxEvents = 4096
	// callChunk calls are allocated together; a call never moves, so pointers to it hold within a turn.
	callChunk = 64
	// MaxLegs and MaxTakers bound the attachments of one call.
	MaxLegs   = 4
	MaxTakers = 16
)

// Ref names a call of one Core. A Ref whose call is gone names nothing, also when its place is used again.
type Ref struct {
	index int32
	gen   uint32
}

// portRef tells whose a port is: the Meta leg (leg < 0) or RTP leg number leg of a call.
type portRef struct {
	call int32
	leg  int16
}

const metaLeg = int16(-1)

// Core is the data plane of one shard: no I/O, no clock, not for concurrent use. Make it with NewCore.
type Core struct {
	origin time.Time // the wall clock at now == 0, for RTCP's NTP time only
	chunks []*[callChunk]call
	free   []int32
	inUse  int
	ports  []portRef // by udp.Port
	wheel  *wheel
	pool   *rtpx.Pool
	stun   *ice.StunScratch
	opus   opus.Packet // scratch

	slab    []byte
	out     []udp.Datagram
	events  []Event
	errands *errands

	busy   int32 // the call being worked on, for the report of a panic
	Totals Totals
}

// Totals are sums over all calls of a shard, those that are gone included.
type Totals struct {
	PacketsIn, PacketsOut uint64 // RTP that was accepted, RTP that was sent
	Violations            uint64
	Panics                uint64
	EventsLost            uint64
	Drops                 Drops
}

// NewCore makes an empty Core. origin is the wall clock at now == 0.
func NewCore(origin time.Time) *Core {
	return &Core{
		origin:  origin,
		wheel:   newWheel(),
		pool:    rtpx.NewPool(reorderBuffers),
		stun:    new(ice.StunScratch),
		slab:    make([]byte, outSlots*slotBytes),
		out:     make([]udp.Datagram, 0, outSlots),
		events:  make([]Event, 0, 64),
		errands: new(errands),
		busy:    noCall,
	}
}

// call is one call's media state, owned by the shard's goroutine. What every packet touches comes first; what is touched every few
// seconds is behind rare.
type call struct {
	gen    uint32
	used   bool
	begun  bool // its media clock runs
	dead   bool // consent lost or panicked: nothing is sent or accepted any more
	port   udp.Port
	remote netip.AddrPort // nominated; the zero value before
	opener *secure.Opener
	sealer *secure.Sealer
	rate   bucket
	zero   time.Duration // now at position 0
	in     inbound
	lane   lane
	takers []taker
	legs   [MaxLegs]*rtpLeg
	count  counters
	sender rtpx.Sender
	rare   *rare
}

// rare is what a call needs at set-up and every few seconds.
type rare struct {
	owner   uint64
	ports   []udp.Port
	setup   []*ice.Conn // STUN for pion, by local address; nil once the agent is gone
	dtls    *ice.Conn   // nil once the handshake's connection is gone
	early   early       // DTLS from before a pair was nominated
	owed    owed        // of both, what waits for the porter
	consent *ice.Consent
	clips   []*player
	echo    []uint32 // attachment ids
	report  reports
	mark    time.Duration // when the next time mark is due
	quality time.Duration // when the next quality event is due
	drops   Drops
}

// early keeps the newest DTLS datagram that came before a pair was nominated. A DTLS client nominates no pair itself: it sends its
// ClientHello in the instant that it answers our nominating check, and the answer has to pass the agent and the control plane before the
// shard knows the pair. Dropping it would cost a call the client's first retransmission, a second with stock timers.
type early struct {
	port   udp.Port
	remote netip.AddrPort
	b      []byte
}

// taker is a sink's queue on a call.
type taker struct {
	id        uint32
	direction sink.Direction
	queue     *sink.Queue
}

func (c *Core) at(i int32) *call { return &c.chunks[i/callChunk][i%callChunk] }

// find returns the call that ref names, or nil.
func (c *Core) find(ref Ref) *call {
	if ref.index < 0 || int(ref.index) >= len(c.chunks)*callChunk {
		return nil
	}
	if k := c.at(ref.index); k.used && k.gen == ref.gen {
		return k
	}
	return nil
}

// Turn works on what has arrived and on what is due, and returns what is to be sent and when it wants to be called again at the latest
// (ok is false: not before something arrives). in may be changed; out is valid until the next Turn.
//
// A panic while one datagram or timer is worked on ends the call it belonged to and nothing else.
func (c *Core) Turn(now time.Duration, in []udp.Datagram) (out []udp.Datagram, next time.Duration, ok bool) {
	c.out = c.out[:0]
	for i := 0; i < len(in); {
		group := in[i:min(i+prefetchGroup, len(in))]
		c.prefetch(group)
		for n := 0; n < len(group); {
			n = c.receiveFrom(now, group, n)
		}
		i += len(group)
	}
	for !c.fire(now) {
	}
	next, ok = c.wheel.next()
	return c.out, next, ok
}

// receiveFrom works on in from i on and returns where to go on: len(in), or behind the datagram that caused a panic.
func (c *Core) receiveFrom(now time.Duration, in []udp.Datagram, i int) (next int) {
	defer func() {
		if p := recover(); p != nil {
			c.panicked(now, p)
			next = i + 1
		}
	}()
	for ; i < len(in); i++ {
		c.receive(now, &in[i])
	}
	return i
}

// fire runs the timers that are due. It returns false when it has to be called again, after a panic.
func (c *Core) fire(now time.Duration) (done bool) {
	defer func() {
		if p := recover(); p != nil {
			c.panicked(now, p)
			done = false
		}
	}()
	for cap(c.out)-len(c.out) >= outReserve {
		i := c.wheel.expired(now)
		if i == noCall {
			return true
		}
		c.busy = i
		k := c.at(i)
		c.due(now, i, k)
		if k.used && !k.dead {
			c.wheel.arm(i, k.next())
		}
	}
	return true // the batch is full: the rest is due at once in the next turn
}

// due runs what call i has to do by now.
func (c *Core) due(now time.Duration, i int32, k *call) {
	if !k.used || k.dead {
		return
	}
	c.releaseWindow(now, i, k)
	c.tickLane(now, k)
	c.tickReports(now, k)
	c.tickConsent(now, i, k)
}

// next is when the call wants to be looked at again.
func (k *call) next() time.Duration {
	at := k.in.due()
	for _, l := range k.legs {
		if l != nil {
			at = min(at, l.in.due())
		}
	}
	r := k.rare
	if k.begun {
		at = min(at, r.mark)
	}
	if k.lane.open && k.sealer != nil {
		at = min(at, k.lane.due(), r.report.due, r.quality)
	}
	if r.consent != nil {
		at = min(at, r.consent.Next())
	}
	return at
}

// never is a deadline that is not reached.
const never = time.Duration(1<<63 - 1)

// rearm moves the call's deadline forward where something became due earlier. A later deadline is left to the timer, which looks again.
func (c *Core) rearm(i int32, k *call) {
	at := k.next()
	if t := &c.wheel.timers[i]; t.slot < 0 || at < t.at {
		c.wheel.arm(i, at)
	}
}

// take gives the memory of the next outgoing datagram, or nil when the batch is full.
func (c *Core) take() []byte {
	n := len(c.out)
	if n == cap(c.out) {
		return nil
	}
	return c.slab[n*slotBytes : n*slotBytes : (n+1)*slotBytes]
}

// put appends a datagram that was built in the memory that take gave.
func (c *Core) put(port udp.Port, to netip.AddrPort, b []byte) {
	c.out = append(c.out, udp.Datagram{Port: port, Remote: to, Data: b})
}

// offer gives a frame to a queue and has its goroutine woken after the turn.
func (c *Core) offer(q *sink.Queue, f *sink.Frame) {
	if q.Offer(f) {
		c.errands.wake(q)
	}
}

// deliver has a datagram of set-up given to pion.
func (c *Core) deliver(k *call, conn *ice.Conn, d *udp.Datagram) {
	if !c.errands.deliver(k.rare.owner, &k.rare.owed, conn, d) {
		c.drop(k, DropSetupFull)
	}
}

// drop counts a datagram or frame that goes no further. k may be nil.
func (c *Core) drop(k *call, d Drop) {
	c.Totals.Drops[d]++
	if k != nil {
		k.rare.drops[d]++
	}
}

// position is where the call's media clock stands.
func (k *call) position(now time.Duration) int64 { return samples(now - k.zero) }

// samples converts a duration to samples at 48 kHz.
func samples(d time.Duration) int64 { return int64(d) * 6 / 125000 } // * 48000 / 1e9, without overflow for 8 years

// duration converts samples at 48 kHz to a duration, rounded up so that samples(duration(n)) == n.
func duration(n int64) time.Duration { return time.Duration((n*125000 + 5) / 6) }
