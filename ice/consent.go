package ice

import (
	"crypto/rand"
	"encoding/binary"
	"net/netip"
	"time"
)

const (
	// consentPeriod is how often consent is asked for, times 0.8 to 1.2 (RFC 7675 section 5.1).
	consentPeriod = 5 * time.Second
	consentMin    = consentPeriod * 8 / 10
	consentMax    = consentPeriod * 12 / 10
	// consentExpiry is how long an answer counts (RFC 7675 section 5.1).
	consentExpiry = 30 * time.Second
	// consentLastCheck: while answers are missing the checks are spread so that the last one still leaves at this age of the last
	// answer. A network that comes back at the last moment is then noticed.
	consentLastCheck = 28500 * time.Millisecond

	// pendingChecks is how many checks may still be answered. Their ages reach over 12 s at least; a slower answer is not a path that
	// a call can use.
	pendingChecks = 4

	// requestRate bounds the peer's requests whose integrity we compute, a second, and their burst. A full agent sends one every few
	// seconds.
	requestRate = 50

	// peerReflexivePriority of a check (RFC 8445 section 7.1.1): type preference 110, local preference 65535, component 1.
	peerReflexivePriority = 110<<24 | 65535<<8 | 255
)

// StunVerdict says what Consent made of a message.
type StunVerdict uint8

const (
	// StunNotOurs: an answer to no check of ours. It may be the set-up agent's.
	StunNotOurs StunVerdict = iota
	// StunRefreshed: a valid answer; consent counts from now again.
	StunRefreshed
	// StunAnswered: an authentic request; the answer is in reply.
	StunAnswered
	// StunMalformed: see CheckSTUN.
	StunMalformed
	// StunWrongAddress: an answer to our check from an address that was not asked, or any message from elsewhere.
	StunWrongAddress
	// StunBadIntegrity: MESSAGE-INTEGRITY is missing or wrong.
	StunBadIntegrity
	// StunWrongUsername: a request that is not for this call.
	StunWrongUsername
	// StunRateLimited: more requests than a peer has reason to send.
	StunRateLimited
	// StunRoleConflict: a 487 answer. The peer is lite and can only be controlled, so we keep our role.
	StunRoleConflict
	// StunUnauthorized: a 401 answer.
	StunUnauthorized
	// StunRefused: another error answer.
	StunRefused
	// StunIndication: a Binding indication; nothing to do.
	StunIndication

	// StunVerdicts is how many there are, for arrays indexed by StunVerdict.
	StunVerdicts = int(StunIndication) + 1
)

func (v StunVerdict) String() string {
	return [StunVerdicts]string{
		"not_ours", "refreshed", "answered", "malformed", "wrong_address", "bad_integrity", "wrong_username", "rate_limited",
		"role_conflict", "unauthorized", "refused", "indication",
	}[v]
}

type pendingCheck struct {
	id   transactionID
	open bool
	sent time.Duration
}

// Consent asks the peer of one nominated pair to go on receiving, and answers its checks (RFC 7675). It is plain data: no clock, no
// lock, no socket. One goroutine owns it. Use NewConsent, then Start.
//
// Only a success response to one of the last checks, from the address asked, with correct integrity, refreshes it, and each check
// counts once.
type Consent struct {
	local, remote Credentials
	addr          netip.AddrPort
	tieBreaker    uint64
	valid         time.Duration // last valid answer
	next          time.Duration // next check
	rtt           time.Duration
	refilled      time.Duration // of the request bucket
	pending       [pendingChecks]pendingCheck
	turn          uint8
	tokens        uint8
	useCandidate  bool
	lost          bool
}

// NewConsent makes the Consent of a pair. With useCandidate every check carries USE-CANDIDATE: some lite servers drop calls without.
// The credentials are those that Dial has taken; ones that could not be make a Consent that authenticates nobody.
func NewConsent(local, remote Credentials, remoteAddr netip.AddrPort, useCandidate bool) *Consent {
	if !local.usable() || !remote.usable() {
		local, remote = Credentials{}, Credentials{}
	}
	return &Consent{local: local, remote: remote, addr: plain(remoteAddr), useCandidate: useCandidate, tieBreaker: random()}
}

// Start begins at now, which counts as a valid answer: the pair was just nominated.
func (c *Consent) Start(now time.Duration) {
	c.valid, c.refilled, c.tokens, c.lost = now, now, requestRate, false
	c.next = now + consentMin + time.Duration(random()%uint64(consentMax-consentMin))
}

// Next is when Tick has something to do.
func (c *Consent) Next() time.Duration { return min(c.next, c.valid+consentExpiry) }

// RTT is the round trip of the last valid answer, 0 before the first.
func (c *Consent) RTT() time.Duration { return c.rtt }

// Lost tells whether consent has expired. It never comes back: nothing may be sent any more.
func (c *Consent) Lost() bool { return c.lost }

// Tick writes a check into b when one is due; n is its length, 0 for none. lost says that no valid answer came for 30 s: sending stops
// now (RFC 7675 section 5.1). b takes a datagram of any size, 1200 bytes at least.
func (c *Consent) Tick(now time.Duration, b []byte, s *StunScratch) (n int, lost bool) {
	if c.lost || now-c.valid >= consentExpiry {
		c.lost = true
		c.next = c.valid + consentExpiry
		return 0, true
	}
	if now < c.next {
		return 0, false
	}
	p := &c.pending[c.turn%pendingChecks]
	c.turn++
	p.open, p.sent = true, now
	_, _ = rand.Read(p.id[:])
	w := writeSTUN(b, bindingRequest, p.id)
	w.username(c.remote.Ufrag, c.local.Ufrag)
	binary.BigEndian.PutUint32(w.attribute(attrPriority, 4), peerReflexivePriority)
	binary.BigEndian.PutUint64(w.attribute(attrControlling, 8), c.tieBreaker)
	if c.useCandidate {
		w.attribute(attrUseCandidate, 0)
	}
	c.next = now + c.interval(now)
	return w.finish(s, c.remote.Pwd), false
}

// interval is random within RFC 7675's bounds while answers come. While they are missing it also divides the time that is left, so
// that a check leaves shortly before consent ends.
func (c *Consent) interval(now time.Duration) time.Duration {
	left := c.valid + consentLastCheck - now
	if now-c.valid < consentMax+time.Second || left < consentMin {
		return consentMin + time.Duration(random()%uint64(consentMax-consentMin))
	}
	steps := (left + consentMax - 1) / consentMax
	return min(max(left/steps, consentMin), consentMax)
}

// Receive takes a STUN message from the wire. n > 0: reply holds an answer of that length to send back to from. Anything that is not
// valid changes nothing. reply must not overlap b and takes 1200 bytes at least.
func (c *Consent) Receive(now time.Duration, from netip.AddrPort, b, reply []byte, s *StunScratch) (n int, v StunVerdict) {
	m := &s.msg
	if m.parse(b) != StunSound {
		return 0, StunMalformed
	}
	switch m.kind {
	case bindingSuccess, bindingError:
		return 0, c.answer(now, plain(from), m, s)
	case bindingRequest:
		return c.request(now, plain(from), m, reply, s)
	}
	return 0, StunIndication
}

// answer judges a response: first the transaction id, which a forger does not know, and only then the HMAC.
func (c *Consent) answer(now time.Duration, from netip.AddrPort, m *stunMessage, s *StunScratch) StunVerdict {
	var p *pendingCheck
	for i := range c.pending {
		if c.pending[i].open && c.pending[i].id == m.id {
			p = &c.pending[i]
		}
	}
	switch {
	case p == nil:
		return StunNotOurs
	case from != c.addr:
		return StunWrongAddress
	case m.kind == bindingError && m.code == codeRoleConflict:
		return StunRoleConflict
	case m.kind == bindingError && m.code == codeUnauthorized:
		return StunUnauthorized
	case m.kind == bindingError:
		return StunRefused
	case !s.authentic(m, c.remote.Pwd):
		return StunBadIntegrity
	}
	p.open = false
	if !c.lost && now-c.valid < consentExpiry {
		c.valid = max(c.valid, now)
		c.rtt = max(now-p.sent, 1)
	}
	return StunRefreshed
}

// request answers an authentic Binding request: first USERNAME, which a stranger does not know, then the rate, then the HMAC.
func (c *Consent) request(now time.Duration, from netip.AddrPort, m *stunMessage, reply []byte, s *StunScratch) (int, StunVerdict) {
	switch {
	case from != c.addr:
		return 0, StunWrongAddress
	case !isUsername(m.username, c.local.Ufrag, c.remote.Ufrag):
		return 0, StunWrongUsername
	case !c.token(now):
		return 0, StunRateLimited
	case !s.authentic(m, c.local.Pwd):
		return 0, StunBadIntegrity
	}
	w := writeSTUN(reply, bindingSuccess, m.id)
	w.xorMapped(from)
	return w.finish(s, c.local.Pwd), StunAnswered
}

// token takes one of the bucket's.
func (c *Consent) token(now time.Duration) bool {
	if n := (now - c.refilled) * requestRate / time.Second; n > 0 {
		c.refilled += n * time.Second / requestRate
		c.tokens = uint8(min(n+time.Duration(c.tokens), requestRate))
	}
	if c.tokens == 0 {
		return false
	}
	c.tokens--
	return true
}

func isUsername(v []byte, left, right string) bool {
	return len(v) == len(left)+1+len(right) && string(v[:len(left)]) == left && v[len(left)] == ':' && string(v[len(left)+1:]) == right
}

// random is 64 bits that nobody can foresee.
func random() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:])
	return binary.BigEndian.Uint64(b[:])
}
