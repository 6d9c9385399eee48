package rtpx

import "time"

// BufferSize is the length of a buffer of a Pool: an Ethernet MTU, which no packet of ours or of a peer's path exceeds.
const BufferSize = 1500

// Pool is a bounded free list of packet buffers in one slab, made once. It belongs to one goroutine, and so do the Windows that
// hold packets in it. Use [NewPool].
type Pool struct {
	slab  []byte
	slots []slot
	free  int32 // the first free slot + 1, 0: none
	left  int
}

// slot is what a Window remembers of the packet in the buffer of the same index. It is here and not in the Window, because few calls
// hold packets at a time and a Window belongs to every call.
type slot struct {
	seq         Seq
	arrived     time.Duration
	timestamp   uint32
	ssrc        uint32
	next        int32 // the next slot + 1 in the list that this one is in (free, or one Window's); taken: in none
	length      uint16
	payloadType uint8
	marker      bool
}

const taken = -1

// NewPool makes a pool of n buffers. It is the only allocation of this package.
func NewPool(n int) *Pool {
	p := &Pool{slab: make([]byte, n*BufferSize), slots: make([]slot, n), left: n}
	for i := n - 1; i >= 0; i-- {
		p.slots[i].next = p.free
		p.free = int32(i) + 1
	}
	return p
}

// Get takes a buffer of BufferSize bytes out of the pool; ok is false when there is none left.
func (p *Pool) Get() (buf []byte, index int32, ok bool) {
	if p.free == 0 {
		return nil, -1, false
	}
	index = p.free - 1
	p.free = p.slots[index].next
	p.slots[index].next = taken
	p.left--
	return p.buffer(index), index, true
}

// Put gives a buffer back. A negative index, which stands for no buffer, is nothing. It panics on a buffer that was not taken: two
// calls that write into one buffer would be heard by the wrong people, and that is worse than one call that ends.
func (p *Pool) Put(index int32) {
	if index < 0 {
		return
	}
	if p.slots[index].next != taken {
		panic("rtpx: a packet buffer was given back twice")
	}
	p.slots[index].next = p.free
	p.free = index + 1
	p.left++
}

// Left is how many buffers can be taken.
func (p *Pool) Left() int { return p.left }

func (p *Pool) buffer(index int32) []byte {
	at := int(index) * BufferSize
	return p.slab[at : at+BufferSize : at+BufferSize]
}
