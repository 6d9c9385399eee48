package ice

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/stun/v2"
)

var (
	local4  = netip.MustParseAddrPort("192.0.2.1:40000")
	local6  = netip.MustParseAddrPort("[2001:db8::1]:40000")
	remote4 = netip.MustParseAddrPort("198.51.100.7:3480")
	remote6 = netip.MustParseAddrPort("[2001:db8:f312::699c]:3480")
)

// lite is an ICE-lite peer in memory, one way of delay away.
type lite struct {
	t        *testing.T
	delay    time.Duration
	ignore   time.Duration // checks are not answered before
	refuse   int           // then answered with this error
	refuseTo time.Duration // until then
	dead4    bool
	dead6    bool
	loss     func() bool
	answer   func(m *stun.Message, raw []byte) []byte // instead of the right answer

	mu        sync.Mutex
	started   time.Time
	conns     map[bool]*Conn // by IPv4
	checks    int
	nominated []netip.AddrPort
	breaches  []string
	answered  map[netip.AddrPort]bool
	strays    int // what we sent that is not a check
}

func (l *lite) locals() (out []Local) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.started, l.conns, l.answered = time.Now(), map[bool]*Conn{}, map[netip.AddrPort]bool{}
	for _, a := range []netip.AddrPort{local4, local6} {
		from := a
		c := NewConn(net.UDPAddrFromAddrPort(a), func(b []byte, to netip.AddrPort) { l.carry(bytes.Clone(b), from, to) })
		l.conns[a.Addr().Is4()] = c
		out = append(out, Local{Conn: c, Addr: a})
	}
	return out
}

func (l *lite) lost(a netip.AddrPort) bool {
	return a.Addr().Is4() && l.dead4 || a.Addr().Is6() && l.dead6 || l.loss != nil && l.loss()
}

func (l *lite) carry(b []byte, from, to netip.AddrPort) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lost(from) {
		return
	}
	time.AfterFunc(l.delay, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		reply := l.receive(b, from, to)
		if reply == nil || l.lost(from) {
			return
		}
		time.AfterFunc(l.delay, func() { l.conns[from.Addr().Is4()].Deliver(reply, to) })
	})
}

func (l *lite) receive(b []byte, from, to netip.AddrPort) []byte {
	m := &stun.Message{Raw: b}
	if err := m.Decode(); err != nil || m.Type != stun.BindingRequest {
		l.strays++
		return nil
	}
	l.checks++
	if !m.Contains(stun.AttrICEControlling) || m.Contains(stun.AttrICEControlled) {
		l.breaches = append(l.breaches, "not controlling")
	}
	age := time.Since(l.started)
	if age < l.ignore {
		return nil
	}
	if age < l.refuseTo {
		r, _ := stun.Build(m, stun.BindingError, stun.ErrorCode(l.refuse), stun.NewShortTermIntegrity(peerCredentials.Pwd), stun.Fingerprint)
		return r.Raw
	}
	if l.answer != nil {
		return l.answer(m, b)
	}
	if m.Contains(stun.AttrUseCandidate) {
		if !l.answered[to] {
			l.breaches = append(l.breaches, "aggressive nomination")
		}
		l.nominated = append(l.nominated, to)
	}
	l.answered[to] = true
	r, err := stun.Build(m, stun.BindingSuccess, &stun.XORMappedAddress{IP: from.Addr().AsSlice(), Port: int(from.Port())},
		stun.NewShortTermIntegrity(peerCredentials.Pwd), stun.Fingerprint)
	if err != nil {
		l.t.Error(err)
	}
	return r.Raw
}

func (l *lite) dial(budget time.Duration) (*Path, time.Duration, error) {
	d := &Dialer{Local: ourCredentials, Locals: l.locals()}
	ctx, cancel := context.WithTimeout(context.Background(), budget)
	defer cancel()
	p, err := d.Dial(ctx, peerCredentials, []netip.AddrPort{remote4, remote6}, true)
	took := time.Since(l.started)
	if err == nil {
		err = p.Confirm(ctx)
	}
	return p, took, err
}

// settled checks what must hold after every successful Dial, and releases the path.
func (l *lite) settled(p *Path) {
	l.t.Helper()
	<-time.After(2*l.delay + time.Millisecond)
	p.Release()
	p.Release()
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.breaches) > 0 || l.strays > 0 {
		l.t.Errorf("breaches %v, %d strays", l.breaches, l.strays)
	}
	for _, n := range l.nominated {
		if n != p.Remote {
			l.t.Errorf("nominated %v, and the path is %v", n, p.Remote)
		}
	}
	want := local6
	if p.Remote.Addr().Is4() {
		want = local4
	}
	if p.Local != map[netip.AddrPort]int{local4: 0, local6: 1}[want] {
		l.t.Errorf("local %d for %v", p.Local, p.Remote)
	}
	if p.RTT < 2*l.delay || p.RTT > 2*l.delay+time.Millisecond {
		l.t.Errorf("RTT %v, two times %v is right", p.RTT, l.delay)
	}
}

func inBubble(t *testing.T, f func(t *testing.T)) { synctest.Test(t, f) }

func TestDialNominatesIPv6First(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := &lite{t: t, delay: 26 * time.Millisecond} // an answer just misses pion's tick
		p, took, err := l.dial(10 * time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if p.Remote != remote6 {
			t.Errorf("path to %v", p.Remote)
		}
		t.Logf("RTT 52 ms: nominated after %v", took)
		if took > 106*time.Millisecond { // two round trips and nothing else: the kick has saved the wait for pion's next tick
			t.Errorf("nominated after %v", took)
		}
		l.settled(p)
	})
}

func TestUnansweredChecksAreSurvived(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := &lite{t: t, delay: 25 * time.Millisecond, ignore: 5 * time.Second}
		p, took, err := l.dial(20 * time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if took > 5*time.Second+200*time.Millisecond {
			t.Errorf("the peer listened from 5 s on, and the pair was nominated after %v", took)
		}
		l.settled(p)
	})
}

func TestRoleConflictIsSurvived(t *testing.T) {
	for _, code := range []int{487, 401} {
		inBubble(t, func(t *testing.T) {
			l := &lite{t: t, delay: 10 * time.Millisecond, refuse: code, refuseTo: 2 * time.Second}
			p, took, err := l.dial(20 * time.Second)
			if err != nil {
				t.Fatal(err)
			}
			if took > 2200*time.Millisecond {
				t.Errorf("nominated after %v", took)
			}
			if n := p.Counts.RoleConflicts + p.Counts.Unauthorized; n < 50 {
				t.Errorf("%d counted of code %d", n, code)
			}
			l.settled(p)
		})
	}
}

func TestThirtyPercentLossConnects(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		for seed := range uint32(30) {
			x := seed*2654435761 + 1
			l := &lite{t: t, delay: 25 * time.Millisecond, loss: func() bool {
				x = x*1664525 + 1013904223
				return x>>16%100 < 30
			}}
			p, took, err := l.dial(10 * time.Second)
			if err != nil || took > 2*time.Second {
				t.Fatalf("seed %d: %v after %v", seed, err, took)
			}
			l.settled(p)
		}
	})
}

func TestOneDeadFamilyCostsUnderASecond(t *testing.T) {
	for _, dead6 := range []bool{true, false} {
		inBubble(t, func(t *testing.T) {
			l := &lite{t: t, delay: 25 * time.Millisecond, dead6: dead6, dead4: !dead6}
			p, took, err := l.dial(10 * time.Second)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("IPv6 dead %v: nominated after %v", dead6, took)
			if took > 50*time.Millisecond+time.Second || p.Remote.Addr().Is4() != dead6 {
				t.Errorf("path to %v after %v", p.Remote, took)
			}
			l.settled(p)
		})
	}
}

func TestFailuresAreTyped(t *testing.T) {
	for name, c := range map[string]struct {
		l    *lite
		want error
	}{
		"silent":        {&lite{ignore: time.Hour}, ErrNoAnswer},
		"487 for ever":  {&lite{refuse: 487, refuseTo: time.Hour}, ErrRefused},
		"401 for ever":  {&lite{refuse: 401, refuseTo: time.Hour}, ErrRefused},
		"garbage":       {&lite{answer: func(*stun.Message, []byte) []byte { return bytes.Repeat([]byte{1}, 64) }}, ErrNoAnswer},
		"echo":          {&lite{answer: func(_ *stun.Message, b []byte) []byte { return b }}, ErrNoAnswer},
		"forged answer": {&lite{answer: forgedAnswer}, ErrNoAnswer},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				l := c.l
				l.t, l.delay = t, 5*time.Millisecond
				p, took, err := l.dial(3 * time.Second)
				var d *DialError
				if p != nil || !errors.Is(err, c.want) || !errors.As(err, &d) || d.Counts.Sent < 50 || took > 3*time.Second {
					t.Errorf("%v after %v", err, took)
				}
				if _, _, err := l.conns[true].ReadFrom(nil); !errors.Is(err, net.ErrClosed) {
					t.Error("the Conn is still open")
				}
			})
		})
	}
}

func forgedAnswer(m *stun.Message, _ []byte) []byte {
	r, _ := stun.Build(m, stun.BindingSuccess, stun.NewShortTermIntegrity("somebody else's password"), stun.Fingerprint)
	return r.Raw
}

func TestNoPairOrCancelledIsToldAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := &lite{t: t}
		d := &Dialer{Local: ourCredentials, Locals: l.locals()[:1]}
		if _, err := d.Dial(context.Background(), peerCredentials, []netip.AddrPort{remote6}, true); !errors.Is(err, ErrNoPair) {
			t.Error(err)
		}
		long := Credentials{Ufrag: string(make([]byte, 257)), Pwd: "x"}
		if _, err := d.Dial(context.Background(), long, []netip.AddrPort{remote4}, true); !errors.Is(err, ErrCredentials) {
			t.Error(err)
		}
		if n, _ := NewConsent(ourCredentials, long, remote4, true).Tick(6*time.Second, make([]byte, 1200), new(StunScratch)); n > 300 {
			t.Error("wrote a message as long as the peer likes")
		}
		l = &lite{t: t, ignore: time.Hour}
		d = &Dialer{Local: ourCredentials, Locals: l.locals()}
		ctx, cancel := context.WithCancel(context.Background())
		time.AfterFunc(time.Second, cancel)
		if _, err := d.Dial(ctx, peerCredentials, []netip.AddrPort{remote4}, true); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

func TestHostileDatagramsNeverReachPion(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := &lite{t: t, delay: 25 * time.Millisecond}
		flood := func() {
			l.mu.Lock()
			defer l.mu.Unlock()
			for _, c := range l.conns {
				for _, from := range []netip.AddrPort{remote4, remote6, netip.MustParseAddrPort("203.0.113.5:1")} {
					for _, b := range [][]byte{vectorRequest, vectorResponse4, {22, 0xFE, 0xFD}, make([]byte, 1500), make([]byte, 2000),
						build(bindingRequest, false, attribute(0x8022, 65535, 1)), build(bindingSuccess, false, attribute(attrXORMappedAddress, 4, 0, 1, 0, 0)),
						request(t, "x"+ourCredentials.Pwd, peerUsername)} {
						c.Deliver(b, from)
					}
				}
			}
		}
		time.AfterFunc(10*time.Millisecond, flood)
		time.AfterFunc(60*time.Millisecond, flood)
		p, _, err := l.dial(5 * time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if p.Counts.Refused < 80 {
			t.Errorf("%d refused", p.Counts.Refused)
		}
		l.settled(p)
	})
}

func TestConsentTakesOverWithTheAgentsTieBreaker(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := &lite{t: t, delay: time.Millisecond}
		p, _, err := l.dial(5 * time.Second)
		if err != nil {
			t.Fatal(err)
		}
		c := p.Consent(false)
		if c.tieBreaker == 0 || c.tieBreaker != p.watch.tieBreakerSeen() || c.addr != p.Remote {
			t.Error("another tie-breaker or address")
		}
		l.settled(p)
	})
}
