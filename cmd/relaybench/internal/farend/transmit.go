//go:build linux

package farend

import (
	"encoding/binary"
	"time"
)

// stallAfter is how long this process may not run before packets are left out instead of being sent late in one burst.
const stallAfter = 200 * time.Millisecond

// idle is how long run sleeps while nobody speaks.
const idle = time.Millisecond

// clock says who sends when. All phones have one period, so a phone keeps its slot: there is no timer to set.
type clock struct {
	origin time.Time
	period time.Duration
	slot   time.Duration
	turn   uint64     // of the next slot; slot number turn % len(slots), in period turn / len(slots)
	slots  [][]*Phone // who sends when
	phones int
}

func newClock(o Options) clock {
	n := int(o.Period / o.Slot)
	return clock{origin: time.Now(), period: o.Period, slot: o.Period / time.Duration(n), slots: make([][]*Phone, n)}
}

// due is when a turn comes.
func (c *clock) due(turn uint64) time.Duration { return time.Duration(turn) * c.slot }

// spread is a stride through the slots that lays neighbours far apart: near the golden section, so that any number of phones is even.
func (c *clock) spread(i int) int {
	n := len(c.slots)
	stride := max(1, n*618/1000)
	for gcd(stride, n) != 1 {
		stride++
	}
	return i * stride % n
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// emptiest is the slot that has fewest phones.
func (c *clock) emptiest() int {
	best := c.spread(0)
	for i := range c.slots {
		if at := c.spread(i); len(c.slots[at]) < len(c.slots[best]) {
			best = at
		}
	}
	return best
}

// speak lets a phone send from its next slot on.
func (e *Exchange) speak(p *Phone) {
	if p.ctx.Err() != nil || e.phones[p.id] == nil {
		return
	}
	p.media.slot = e.clock.emptiest()
	e.clock.slots[p.media.slot] = append(e.clock.slots[p.media.slot], p)
	e.clock.phones++
}

func (e *Exchange) mute(p *Phone) {
	if p.media.slot < 0 {
		return
	}
	slot := e.clock.slots[p.media.slot]
	for i, other := range slot {
		if other == p {
			slot[i] = slot[len(slot)-1]
			slot[len(slot)-1] = nil
			e.clock.slots[p.media.slot] = slot[:len(slot)-1]
			break
		}
	}
	p.media.slot = -1
	e.clock.phones--
}

// outgoing is one packet of the out batch.
type outgoing struct {
	phone  *Phone
	number uint32
	due    time.Duration
}

// transmit sends what is due and returns how long nothing will be.
func (e *Exchange) transmit(t time.Time) time.Duration {
	c := &e.clock
	now := t.Sub(c.origin)
	if c.phones == 0 {
		c.turn = uint64(now/c.slot) + 1
		return idle
	}
	if late := now - c.due(c.turn); late > stallAfter {
		e.tally.Own.Stalls++
		c.turn += uint64(late/c.period) * uint64(len(c.slots))
	}
	for ; c.due(c.turn) <= now; c.turn++ {
		period := c.turn / uint64(len(c.slots))
		for _, p := range c.slots[c.turn%uint64(len(c.slots))] {
			e.packet(p, period, c.due(c.turn))
		}
	}
	e.flush()
	return c.due(c.turn) - time.Since(c.origin)
}

// packet seals one packet into the out batch.
func (e *Exchange) packet(p *Phone, period uint64, due time.Duration) {
	m := &p.media
	number := m.number
	m.number++
	e.expire(p, number)
	b := e.socket.out.bytes[e.filled][:headerSize+e.options.Payload]
	b[0], b[1] = 0x80, payloadType
	binary.BigEndian.PutUint16(b[2:], uint16(m.sequence))
	binary.BigEndian.PutUint32(b[4:], m.base+uint32(period*uint64(e.clock.period/frameTime))*frameSamples)
	binary.BigEndian.PutUint32(b[8:], p.local)
	// Behind the mark is what an earlier packet was sealed to: as good as noise.
	putMark(b[headerSize:], p.id, number)
	b = m.send.seal(b, m.sequence)
	m.sequence++
	e.socket.out.names[e.filled] = m.name
	e.socket.out.vectors[e.filled].SetLen(len(b))
	e.pending[e.filled] = outgoing{p, number, due}
	if e.filled++; e.filled == batchSize {
		e.flush()
	}
}

// expire gives up the packet whose place in the flight the next one takes.
func (e *Exchange) expire(p *Phone, number uint32) {
	m := &p.media
	at := &m.flight[number%flights]
	if *at > 0 && number >= flights && m.counted(number-flights) {
		e.lose(*at)
	}
	*at = 0
}

func (e *Exchange) lose(stamp int64) {
	e.tally.Lost++
	e.tally.second(stamp, e.began).Lost++
}

// flush sends the out batch. The kernel sends one packet after the other, so their stamps lie evenly between both ends of the system call.
func (e *Exchange) flush() {
	n := e.filled
	if n == 0 {
		return
	}
	e.filled = 0
	before := time.Now()
	sent := e.socket.send(n)
	took := time.Since(before)
	stamp, since := before.UnixNano(), before.Sub(e.clock.origin)
	for i := range n {
		o := &e.pending[i]
		p := o.phone
		o.phone = nil
		counted := p.media.counted(o.number)
		if i >= sent {
			if counted {
				e.tally.Own.Unsent++
			}
			continue
		}
		at := took * time.Duration(i) / time.Duration(n)
		p.media.flight[o.number%flights] = stamp + int64(at)
		if counted {
			e.tally.Sent++
			e.tally.second(stamp, e.began).Sent++
			e.tally.Own.Late.Add(since + at - o.due)
		}
	}
}
