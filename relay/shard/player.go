package shard

// Clip is audio that is all there: 20 ms Opus packets by index. It is immutable, and many calls may play one at the same time.
type Clip interface {
	Frames() int
	Frame(i int) []byte
}

// Forever as a repeat count plays until it is stopped.
const Forever = -1

// player plays a clip into one call. Owned by the shard.
type player struct {
	id     uint32
	clip   Clip
	repeat int // how often again after the first time
	left   int
	index  int
	played int // frames, since it was last selected
	total  uint64
}

// next is the frame that is due, or false at the end.
func (p *player) next() ([]byte, bool) {
	if p.index >= p.clip.Frames() {
		if p.left == 0 || p.clip.Frames() == 0 {
			return nil, false
		}
		if p.left > 0 {
			p.left--
		}
		p.index = 0
	}
	b := p.clip.Frame(p.index)
	p.index++
	p.played++
	p.total++
	return b, true
}

// rewind goes back to the beginning.
func (p *player) rewind() { p.index, p.played, p.left = 0, 0, p.repeat }

// player finds a player of the call.
func (k *call) player(id uint32) *player {
	for _, p := range k.rare.clips {
		if p.id == id {
			return p
		}
	}
	return nil
}
