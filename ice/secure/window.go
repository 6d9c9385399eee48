package secure

// window is a replay window of 128 indexes (RFC 3711 section 3.3.2 wants 64 at least). The zero value is ready and has seen nothing.
// Plain data.
type window struct {
	top  uint64    // highest index seen
	bits [2]uint64 // bit n: top-n was seen
	any  bool
}

const windowSize = 128

// fresh tells whether index may be accepted: not seen, and not older than the window.
func (w *window) fresh(index uint64) bool {
	if !w.any || index > w.top {
		return true
	}
	age := w.top - index
	return age < windowSize && w.bits[age/64]&(1<<(age%64)) == 0
}

// old tells whether index is behind the window.
func (w *window) old(index uint64) bool { return w.any && index < w.top && w.top-index >= windowSize }

// accept marks an authentic index as seen.
func (w *window) accept(index uint64) {
	if !w.any {
		w.any, w.top, w.bits = true, index, [2]uint64{1, 0}
		return
	}
	if index <= w.top {
		age := w.top - index
		w.bits[age/64] |= 1 << (age % 64)
		return
	}
	switch n := index - w.top; {
	case n >= windowSize:
		w.bits = [2]uint64{}
	case n >= 64:
		w.bits[1], w.bits[0] = w.bits[0]<<(n-64), 0
	default:
		w.bits[1] = w.bits[1]<<n | w.bits[0]>>(64-n)
		w.bits[0] <<= n
	}
	w.bits[0] |= 1
	w.top = index
}
