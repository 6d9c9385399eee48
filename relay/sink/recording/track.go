package recording

import (
	"github.com/onelane/onelane/relay/sink"
	"github.com/onelane/onelane/rtpx/opus"
)

const (
	// trackFrames bounds the frames that wait in a track: the hold of a second and the longest group.
	trackFrames = 64
	// trackBytes bounds their bytes: a second at 128 kbit/s. Richer audio is held for less.
	trackBytes = 16 << 10
	// concealSlots is how much of a hole is left to the decoder's concealment: 100 ms. libopus has faded out by then, and a hole
	// that long is a pause, not a loss.
	concealSlots = 5
)

// entry is a frame that waits for its slot.
type entry struct {
	slot  int64
	slots int8 // how many it is long
	size  int16
	from  int64 // position of its bytes in the stream of all bytes of the track
}

func (e *entry) end() int64 { return e.slot + int64(e.slots) }

// track is one direction: its frames that wait, and what the direction did last. At never goes back within a direction, so that it
// is a queue.
type track struct {
	direction sink.Direction
	end       int64 // on the call's clock, of the last frame
	due       int64 // the slot after the last frame, by its At
	free      int64 // the slot after the last frame, where it lies: later than due when a group moved it

	entries [trackFrames]entry // a ring
	first   int
	count   int
	bytes   []byte
	base    int64 // position of bytes[0]

	last  opus.TOC // of the last frame that was written
	quiet int      // slots since it ended; concealSlots or more: the decoder is told silence
}

func (t *track) at(i int) *entry { return &t.entries[(t.first+i)%trackFrames] }

func (t *track) payload(e *entry) []byte {
	return t.bytes[e.from-t.base : e.from-t.base+int64(e.size)]
}

// fits: there is room for one more frame of that size.
func (t *track) fits(size int) bool {
	if t.count == 0 {
		return true
	}
	used := t.base + int64(len(t.bytes)) - t.at(0).from
	return t.count < trackFrames && int(used)+size <= trackBytes
}

// push appends a frame that fits.
func (t *track) push(slot int64, slots int, payload []byte) {
	if len(t.bytes)+len(payload) > cap(t.bytes) || t.count == 0 {
		t.compact()
	}
	e := t.at(t.count)
	*e = entry{slot: slot, slots: int8(slots), size: int16(len(payload)), from: t.base + int64(len(t.bytes))}
	t.bytes = append(t.bytes, payload...)
	t.count++
	t.free = e.end()
}

// compact drops the bytes of frames that are gone.
func (t *track) compact() {
	from := t.base + int64(len(t.bytes))
	if t.count > 0 {
		from = t.at(0).from
	}
	t.bytes = append(t.bytes[:0], t.bytes[from-t.base:]...)
	t.base = from
}

// drop takes the frames before slot out of the queue.
func (t *track) drop(slot int64) {
	for t.count > 0 && t.at(0).slot < slot {
		t.first = (t.first + 1) % trackFrames
		t.count--
	}
}

// crossing finds the frame that lies on both sides of a boundary between slots.
func (t *track) crossing(boundary int64) *entry {
	for i := range t.count {
		e := t.at(i)
		if e.slot >= boundary {
			return nil
		}
		if e.end() > boundary {
			return e
		}
	}
	return nil
}

// move puts a crossing frame wholly before or wholly behind the boundary, whichever is nearer, and pushes later frames out of its
// way. from is the first slot that is not written.
func (t *track) move(e *entry, from, boundary int64) {
	low := from
	for i := range t.count {
		if f := t.at(i); f.slot < e.slot {
			low = f.end()
		}
	}
	if before := boundary - int64(e.slots); before >= low && e.slot-before <= boundary-e.slot {
		e.slot = before
		return
	}
	e.slot = boundary
	end := from
	for i := range t.count {
		f := t.at(i)
		f.slot = max(f.slot, end)
		end = f.end()
	}
	t.free = max(t.free, end)
}
