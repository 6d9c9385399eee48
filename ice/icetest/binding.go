package icetest

import (
	"net"
	"strings"
	"time"

	"github.com/pion/stun/v2"
)

// answer is what a check gets.
type answer uint8

const (
	answerNone answer = iota
	answerSuccess
	answerConflict // 487 Role Conflict
)

// binding judges one datagram that looks like STUN. Only Binding requests of a known ufrag with a correct MESSAGE-INTEGRITY have any
// effect (RFC 8445 section 7.3).
func (s *Server) binding(now time.Duration, k *socket, p Pair, b []byte) {
	m := &stun.Message{Raw: append([]byte(nil), b...)}
	if m.Decode() != nil || m.Type != stun.BindingRequest {
		s.count(func(n *Counters) { n.Received++; n.BadSTUN++ })
		return
	}
	username, err := m.Get(stun.AttrUsername)
	ours, theirs, both := strings.Cut(string(username), ":")
	s.mu.Lock()
	s.counters.Received++
	c := s.byUfrag[ours]
	if err != nil || !both || c == nil {
		s.counters.Strays++
		c = nil
	}
	s.mu.Unlock()
	if c == nil {
		return
	}
	if c.integrity.Check(m) != nil {
		s.count(func(n *Counters) { n.BadSTUN++ })
		return
	}
	c.check(now, k, p, m, theirs)
}

// check takes an authenticated Binding request.
func (c *Call) check(now time.Duration, k *socket, p Pair, m *stun.Message, theirs string) {
	seen := Check{
		At: now, Pair: p,
		Controlling:  m.Contains(stun.AttrICEControlling),
		Controlled:   m.Contains(stun.AttrICEControlled),
		Priority:     m.Contains(stun.AttrPriority),
		Fingerprint:  fingerprintLast(m),
		UseCandidate: m.Contains(stun.AttrUseCandidate),
	}
	c.mu.Lock()
	if c.ended || c.deaf(p) || c.remote.Ufrag != theirs {
		c.mu.Unlock()
		c.server.count(func(n *Counters) { n.IgnoredChecks++ })
		return
	}
	reply, before := c.decide(now, seen), c.timings.Nominated
	seen.Answered = reply == answerSuccess
	breaches := c.conduct.Check(nil, seen)
	c.checks++
	if c.timings.FirstCheck == 0 {
		c.timings.FirstCheck = now
	}
	pair, nominated := c.conduct.Nominated()
	if nominated && pair == p {
		c.timings.LastCheck = now
	}
	fresh := nominated && before == 0
	if fresh {
		c.timings.Nominated = now
	}
	elsewhere, role := c.faults.AnswerFromElsewhere, c.remote.Role
	c.mu.Unlock()

	if c.server.claim(c, p) {
		c.mu.Lock()
		if b, first := c.conduct.Shared(now, p); first {
			breaches = append(breaches, b)
		}
		c.mu.Unlock()
	}
	c.answer(reply, k, p, m, elsewhere)
	if c.options.OnCheck != nil {
		c.options.OnCheck(seen)
	}
	c.report(breaches)
	if fresh && role == RoleClient {
		c.associate(pair, RoleClient, nil)
	}
}

// decide says what a check gets. c.mu is held.
func (c *Call) decide(now time.Duration, k Check) answer {
	age, f := now-c.born, &c.faults
	pair, nominated := c.conduct.Nominated()
	keepalive := nominated && pair == k.Pair
	switch {
	case age < f.IgnoreChecksFor, f.StopAnswersAt > 0 && age >= f.StopAnswersAt:
		return answerNone
	case age < f.Answer487For, k.Controlled: // RFC 8445 section 7.3.1.1
		return answerConflict
	case keepalive && f.Keepalives == KeepalivesNominating && !k.UseCandidate:
		return answerNone
	case keepalive && f.Keepalives == KeepalivesPlain && k.UseCandidate && now-c.timings.Nominated > time.Second:
		return answerNone // retransmits of the nomination itself, in its first second, are no keepalives
	}
	return answerSuccess
}

func (c *Call) answer(kind answer, k *socket, p Pair, request *stun.Message, elsewhere bool) {
	var m *stun.Message
	var err error
	id := stun.NewTransactionIDSetter(request.TransactionID)
	switch kind {
	case answerNone:
		c.server.count(func(n *Counters) { n.IgnoredChecks++ })
		return
	case answerSuccess:
		mapped := &stun.XORMappedAddress{IP: net.IP(p.Remote.Addr().AsSlice()), Port: int(p.Remote.Port())}
		m, err = stun.Build(id, stun.BindingSuccess, mapped, c.integrity, stun.Fingerprint)
	case answerConflict:
		m, err = stun.Build(id, stun.BindingError, stun.CodeRoleConflict, c.integrity, stun.Fingerprint)
	}
	if err != nil {
		c.server.count(func(n *Counters) { n.SendErrors++ })
		return
	}
	if elsewhere && c.server.elsewhere != nil {
		k = c.server.elsewhere
	}
	if k.write(m.Raw, p.Remote) != nil {
		c.server.count(func(n *Counters) { n.SendErrors++ })
	}
}

// fingerprintLast reports a correct FINGERPRINT as the last attribute (RFC 8489 section 14.7).
func fingerprintLast(m *stun.Message) bool {
	n := len(m.Attributes)
	return n > 0 && m.Attributes[n-1].Type == stun.AttrFingerprint && stun.Fingerprint.Check(m) == nil
}
