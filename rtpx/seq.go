package rtpx

// Seq is an extended sequence number: the 16 bits of the wire in front of which the wraps are counted. It never wraps.
type Seq uint64

// firstCycle is added to the first number, so that what was sent before it and arrives after it is still above zero.
const firstCycle Seq = 1 << 16

// Extender makes 64 bits out of 16. The zero value is ready.
type Extender struct {
	highest Seq // 0: nothing yet
}

// Extend returns the extended number that is nearest to the highest one so far. The first one is 1<<16 | seq.
func (e *Extender) Extend(seq uint16) Seq {
	if e.highest == 0 {
		e.highest = firstCycle | Seq(seq)
		return e.highest
	}
	// The difference modulo 2^16, read as signed, is the shortest way. The lowest result there can be is 1<<16 - 1<<15.
	delta := int16(seq - uint16(e.highest))
	s := Seq(int64(e.highest) + int64(delta))
	e.highest = max(e.highest, s)
	return s
}
