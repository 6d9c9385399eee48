//go:build linux && (amd64 || arm64)

package udp

// turns queues slots of ports so that each port with one gets a turn before any gets many. A slot is linked by its number, a port is in the
// circle of those that wait once.
type turns struct {
	next    [ringSlots]uint16
	ports   []queue // by Port
	circle  [ringSlots]Port
	head, n uint16 // of the circle
	waiting int    // slots
}

type queue struct {
	first, last uint16
	n           uint16
	in          bool // the circle
}

func (t *turns) grow() { t.ports = append(t.ports, queue{}) }

func (t *turns) put(p Port, slot uint16) {
	q := &t.ports[p]
	if q.n == 0 {
		q.first = slot
	} else {
		t.next[q.last] = slot
	}
	q.last = slot
	q.n++
	t.waiting++
	t.join(p, q)
}

func (t *turns) join(p Port, q *queue) {
	if !q.in {
		q.in = true
		t.circle[(t.head+t.n)&(ringSlots-1)] = p
		t.n++
	}
}

// take gives the slot whose turn it is; there has to be one.
func (t *turns) take() (Port, uint16) {
	for {
		p := t.circle[t.head]
		t.head, t.n = (t.head+1)&(ringSlots-1), t.n-1
		q := &t.ports[p]
		q.in = false
		if q.n == 0 {
			continue // it was closed
		}
		slot := q.pop(t)
		if q.n > 0 {
			t.join(p, q)
		}
		return p, slot
	}
}

func (q *queue) pop(t *turns) uint16 {
	slot := q.first
	q.first = t.next[slot]
	q.n--
	t.waiting--
	return slot
}
