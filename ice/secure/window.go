package secure

// Window is a replay window of 128 indexes (RFC 3711 section 3.3.2 wants 64 at least). The zero value is ready and has seen nothing.
// Plain data.
type Window struct {
	Top  uint64    // highest index seen
	Bits [2]uint64 // bit n: Top-n was seen
	Any  bool      // one was seen
}

const windowSize = 128

// fresh tells whether index may be accepted: not seen, and not older than the window.
func (w *Window) fresh(index uint64) bool {
	if !w.Any || index > w.Top {
		return true
	}
	age := w.Top - index
	return age < windowSize && w.Bits[age/64]&(1<<(age%64)) == 0
}

// old tells whether index is behind the window.
func (w *Window) old(index uint64) bool { return w.Any && index < w.Top && w.Top-index >= windowSize }

// accept marks an authentic index as seen.
func (w *Window) accept(index uint64) {
	if !w.Any {
		w.Any, w.Top, w.Bits = true, index, [2]uint64{1, 0}
		return
	}
	if index <= w.Top {
		age := w.Top - index
		w.Bits[age/64] |= 1 << (age % 64)
		return
	}
	switch n := index - w.Top; {
	case n >= windowSize:
		w.Bits = [2]uint64{}
	case n >= 64:
		w.Bits[1], w.Bits[0] = w.Bits[0]<<(n-64), 0
	default:
		w.Bits[1] = w.Bits[1]<<n | w.Bits[0]>>(64-n)
		w.Bits[0] <<= n
	}
	w.Bits[0] |= 1
	w.Top = index
}
