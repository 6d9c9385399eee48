package sink

import "sync/atomic"

// slotBytes is what a slot holds without growing: 20 ms of Opus up to 64 kbit/s. WhatsApp sends about 20 kbit/s, 50 bytes.
const slotBytes = 160

// The states of a slot. The producer turns empty and full into writing and writing into full, the consumer turns full into reading
// and reading into empty; so the bytes of a slot have one owner at any time.
const (
	slotEmpty uint64 = iota
	slotWriting
	slotFull
	slotReading
	slotStates
)

// slot is one place of the ring. Its state carries the position of the frame in it (position * slotStates + state), by which the
// consumer sees that the frame it waited for was overwritten by one that is a whole ring later.
type slot struct {
	state   atomic.Uint64
	at      int64
	samples int32
	length  int32
	lost    uint16
	dir     Direction
	uncut   bool
	payload []byte // of the slab, or, once a longer frame came, of MaxPayload bytes of its own
}

// ring hands frames from one producer to one consumer. The producer never waits: when all slots are full it takes over the oldest.
// Use newRing.
type ring struct {
	slots []slot
	mask  uint64

	_    [64]byte // the two sides write on cache lines of their own
	head uint64   // producer: position of the next frame
	owed [Business]uint16
	_    [64]byte
	tail uint64 // consumer: position of the next frame to take
	seen [Business]uint32
	_    [64]byte

	// Frames of each direction that were overwritten, with the packets that were known to be lost before them. Frames are overwritten
	// in order, and none while an older one is being read, so what the consumer finds here while it reads a frame lies before it.
	overwritten [Business]atomic.Uint32
}

func newRing(slots int) *ring {
	n := 1
	for n < slots {
		n <<= 1
	}
	r := &ring{slots: make([]slot, n), mask: uint64(n - 1)}
	slab := make([]byte, n*slotBytes)
	for i := range r.slots {
		r.slots[i].payload = slab[i*slotBytes : (i+1)*slotBytes : (i+1)*slotBytes]
	}
	return r
}

// put writes f behind the others. dropped is how many audio frames that cost: the oldest one when the ring is full, or f itself when
// the oldest is being read just now. The Lost of the next frame of that direction tells the Writer. Producer only.
func (r *ring) put(f *Frame) (ok bool, dropped int) {
	s := &r.slots[r.head&r.mask]
	for {
		state := s.state.Load()
		if state%slotStates == slotEmpty {
			break
		}
		if state%slotStates == slotReading {
			if f.Direction != 0 {
				dropped = 1
			}
			r.owe(f)
			return false, dropped
		}
		// Full. It fails when the consumer has begun to read it, and then never again.
		if s.state.CompareAndSwap(state, r.head*slotStates+slotWriting) {
			if s.dir != 0 {
				r.overwritten[s.dir-1].Add(uint32(s.lost) + 1)
				dropped = 1
			}
			break
		}
	}
	if len(f.Payload) > len(s.payload) {
		s.payload = make([]byte, MaxPayload) // once a slot at most
	}
	s.at, s.samples, s.lost, s.dir, s.uncut = f.At, f.Samples, f.Lost, f.Direction, f.Uncut
	if d := f.Direction; d != 0 && r.owed[d-1] > 0 {
		s.lost = saturate(uint32(f.Lost) + uint32(r.owed[d-1]))
		r.owed[d-1] = 0
	}
	s.length = int32(copy(s.payload, f.Payload))
	s.state.Store(r.head*slotStates + slotFull)
	r.head++
	return true, dropped
}

// owe remembers a frame that was not put, for the Lost of the next one.
func (r *ring) owe(f *Frame) {
	if d := f.Direction; d != 0 {
		r.owed[d-1] = saturate(uint32(r.owed[d-1]) + uint32(f.Lost) + 1)
	}
}

// oldest is the time of the frame at position tail, which the caller knows to be in the ring. Producer only: it wrote it.
func (r *ring) oldest(tail uint64) int64 { return r.slots[tail&r.mask].at }

// take moves the oldest frame to f, its payload appended to buf. Consumer only.
func (r *ring) take(f *Frame, buf []byte) (_ []byte, ok bool) {
	for {
		s := &r.slots[r.tail&r.mask]
		state := s.state.Load()
		position := state / slotStates
		switch {
		case state%slotStates == slotEmpty:
			return buf, false
		case position != r.tail: // overwritten, and with it what lay before it; the oldest is now behind it
			r.tail = position - r.mask
			continue
		case !s.state.CompareAndSwap(state, r.tail*slotStates+slotReading):
			continue
		}
		from := len(buf)
		buf = append(buf, s.payload[:s.length]...)
		*f = Frame{At: s.at, Samples: s.samples, Lost: s.lost, Direction: s.dir, Uncut: s.uncut}
		if d := s.dir; d != 0 {
			f.Payload = buf[from:len(buf):len(buf)]
			before := r.overwritten[d-1].Load()
			f.Lost = saturate(uint32(f.Lost) + (before - r.seen[d-1]))
			r.seen[d-1] = before
		}
		s.state.Store(slotEmpty)
		r.tail++
		return buf, true
	}
}

// waiting tells whether take would find a frame. Consumer only.
func (r *ring) waiting() bool { return r.slots[r.tail&r.mask].state.Load()%slotStates != slotEmpty }

func saturate(n uint32) uint16 { return uint16(min(n, 1<<16-1)) }
