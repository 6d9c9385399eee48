package recording

import (
	"github.com/onelane/onelane/relay/sink"
	"github.com/onelane/onelane/rtpx/opus"
)

// maxGroup is the longest packet in slots: 120 ms (RFC 6716 section 3.2.5).
const maxGroup = opus.MaxSamples / sink.FrameSamples

// streamMask keeps of a TOC what frames of one packet must share.
const streamMask = 0xFC

// groupSlots finds how many slots, from next on, end at a boundary of every track.
func groupSlots(tracks []track, next int64) int64 {
	if n := meet(tracks, next); n <= maxGroup {
		return n
	}
	// The boundaries never meet. The longest frame that begins here stays; the others' frames that cross its end move.
	stay, length := 0, int64(0)
	for i := range tracks {
		if t := &tracks[i]; t.count > 0 && t.at(0).slot == next && int64(t.at(0).slots) > length {
			stay, length = i, int64(t.at(0).slots)
		}
	}
	for i := range tracks {
		if e := tracks[i].crossing(next + length); i != stay && e != nil {
			tracks[i].move(e, next, next+length)
		}
	}
	return length
}

// meet is the smallest number of slots at whose end no track has a frame that goes on. It may be more than maxGroup.
func meet(tracks []track, next int64) int64 {
	n := int64(1)
	for again := true; again && n <= maxGroup; {
		again = false
		for i := range tracks {
			if e := tracks[i].crossing(next + n); e != nil {
				n = e.end() - next
				again = true
			}
		}
	}
	return n
}

// take appends one Opus packet for the slots from next to next+n and takes their frames out of the track.
func (t *track) take(dst []byte, next, n int64) []byte {
	begin := len(dst)
	if t.count > 0 && t.at(0).slot == next && int64(t.at(0).slots) == n {
		dst = append(dst, t.payload(t.at(0))...)
		t.spoke(opus.TOC(dst[begin]), 0)
	} else if toc, ok := t.configuration(next, n); ok {
		dst = t.join(dst, toc, next, n)
	} else {
		dst = t.fill(dst, int(n))
		t.quiet += int(n)
	}
	t.drop(next + n)
	return dst
}

func (t *track) spoke(toc opus.TOC, quiet int) {
	t.last, t.quiet = toc, quiet
}

// configuration chooses the one in which most bytes of a group are coded; false when there is no frame that can be kept.
func (t *track) configuration(next, n int64) (best opus.TOC, ok bool) {
	most := -1
	for i := range t.count {
		e := t.at(i)
		if e.slot >= next+n {
			break
		}
		toc := t.toc(e)
		weight, possible := 0, n%step(toc) == 0
		for j := range t.count {
			o := t.at(j)
			if o.slot < next+n && t.toc(o) == toc {
				weight += int(o.size)
				possible = possible && (o.slot-next)%step(toc) == 0
			}
		}
		if possible && weight > most {
			best, most = toc, weight
		}
	}
	return best, most >= 0
}

func (t *track) toc(e *entry) opus.TOC { return opus.TOC(t.payload(e)[0] & streamMask) }

// step is the length in slots of what must not be cut.
func step(toc opus.TOC) int64 {
	return max(1, int64(toc.FrameSamples()/sink.FrameSamples))
}

// join appends the frames of one configuration as one packet. Slots that have none, and those of other configurations, are empty
// frames, for the decoder to conceal.
func (t *track) join(dst []byte, toc opus.TOC, next, n int64) []byte {
	var parts [maxGroup][]byte
	var empty [2]byte
	hole := appendEmpty(empty[:0], toc, int(step(toc)))
	count, quiet := 0, 0
	for slot, i := next, 0; slot < next+n; count++ {
		for i < t.count && t.at(i).slot < slot {
			i++
		}
		parts[count] = hole
		quiet += int(step(toc))
		if i < t.count {
			if e := t.at(i); e.slot == slot && t.toc(e) == toc {
				parts[count] = t.payload(e)
				quiet = 0
				slot = e.end()
				continue
			}
		}
		slot += step(toc)
	}
	out, fault := opus.Join(dst, parts[:count]...)
	if fault != opus.OK { // every frame was parsed, has this configuration and its place: this cannot be
		out = t.fill(dst, int(n))
		quiet = int(n)
	}
	t.spoke(toc, quiet)
	return out
}

// fill appends a packet for a hole.
func (t *track) fill(dst []byte, slots int) []byte {
	if t.quiet < concealSlots {
		var plc [1]byte
		return appendEmpty(dst, opus.TOC(opus.PLC(plc[:0], t.last)[0]), slots)
	}
	if slots == 1 {
		return opus.SilenceLike(dst, t.last)
	}
	var one [3]byte
	silence := opus.SilenceLike(one[:0], t.last)
	var parts [maxGroup][]byte
	for i := range slots {
		parts[i] = silence
	}
	dst, _ = opus.Join(dst, parts[:slots]...)
	return dst
}

// appendEmpty appends a packet of empty frames (RFC 6716 section 3.2, RFC 7845 section 4.1).
func appendEmpty(dst []byte, toc opus.TOC, slots int) []byte {
	toc &= streamMask
	switch frames := slots * sink.FrameSamples / toc.FrameSamples(); frames {
	case 1:
		return append(dst, byte(toc))
	case 2:
		return append(dst, byte(toc|1))
	default:
		return append(dst, byte(toc|3), byte(frames))
	}
}
