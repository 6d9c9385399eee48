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
	count   uint32 // of this direction's frames and known losses so far, this frame included
	dir     Direction
	uncut   bool
	payload []byte // of the slab, or, once a longer frame came, of MaxPayload bytes of its own
}

// ring hands frames from one producer to one consumer. The producer never waits: when all slots are full it takes over the oldest.
// Use newRing.
type ring struct {
	slots []slot
	mask  uint64

	_       [64]byte // the two sides write on cache lines of their own
	head    uint64   // producer: position of the next frame
	offered [Business]uint32
	_       [64]byte
	tail    uint64           // consumer: position of the next frame to take
	told    [Business]uint32 // consumer: count of the last frame of each direction
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
// the oldest is being read just now. Producer only.
func (r *ring) put(f *Frame) (ok bool, dropped int) {
	count := r.skip(f)
	s := &r.slots[r.head&r.mask]
	for {
		state := s.state.Load()
		if state%slotStates == slotEmpty {
			break
		}
		if state%slotStates == slotReading {
			return false, audioFrames(f.Direction)
		}
		// Full. It fails when the consumer has begun to read it, and then never again.
		if s.state.CompareAndSwap(state, r.head*slotStates+slotWriting) {
			dropped = audioFrames(s.dir)
			break
		}
	}
	if len(f.Payload) > len(s.payload) {
		s.payload = make([]byte, MaxPayload) // once a slot at most
	}
	s.at, s.samples, s.count, s.dir, s.uncut = f.At, f.Samples, count, f.Direction, f.Uncut
	s.length = int32(copy(s.payload, f.Payload))
	s.state.Store(r.head*slotStates + slotFull)
	r.head++
	return true, dropped
}

// skip counts f without putting it: the consumer finds out, by the count of the next frame of the direction, how many are missing.
func (r *ring) skip(f *Frame) (count uint32) {
	if d := f.Direction; d == Caller || d == Business {
		r.offered[d-1] += uint32(f.Lost) + 1
		return r.offered[d-1]
	}
	return 0
}

func audioFrames(d Direction) int {
	if d == 0 {
		return 0
	}
	return 1
}

// oldest is the time of the frame at position tail. Producer only: it wrote it.
func (r *ring) oldest(tail uint64) int64 { return r.slots[tail&r.mask].at }

// take moves the oldest frame to f, its payload appended to buf. Its Lost counts the packets that were known to be lost and the frames
// that were dropped since the last one taken. Consumer only.
func (r *ring) take(f *Frame, buf []byte) (_ []byte, ok bool) {
	for {
		s := &r.slots[r.tail&r.mask]
		state := s.state.Load()
		if !r.has(state) {
			return buf, false
		}
		if position := state / slotStates; position != r.tail {
			// Overwritten, or just being, and with it what lay before it; the oldest is now the one behind it.
			r.tail = position - r.mask
			continue
		}
		if !s.state.CompareAndSwap(state, r.tail*slotStates+slotReading) {
			continue
		}
		from := len(buf)
		buf = append(buf, s.payload[:s.length]...)
		*f = Frame{At: s.at, Samples: s.samples, Direction: s.dir, Uncut: s.uncut}
		if d := s.dir; d != 0 {
			f.Payload = buf[from:len(buf):len(buf)]
			f.Lost = uint16(min(s.count-r.told[d-1]-1, 1<<16-1))
			r.told[d-1] = s.count
		}
		s.state.Store(slotEmpty)
		r.tail++
		return buf, true
	}
}

// has tells by the state of the slot at tail whether there is a frame at or after tail. There is none when the slot is empty, and
// none yet when the producer is writing just that frame, which it does over an older one that the consumer has passed.
func (r *ring) has(state uint64) bool {
	return state%slotStates != slotEmpty && state != r.tail*slotStates+slotWriting
}

// waiting tells whether take would find a frame. Consumer only.
func (r *ring) waiting() bool { return r.has(r.slots[r.tail&r.mask].state.Load()) }
