package rtpx

import "time"

const (
	// WindowWait is how long a packet waits for the ones before it. Everything behind a lost packet waits that long too, and live audio is
	// heard with that much more delay for a moment at each loss, so it is no longer than it takes for a packet of 20 ms to be overtaken by
	// its neighbour and come in 10 ms after it. Reordering by more is as rare as it is audible either way, and is told as loss.
	WindowWait = 30 * time.Millisecond
	// WindowDepth is how many packets wait: 320 ms of 20 ms packets, which only a burst that was queued somewhere brings within
	// WindowWait. It bounds the memory that a call can take.
	WindowDepth = 16
)

// WindowVerdict is what became of a packet that was offered.
type WindowVerdict uint8

const (
	// Pass: deliver it now, then drain Next.
	Pass WindowVerdict = iota
	// Held: it was copied and will come out of Next, which has to be drained now, for the window may be full.
	Held
	// Duplicate: it was delivered, or is held, already: drop it.
	Duplicate
	// Late: its gap was given up already, or it is so old that nobody knows: drop it.
	Late
	// Refused: it is not in order and the pool has no buffer for it. The gap before it is given up, and with it what was held out of
	// that gap; deliver it now, as with Pass.
	Refused
)

// String is the name that counters use.
func (v WindowVerdict) String() string {
	switch v {
	case Pass:
		return "pass"
	case Held:
		return "held"
	case Duplicate:
		return "duplicate"
	case Late:
		return "late"
	case Refused:
		return "refused"
	}
	return "unknown"
}

// Window puts packets in order. What is in order passes uncopied; what is early is copied to a buffer of a Pool and waits there, at
// most WindowWait and at most WindowDepth of them, until the gap before it is filled or given up. It starts at the first packet.
// The zero value is ready; the same Pool has to be given to every method.
type Window struct {
	next      Seq           // the number that is due; 0: nothing was offered yet
	delivered uint64        // bit i: next-1-i was delivered, which tells a duplicate from a straggler
	oldest    time.Duration // when the one of the held packets that arrived first did
	head      int32         // the lowest held packet: its slot + 1, 0: none
	held      int32
}

// Offer takes a packet that arrived. lost is how many were given up right before it; it is not zero only when p is deliverable.
func (w *Window) Offer(now time.Duration, s Seq, p *Packet, pool *Pool) (v WindowVerdict, lost int) {
	if w.next == 0 {
		w.next = s
	}
	if s == w.next {
		w.advance(s)
		return Pass, 0
	}
	if s < w.next {
		if age := w.next - 1 - s; age < 64 && w.delivered>>age&1 != 0 {
			return Duplicate, 0
		}
		return Late, 0
	}
	link := &w.head
	for *link != 0 && pool.slots[*link-1].seq < s {
		link = &pool.slots[*link-1].next
	}
	if *link != 0 && pool.slots[*link-1].seq == s {
		return Duplicate, 0
	}
	if len(p.Payload) > BufferSize {
		return Refused, w.skip(s, pool)
	}
	buf, index, ok := pool.Get()
	if !ok {
		return Refused, w.skip(s, pool)
	}
	copy(buf, p.Payload)
	pool.slots[index] = slot{
		seq: s, arrived: now, timestamp: p.Timestamp, ssrc: p.SSRC, next: *link,
		length: uint16(len(p.Payload)), payloadType: p.PayloadType, marker: p.Marker,
	}
	*link = index + 1
	if w.held == 0 {
		w.oldest = now
	}
	w.held++
	return Held, 0
}

// Next puts into p the next packet that is in order, or whose gap has been given up by now, and says how many were lost before it.
// ok is false when there is none. The caller delivers p and then gives buf back to the pool.
func (w *Window) Next(now time.Duration, p *Packet, pool *Pool) (s Seq, lost int, buf int32, ok bool) {
	if w.head == 0 {
		return 0, 0, -1, false
	}
	index := w.head - 1
	h := &pool.slots[index]
	if h.seq != w.next && w.held < WindowDepth && now-w.oldest < WindowWait {
		return 0, 0, -1, false
	}
	*p = Packet{
		PayloadType: h.payloadType, Marker: h.marker, Sequence: uint16(h.seq), Timestamp: h.timestamp, SSRC: h.ssrc,
		Payload: pool.buffer(index)[:h.length:h.length],
	}
	s, lost = h.seq, int(h.seq-w.next)
	w.pop(pool)
	w.advance(s)
	return s, lost, index, true
}

// Deadline is when the oldest gap is given up: Next has to be drained then. ok is false when nothing is held.
func (w *Window) Deadline() (at time.Duration, ok bool) {
	return w.oldest + WindowWait, w.head != 0
}

// Reset gives back what is held and forgets everything.
func (w *Window) Reset(pool *Pool) {
	for w.head != 0 {
		pool.Put(w.pop(pool))
	}
	*w = Window{}
}

// advance makes s the last one that was delivered.
func (w *Window) advance(s Seq) {
	w.delivered = w.delivered<<(s+1-w.next) | 1 // a shift by 64 or more leaves nothing, as it should
	w.next = s + 1
}

// skip gives up all that is before s and returns how many packets that were.
func (w *Window) skip(s Seq, pool *Pool) int {
	for w.head != 0 && pool.slots[w.head-1].seq < s {
		pool.Put(w.pop(pool))
	}
	lost := int(s - w.next)
	w.advance(s)
	return lost
}

// pop unlinks the lowest held packet. Its buffer stays taken.
func (w *Window) pop(pool *Pool) (index int32) {
	index = w.head - 1
	w.head, pool.slots[index].next = pool.slots[index].next, taken
	w.held--
	if w.head == 0 {
		return index
	}
	w.oldest = pool.slots[w.head-1].arrived
	for i := w.head; i != 0; i = pool.slots[i-1].next {
		w.oldest = min(w.oldest, pool.slots[i-1].arrived)
	}
	return index
}
