package ice

import (
	"encoding/binary"
	"net/netip"
	"sync"
	"time"
)

// sentChecks is how many of pion's checks are remembered, to time them and to know their answers. Older ones go: at 50 ms, 16 candidates
// and two local addresses this is over 1.5 s of checks, and pion itself forgets after 4 s.
const sentChecks = 1024

// checker stands between the wire and one agent. It lets through what is sound and expected, counts answers that pion ignores without a
// word (487, 401), times checks, and kicks the nomination. It is shared by the Conns of a call, and locked by itself: its lock is taken
// under a Conn's lock and never the other way round.
type checker struct {
	local, remote Credentials
	candidates    []netip.AddrPort

	mu         sync.Mutex
	scratch    StunScratch
	msg        stunMessage
	count      Counts
	tieBreaker uint64
	sentAt     map[transactionID]time.Time
	order      []transactionID // of sentAt, a ring
	oldest     int
	kicks      map[transactionID]bool
	trips      map[pairKey]time.Duration
	nominates  bool         // the pair is fixed
	nominating chan pairKey // has the pair once its nominating check is on its way
}

type pairKey struct {
	conn   *Conn
	remote netip.AddrPort
}

func newChecker(local, remote Credentials, candidates []netip.AddrPort) *checker {
	w := &checker{
		local: local, remote: remote,
		sentAt: map[transactionID]time.Time{}, kicks: map[transactionID]bool{}, trips: map[pairKey]time.Duration{},
		nominating: make(chan pairKey, 1),
	}
	for _, c := range candidates {
		w.candidates = append(w.candidates, plain(c))
	}
	return w
}

func (w *checker) counts() Counts {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.count
}

func (w *checker) tieBreakerSeen() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.tieBreaker
}

func (w *checker) roundTrip(c *Conn, remote netip.AddrPort) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.trips[pairKey{c, remote}]
}

// watch puts a checker in front of the agent that reads the Conn.
func (c *Conn) watch(w *checker) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.accept = w
}

// admit judges a datagram that came in on c, whose lock is held, and queues what pion may see of it.
func (w *checker) admit(c *Conn, b []byte, from netip.AddrPort) {
	w.mu.Lock()
	defer w.mu.Unlock()
	ok := w.expected(from) && w.msg.parse(b) == StunSound
	if ok {
		switch w.msg.kind {
		case bindingRequest:
			ok = w.request(c, b, from)
		case bindingSuccess:
			ok = w.answer(c, b, from)
		case bindingError:
			w.refusal() // pion ignores errors
		}
	}
	if !ok {
		w.count.Refused++
	}
}

// request lets an authentic check of the peer through.
func (w *checker) request(c *Conn, b []byte, from netip.AddrPort) bool {
	if !isUsername(w.msg.username, w.local.Ufrag, w.remote.Ufrag) || !w.scratch.authentic(&w.msg, w.local.Pwd) {
		return false
	}
	c.push(b, from)
	return true
}

func (w *checker) expected(from netip.AddrPort) bool {
	for _, c := range w.candidates {
		if c == from {
			return true
		}
	}
	return false
}

// refusal counts an error answer to one of our checks.
func (w *checker) refusal() {
	if _, ours := w.sentAt[w.msg.id]; !ours {
		return
	}
	switch w.msg.code {
	case codeRoleConflict:
		w.count.RoleConflicts++
	case codeUnauthorized:
		w.count.Unauthorized++
	default:
		w.count.OtherErrors++
	}
}

// answer judges a success response. The first one of a pair is followed by a kick: pion nominates on an authenticated request of the
// peer at once, and otherwise only at its next tick.
func (w *checker) answer(c *Conn, b []byte, from netip.AddrPort) bool {
	sent, ours := w.sentAt[w.msg.id]
	if !ours || !w.scratch.authentic(&w.msg, w.remote.Pwd) {
		return false
	}
	delete(w.sentAt, w.msg.id)
	w.count.Answers++
	key := pairKey{c, from}
	_, known := w.trips[key]
	w.trips[key] = max(time.Since(sent), 1)
	c.push(b, from)
	if !known {
		c.push(w.kick(), from)
	}
	return true
}

// kick makes a Binding request as the peer would send it.
func (w *checker) kick() []byte {
	var id transactionID
	binary.BigEndian.PutUint64(id[:], random())
	binary.BigEndian.PutUint32(id[8:], uint32(random()))
	w.kicks[id] = true
	m := writeSTUN(make([]byte, maxDatagram), bindingRequest, id)
	m.username(w.local.Ufrag, w.remote.Ufrag)
	binary.BigEndian.PutUint32(m.attribute(attrPriority, 4), peerReflexivePriority)
	binary.BigEndian.PutUint64(m.attribute(attrControlled, 8), random())
	return m.b[:m.finish(&w.scratch, w.local.Pwd)]
}

// sent looks at what pion writes, and tells whether it may leave: the answer to a kick must not. nominates says that it is the first
// check with USE-CANDIDATE: pion nominates one pair and stays with it.
func (w *checker) sent(b []byte) (leave, nominates bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	m := &w.msg
	if m.parse(b) != StunSound {
		return false, false
	}
	switch m.kind {
	case bindingRequest:
		w.count.Sent++
		w.remember(m.id)
		if w.tieBreaker == 0 {
			w.tieBreaker = controllingValue(b)
		}
		if m.useCandidate && !w.nominates {
			w.nominates, nominates = true, true
		}
	case bindingSuccess:
		if w.kicks[m.id] {
			delete(w.kicks, m.id)
			return false, false
		}
	}
	return true, nominates
}

func (w *checker) remember(id transactionID) {
	if len(w.order) < sentChecks {
		w.order = append(w.order, id)
	} else {
		delete(w.sentAt, w.order[w.oldest])
		w.order[w.oldest] = id
		w.oldest = (w.oldest + 1) % sentChecks
	}
	w.sentAt[id] = time.Now()
}

// controllingValue reads ICE-CONTROLLING from a sound message.
func controllingValue(b []byte) uint64 {
	for at := stunHeader; at+12 <= len(b); {
		if binary.BigEndian.Uint16(b[at:]) == attrControlling {
			return binary.BigEndian.Uint64(b[at+4:])
		}
		at += 4 + (int(binary.BigEndian.Uint16(b[at+2:]))+3)&^3
	}
	return 0
}
