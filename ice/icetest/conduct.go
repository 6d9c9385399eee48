package icetest

import (
	"fmt"
	"net/netip"
	"time"
)

// Rule names what a full, controlling agent owes a lite server.
type Rule string

const (
	// RuleControlling: every check carries ICE-CONTROLLING, from the first on (RFC 8445 section 6.1.1: the full agent controls).
	RuleControlling Rule = "ice_controlling"
	// RuleCheckForm: a check has PRIORITY and FINGERPRINT (RFC 8445 section 7.1).
	RuleCheckForm Rule = "ice_check_form"
	// RuleRegularNomination: USE-CANDIDATE only on a pair that has answered a check without it (RFC 8445 section 8.1.1).
	RuleRegularNomination Rule = "ice_regular_nomination"
	// RuleOnePair: the nominated pair is never changed.
	RuleOnePair Rule = "ice_one_pair"
	// RuleOwnPort: no two calls come from one remote address; Meta could not tell them apart.
	RuleOwnPort Rule = "ice_own_port"
	// RuleDTLSAfterNomination: no DTLS before a pair is nominated.
	RuleDTLSAfterNomination Rule = "dtls_after_nomination"
	// RuleDTLSOnPair: DTLS comes from the nominated pair.
	RuleDTLSOnPair Rule = "dtls_on_pair"
	// RuleMediaOnPair: SRTP and SRTCP come from the nominated pair.
	RuleMediaOnPair Rule = "media_on_pair"
)

// Rules lists every rule.
var Rules = []Rule{
	RuleControlling, RuleCheckForm, RuleRegularNomination, RuleOnePair, RuleOwnPort,
	RuleDTLSAfterNomination, RuleDTLSOnPair, RuleMediaOnPair,
}

// Breach is one broken rule: the first time it was broken.
type Breach struct {
	Rule   Rule
	At     time.Duration
	Detail string
}

func (b Breach) String() string { return fmt.Sprintf("%s at %v: %s", b.Rule, b.At, b.Detail) }

// Pair is one of the server's sockets, by its index, and a remote address.
type Pair struct {
	Local  int
	Remote netip.AddrPort
}

func (p Pair) String() string { return fmt.Sprintf("socket %d from %v", p.Local, p.Remote) }

// Check is one authenticated Binding request.
type Check struct {
	At           time.Duration
	Pair         Pair
	Controlling  bool // has ICE-CONTROLLING
	Controlled   bool // has ICE-CONTROLLED
	Priority     bool // has PRIORITY
	Fingerprint  bool // ends with a correct FINGERPRINT
	UseCandidate bool
	Answered     bool // with success; a fault may say otherwise
}

// maxPairs bounds the pairs that are remembered a call: our two sockets and the few addresses a peer has.
const maxPairs = 16

// Conduct follows one peer through ICE and DTLS and says which rules it broke. It is plain data without a clock or a lock; the
// zero value is ready.
type Conduct struct {
	answered  []Pair // pairs on which a check without USE-CANDIDATE was answered
	nominated bool
	pair      Pair
	breaches  []Breach
}

// Nominated returns the pair that was nominated first.
func (c *Conduct) Nominated() (Pair, bool) { return c.pair, c.nominated }

// Breaches returns the first breach of each broken rule, in order.
func (c *Conduct) Breaches() []Breach { return append([]Breach(nil), c.breaches...) }

func (c *Conduct) breach(rule Rule, at time.Duration, format string, args ...any) (Breach, bool) {
	for i := range c.breaches {
		if c.breaches[i].Rule == rule {
			return Breach{}, false
		}
	}
	b := Breach{Rule: rule, At: at, Detail: fmt.Sprintf(format, args...)}
	c.breaches = append(c.breaches, b)
	return b, true
}

// Check takes one check and appends the rules that were broken for the first time to out.
func (c *Conduct) Check(out []Breach, k Check) []Breach {
	add := func(b Breach, fresh bool) {
		if fresh {
			out = append(out, b)
		}
	}
	switch {
	case k.Controlled:
		add(c.breach(RuleControlling, k.At, "a check on %v carries ICE-CONTROLLED; a lite server is only ever controlled", k.Pair))
	case !k.Controlling:
		add(c.breach(RuleControlling, k.At, "a check on %v carries no ICE-CONTROLLING", k.Pair))
	}
	if !k.Priority {
		add(c.breach(RuleCheckForm, k.At, "a check on %v has no PRIORITY", k.Pair))
	}
	if !k.Fingerprint {
		add(c.breach(RuleCheckForm, k.At, "a check on %v has no correct FINGERPRINT at its end", k.Pair))
	}
	if k.UseCandidate {
		if !c.hasAnswered(k.Pair) {
			add(c.breach(RuleRegularNomination, k.At, "USE-CANDIDATE on %v before a plain check was answered there: aggressive nomination", k.Pair))
		}
		if c.nominated && c.pair != k.Pair {
			add(c.breach(RuleOnePair, k.At, "nominated %v after %v", k.Pair, c.pair))
		}
		if !c.nominated && k.Answered {
			c.nominated, c.pair = true, k.Pair
		}
	} else if k.Answered && !c.hasAnswered(k.Pair) && len(c.answered) < maxPairs {
		c.answered = append(c.answered, k.Pair)
	}
	return out
}

func (c *Conduct) hasAnswered(p Pair) bool {
	for _, a := range c.answered {
		if a == p {
			return true
		}
	}
	return false
}

// DTLS takes the fact that a DTLS record came over a pair.
func (c *Conduct) DTLS(at time.Duration, p Pair) (Breach, bool) {
	switch {
	case !c.nominated:
		return c.breach(RuleDTLSAfterNomination, at, "a DTLS record came from %v before any pair was nominated", p.Remote)
	case c.pair != p:
		return c.breach(RuleDTLSOnPair, at, "a DTLS record came over %v; nominated is %v", p, c.pair)
	}
	return Breach{}, false
}

// Media takes the fact that SRTP or SRTCP came over a pair.
func (c *Conduct) Media(at time.Duration, p Pair) (Breach, bool) {
	if c.nominated && c.pair == p {
		return Breach{}, false
	}
	return c.breach(RuleMediaOnPair, at, "media came over %v, which is not the nominated pair", p)
}

// Shared takes the fact that another call's peer has the same address.
func (c *Conduct) Shared(at time.Duration, p Pair) (Breach, bool) {
	return c.breach(RuleOwnPort, at, "%v is also the address of another call", p.Remote)
}
