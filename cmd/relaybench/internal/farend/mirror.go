//go:build linux

package farend

import (
	"encoding/binary"
	"time"
)

// otherSource tells the SSRC of what the mirror sends from that of what it got: a stream that came back unchanged would be a loop.
const otherSource = 0x5a5a5a5a

// reflect sends plain RTP back to where it came from. The time that a packet spends here is added to its stamp, so that what is measured is
// the sum of both ways through the relay.
func (e *Exchange) reflect() {
	s := e.mirror
	if s == nil {
		return
	}
	for range rounds {
		n := s.receive()
		filled := 0
		var flying [batchSize]*int64
		var came [batchSize]int64
		for i := range n {
			d := s.datagram(i)
			if len(d.bytes) < headerSize || d.bytes[0]>>6 != 2 || d.bytes[1] >= 192 && d.bytes[1] < 224 {
				continue
			}
			out := s.out.bytes[filled][:len(d.bytes)]
			copy(out, d.bytes)
			binary.BigEndian.PutUint32(out[8:], binary.BigEndian.Uint32(out[8:])^otherSource)
			s.out.names[filled] = *d.name
			s.out.vectors[filled].SetLen(len(out))
			flying[filled], came[filled] = e.flying(out[headerSize:]), d.stamp
			filled++
		}
		if filled > 0 {
			e.returned(flying[:filled], came[:filled])
		}
		if n < batchSize {
			return
		}
	}
}

// flying is the stamp of a packet that is away, nil when it is not one.
func (e *Exchange) flying(payload []byte) *int64 {
	id, number, ok := mark(payload)
	if !ok || int(id) >= len(e.phones) || e.phones[id] == nil {
		return nil
	}
	p := e.phones[id]
	if number >= p.media.number || number < e.oldest(p) {
		return nil
	}
	if at := &p.media.flight[number%flights]; *at > 0 {
		return at
	}
	return nil
}

// returned sends the mirror's out batch.
func (e *Exchange) returned(flying []*int64, came []int64) {
	n := len(flying)
	before := time.Now()
	sent := e.mirror.send(n)
	took := time.Since(before)
	e.tally.Own.Unsent += uint64(n - sent)
	e.tally.Mirrored += uint64(sent)
	for i, at := range flying {
		if at != nil && came[i] != 0 {
			left := before.UnixNano() + int64(took)*int64(i)/int64(n)
			*at += left - came[i]
		}
	}
}
