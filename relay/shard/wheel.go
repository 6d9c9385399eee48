package shard

import "time"

// The wheel turns once in wheelSlots ticks. A deadline further away is put in the furthest slot and moved on when that comes up:
// with one entry a call, most deadlines are under 60 ms away, so this costs less than a second level.
const (
	wheelTick  = time.Millisecond
	wheelSlots = 1024 // a power of two
)

const noCall = int32(-1)

// timer is the entry of one call in the wheel, kept in a slice beside the wheel and linked by index: no heap object a timer.
type timer struct {
	next, prev int32
	slot       int32 // -1: not armed
	at         time.Duration
}

// wheel keeps one deadline a call: O(1) to arm, to move and to fire. Not for concurrent use; use newWheel.
type wheel struct {
	head   [wheelSlots]int32
	timers []timer
	tick   int64 // the tick that is being fired; all before it are empty
	armed  int
}

func newWheel() *wheel {
	w := &wheel{}
	for i := range w.head {
		w.head[i] = noCall
	}
	return w
}

// grow makes room for call i.
func (w *wheel) grow(i int32) {
	for int32(len(w.timers)) <= i {
		w.timers = append(w.timers, timer{next: noCall, prev: noCall, slot: -1})
	}
}

// arm sets call i's deadline, whether or not it had one.
func (w *wheel) arm(i int32, at time.Duration) {
	t := &w.timers[i]
	tick := int64((at + wheelTick - 1) / wheelTick) // never early
	tick = max(tick, w.tick+1)
	tick = min(tick, w.tick+wheelSlots-1)
	slot := int32(tick & (wheelSlots - 1))
	t.at = at
	if t.slot == slot {
		return
	}
	w.unlink(i)
	t.slot, t.prev, t.next = slot, noCall, w.head[slot]
	if t.next != noCall {
		w.timers[t.next].prev = i
	}
	w.head[slot] = i
	w.armed++
}

// disarm takes call i's deadline away.
func (w *wheel) disarm(i int32) { w.unlink(i) }

func (w *wheel) unlink(i int32) {
	t := &w.timers[i]
	if t.slot < 0 {
		return
	}
	if t.prev != noCall {
		w.timers[t.prev].next = t.next
	} else {
		w.head[t.slot] = t.next
	}
	if t.next != noCall {
		w.timers[t.next].prev = t.prev
	}
	t.slot, t.next, t.prev = -1, noCall, noCall
	w.armed--
}

// expired returns a call whose deadline is not after now, disarmed, or noCall when there is none. Calls whose deadline was out of the
// wheel's reach are moved on.
func (w *wheel) expired(now time.Duration) int32 {
	target := int64(now / wheelTick)
	if target-w.tick >= wheelSlots { // after a stop of the process: one turn sees every slot
		w.tick = target - wheelSlots + 1
	}
	for {
		slot := &w.head[w.tick&(wheelSlots-1)]
		for i := *slot; i != noCall; i = *slot {
			at := w.timers[i].at
			w.unlink(i)
			if at <= now {
				return i
			}
			w.arm(i, at) // at least one tick ahead, so never into this slot again
		}
		if w.tick >= target {
			return noCall
		}
		w.tick++
	}
}

// next is when expired should be called again; ok is false when nothing is armed. It may be early and is never late.
func (w *wheel) next() (at time.Duration, ok bool) {
	if w.armed == 0 {
		return 0, false
	}
	for d := int64(0); d < wheelSlots; d++ {
		if w.head[(w.tick+d)&(wheelSlots-1)] != noCall {
			return time.Duration(w.tick+d) * wheelTick, true
		}
	}
	return 0, false
}
