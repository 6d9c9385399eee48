// Package udptest is a network in memory, with the faults of a real one, for tests.
//
// A [Network] has addresses but no routers and no NAT: whoever binds an address has it, and a datagram to an address that nobody has
// is lost, as on the Internet. [Network.Ports] gives what the edge sees and [Network.Conn] what a peer sees. Loss, delay, jitter,
// duplicates and reorder come from one seeded source, so a test that is sequential repeats exactly. Time is time.Now, which is fake
// in a testing/synctest bubble: there, all waiting is durable as long as the Network and what comes from it were made in the bubble.
package udptest

import (
	"container/heap"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"
)

const (
	// queueLimit is how many datagrams wait in a port or Conn; more are lost. About what a kernel's default buffer holds.
	queueLimit = 256
	// holdBack is how much longer a reordered datagram takes when its Link does not say.
	holdBack = 25 * time.Millisecond
	// firstEphemeral is where port numbers begin that the Network chooses.
	firstEphemeral = 49152
)

// Link is what happens to datagrams on their way. The zero value is perfect: they arrive before Send returns.
type Link struct {
	Loss      float64       // probability that a datagram is lost
	Duplicate float64       // probability that it arrives twice
	Reorder   float64       // probability that it is held back by ReorderBy, so that later ones overtake it
	ReorderBy time.Duration // 0: 25 ms
	Delay     time.Duration // of every datagram
	Jitter    time.Duration // on top: uniform from 0 to Jitter. It does not reorder: later datagrams of the same way queue behind
}

// Stats count datagrams.
type Stats struct {
	Sent, Delivered      uint64
	Lost                 uint64 // by Link.Loss
	Dropped              uint64 // by Drop and DropNth
	Blackholed           uint64 // by Blackhole and Down
	Unreachable          uint64 // nobody has the address
	Overflowed           uint64 // the receiver's queue was full
	Duplicated, HeldBack uint64
}

// Network is a network in memory. Use New. All methods may be called by any goroutine.
type Network struct {
	mu        sync.Mutex
	random    *rand.Rand
	link      Link
	routes    []route
	filters   []*Filter
	taps      []func(from, to netip.AddrPort, b []byte)
	down      map[netip.Addr]bool
	blackhole map[netip.Addr]bool
	bound     map[netip.AddrPort]receiver
	limit     int // of bound ports of Ports; 0: none
	opened    int
	ephemeral uint16
	way       map[path]time.Time // when the last datagram that kept its place arrives
	flying    flight
	sequence  uint64
	timer     *time.Timer
	stats     Stats
}

// receiver takes a datagram; the Network is locked.
type receiver interface {
	deliver(from netip.AddrPort, b []byte) bool
}

type path struct{ from, to netip.AddrPort }

type route struct {
	from, to netip.Prefix
	link     Link
}

// New makes a network. The same seed gives the same faults to the same datagrams in the same order.
func New(seed uint64) *Network {
	return &Network{
		random:    rand.New(rand.NewPCG(seed, 0x6f6e656c616e65)),
		down:      make(map[netip.Addr]bool),
		blackhole: make(map[netip.Addr]bool),
		bound:     make(map[netip.AddrPort]receiver),
		ephemeral: firstEphemeral,
		way:       make(map[path]time.Time),
	}
}

// SetLink sets what happens where no Route says otherwise.
func (n *Network) SetLink(l Link) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.link = l
}

// Route sets what happens on the way from one prefix to another, that way only. The last Route that fits wins.
func (n *Network) Route(from, to netip.Prefix, l Link) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.routes = append(n.routes, route{from, to, l})
}

// Blackhole loses everything to and from an address, without a word to anybody, or ends that.
func (n *Network) Blackhole(a netip.Addr, on bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.blackhole[a] = on
}

// Down takes the interface with that address down: what is sent from it is refused (SendUnreachable), what is on the way to it is lost.
func (n *Network) Down(a netip.Addr) { n.setDown(a, true) }

// Up ends Down.
func (n *Network) Up(a netip.Addr) { n.setDown(a, false) }

func (n *Network) setDown(a netip.Addr, down bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.down[a] = down
}

// LimitPorts lets all Ports together have at most limit ports open: more are refused with ErrExhausted. 0 ends that.
func (n *Network) LimitPorts(limit int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.limit = limit
}

// Tap calls see for every datagram when it is sent, before anything befalls it. see may not keep b nor call the Network.
func (n *Network) Tap(see func(from, to netip.AddrPort, b []byte)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.taps = append(n.taps, see)
}

// Inject sends a datagram with any source address, as an attacker would.
func (n *Network) Inject(from, to netip.AddrPort, b []byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.send(from, to, b)
}

// Stats returns what happened so far.
func (n *Network) Stats() Stats {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.stats
}

// send tells false when the sender's interface is down. Locked.
func (n *Network) send(from, to netip.AddrPort, b []byte) bool {
	for _, see := range n.taps {
		see(from, to, b)
	}
	if n.down[from.Addr()] {
		n.stats.Blackholed++
		return false
	}
	n.stats.Sent++
	for _, f := range n.filters {
		if f.drops(from, to, b) {
			n.stats.Dropped++
			return true
		}
	}
	l := n.between(from.Addr(), to.Addr())
	if n.hits(l.Loss) {
		n.stats.Lost++
		return true
	}
	n.fly(l, from, to, b)
	if n.hits(l.Duplicate) {
		n.stats.Duplicated++
		n.fly(l, from, to, b)
	}
	return true
}

// hits draws even for 0 and 1, so that one rule's probability does not move the draws of others.
func (n *Network) hits(probability float64) bool { return n.random.Float64() < probability }

func (n *Network) between(from, to netip.Addr) Link {
	for i := len(n.routes) - 1; i >= 0; i-- {
		if r := &n.routes[i]; r.from.Contains(from) && r.to.Contains(to) {
			return r.link
		}
	}
	return n.link
}

// fly puts a copy of b on its way.
func (n *Network) fly(l Link, from, to netip.AddrPort, b []byte) {
	now := time.Now()
	at := now.Add(l.Delay + time.Duration(n.random.Float64()*float64(l.Jitter)))
	way := path{from, to}
	if n.hits(l.Reorder) {
		n.stats.HeldBack++
		by := l.ReorderBy
		if by == 0 {
			by = holdBack
		}
		at = at.Add(by)
	} else {
		if last := n.way[way]; at.Before(last) {
			at = last
		}
		n.way[way] = at
	}
	c := make([]byte, len(b), len(b)+64) // the room behind the bytes that udp.Ports promises
	copy(c, b)
	if !at.After(now) {
		n.land(from, to, c)
		return
	}
	n.sequence++
	heap.Push(&n.flying, flyer{at: at, sequence: n.sequence, path: way, b: c})
	n.arm(now)
}

// arm sets the timer to the first arrival.
func (n *Network) arm(now time.Time) {
	if len(n.flying) == 0 {
		return
	}
	d := n.flying[0].at.Sub(now)
	if n.timer == nil {
		n.timer = time.AfterFunc(d, n.arrive)
		return
	}
	n.timer.Reset(d)
}

// arrive delivers what is due.
func (n *Network) arrive() {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := time.Now()
	for len(n.flying) > 0 && !n.flying[0].at.After(now) {
		f := heap.Pop(&n.flying).(flyer)
		n.land(f.path.from, f.path.to, f.b)
	}
	n.arm(now)
}

func (n *Network) land(from, to netip.AddrPort, b []byte) {
	if n.blackhole[from.Addr()] || n.blackhole[to.Addr()] || n.down[to.Addr()] {
		n.stats.Blackholed++
		return
	}
	r, ok := n.bound[to]
	switch {
	case !ok:
		n.stats.Unreachable++
	case !r.deliver(from, b):
		n.stats.Overflowed++
	default:
		n.stats.Delivered++
	}
}

// bind gives r an address, with a free port number where it has none.
func (n *Network) bind(a netip.AddrPort, r receiver) (netip.AddrPort, bool) {
	if a.Port() == 0 {
		for range 1<<16 - firstEphemeral {
			try := netip.AddrPortFrom(a.Addr(), n.ephemeral)
			n.ephemeral++
			if n.ephemeral == 0 {
				n.ephemeral = firstEphemeral
			}
			if _, taken := n.bound[try]; !taken {
				a = try
				break
			}
		}
	}
	if _, taken := n.bound[a]; taken || a.Port() == 0 {
		return a, false
	}
	n.bound[a] = r
	return a, true
}

// flyer is a datagram on its way; flight has them in the order of arrival, and of sending where that is one instant.
type flyer struct {
	at       time.Time
	sequence uint64
	path     path
	b        []byte
}

type flight []flyer

func (f flight) Len() int { return len(f) }
func (f flight) Less(i, j int) bool {
	if f[i].at.Equal(f[j].at) {
		return f[i].sequence < f[j].sequence
	}
	return f[i].at.Before(f[j].at)
}
func (f flight) Swap(i, j int) { f[i], f[j] = f[j], f[i] }
func (f *flight) Push(x any)   { *f = append(*f, x.(flyer)) }
func (f *flight) Pop() any {
	last := len(*f) - 1
	x := (*f)[last]
	(*f)[last] = flyer{}
	*f = (*f)[:last]
	return x
}
