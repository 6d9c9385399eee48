package ice

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"
	"unsafe"

	"github.com/pion/stun/v2"
)

var (
	ourCredentials  = Credentials{Ufrag: "ours", Pwd: "our-password-of-22-chars"}
	peerCredentials = Credentials{Ufrag: "NvPeRHRlBReaRYCZ", Pwd: "+219v9nKr3xSQIn8s+Fy8g=="}
	consentPeer     = netip.MustParseAddrPort("198.51.100.7:3480")
)

type consentRig struct {
	t       *testing.T
	c       *Consent
	s       StunScratch
	b       [maxDatagram]byte
	reply   [maxDatagram]byte
	last    *stun.Message
	checks  []time.Duration
	expired time.Duration
}

func newConsentRig(t *testing.T, useCandidate bool) *consentRig {
	r := &consentRig{t: t, c: NewConsent(ourCredentials, peerCredentials, consentPeer, useCandidate)}
	r.c.Start(0)
	return r
}

// until runs the timer to the given time and answers checks that answer says yes to, 20 ms later.
func (r *consentRig) until(end time.Duration, answer func(at time.Duration) bool) {
	r.t.Helper()
	for r.c.Next() <= end && r.expired == 0 {
		now := r.c.Next()
		n, lost := r.c.Tick(now, r.b[:], &r.s)
		if lost {
			r.expired = now
			return
		}
		if n == 0 {
			r.t.Fatalf("Next said %v, and Tick had nothing to do", now)
		}
		r.checks = append(r.checks, now)
		r.last = decode(r.t, r.b[:n])
		if answer != nil && answer(now) {
			if v := r.respond(now+20*time.Millisecond, r.last.TransactionID, peerCredentials.Pwd, consentPeer); v != StunRefreshed {
				r.t.Fatalf("a valid answer was %v", v)
			}
		}
	}
}

func (r *consentRig) respond(now time.Duration, id [12]byte, pwd string, from netip.AddrPort) StunVerdict {
	m, err := stun.Build(stun.NewTransactionIDSetter(id), stun.BindingSuccess,
		&stun.XORMappedAddress{IP: []byte{192, 0, 2, 1}, Port: 5000}, stun.NewShortTermIntegrity(pwd), stun.Fingerprint)
	if err != nil {
		r.t.Fatal(err)
	}
	n, v := r.c.Receive(now, from, m.Raw, r.reply[:], &r.s)
	if n != 0 {
		r.t.Fatal("an answer was answered")
	}
	return v
}

func decode(t testing.TB, b []byte) *stun.Message {
	t.Helper()
	m := &stun.Message{Raw: append([]byte(nil), b...)}
	if err := m.Decode(); err != nil {
		t.Fatal(err)
	}
	return m
}

func always(time.Duration) bool { return true }

func TestCheckIsWhatTheRFCWants(t *testing.T) {
	for _, useCandidate := range []bool{false, true} {
		r := newConsentRig(t, useCandidate)
		r.until(10*time.Second, nil)
		m := r.last
		if err := stun.NewShortTermIntegrity(peerCredentials.Pwd).Check(m); err != nil {
			t.Error(err)
		}
		if err := stun.Fingerprint.Check(m); err != nil {
			t.Error(err)
		}
		var u stun.Username
		if err := u.GetFrom(m); err != nil || u.String() != "NvPeRHRlBReaRYCZ:ours" {
			t.Errorf("username %q, %v", u, err)
		}
		if !m.Contains(stun.AttrICEControlling) || !m.Contains(stun.AttrPriority) || m.Contains(stun.AttrUseCandidate) != useCandidate {
			t.Errorf("attributes: %v", m)
		}
	}
}

func TestCheckEveryFourToSixSecondsForHours(t *testing.T) {
	r := newConsentRig(t, false)
	r.until(3*time.Hour, always)
	if r.expired != 0 || r.c.RTT() != 20*time.Millisecond {
		t.Fatalf("expired at %v, RTT %v", r.expired, r.c.RTT())
	}
	seen := map[time.Duration]bool{}
	for i := 1; i < len(r.checks); i++ {
		d := r.checks[i] - r.checks[i-1]
		if d < 4*time.Second || d > 6*time.Second {
			t.Fatalf("%v between two checks", d)
		}
		seen[d/(100*time.Millisecond)] = true
	}
	if len(seen) < 15 {
		t.Errorf("only %d intervals: not random", len(seen))
	}
}

func TestConsentLostStopsSending(t *testing.T) {
	for range 50 {
		r := newConsentRig(t, false)
		r.until(time.Minute, always)
		last := r.checks[len(r.checks)-1] + 20*time.Millisecond
		r.until(2*time.Minute, nil)
		if r.expired != last+30*time.Second {
			t.Fatalf("the last valid answer came at %v, consent ended at %v", last, r.expired)
		}
		final := r.checks[len(r.checks)-1]
		if final < last+25*time.Second || final > last+29*time.Second {
			t.Errorf("the last check left %v after the last answer", final-last)
		}
		for i := 1; i < len(r.checks); i++ {
			if d := r.checks[i] - r.checks[i-1]; d < 4*time.Second || d > 6*time.Second {
				t.Errorf("%v between two checks", d)
			}
		}
		// It stays lost, whatever comes.
		if v := r.respond(r.expired+1, r.last.TransactionID, peerCredentials.Pwd, consentPeer); v != StunRefreshed && v != StunNotOurs {
			t.Error(v)
		}
		if n, lost := r.c.Tick(r.expired+time.Second, r.b[:], &r.s); n != 0 || !lost || !r.c.Lost() {
			t.Error("it came back")
		}
	}
}

func TestNetworkDownFor25SecondsIsSurvived(t *testing.T) {
	for range 50 {
		r := newConsentRig(t, false)
		r.until(time.Minute, always)
		down := r.checks[len(r.checks)-1] + 21*time.Millisecond
		r.until(3*time.Minute, func(at time.Duration) bool { return at > down+25*time.Second })
		if r.expired != 0 {
			t.Fatal("lost")
		}
	}
}

func TestOnlyValidAnswersRefresh(t *testing.T) {
	r := newConsentRig(t, false)
	r.until(7*time.Second, nil)
	id := r.last.TransactionID
	now := 8 * time.Second
	other := id
	other[11]++
	for name, c := range map[string]struct {
		id   [12]byte
		pwd  string
		from netip.AddrPort
		want StunVerdict
	}{
		"another id":       {other, peerCredentials.Pwd, consentPeer, StunNotOurs},
		"another password": {id, ourCredentials.Pwd, consentPeer, StunBadIntegrity},
		"another port":     {id, peerCredentials.Pwd, netip.AddrPortFrom(consentPeer.Addr(), 9), StunWrongAddress},
		"another address":  {id, peerCredentials.Pwd, netip.MustParseAddrPort("203.0.113.9:3480"), StunWrongAddress},
	} {
		if v := r.respond(now, c.id, c.pwd, c.from); v != c.want {
			t.Errorf("%s: %v", name, v)
		}
	}
	for code, want := range map[stun.ErrorCode]StunVerdict{
		stun.CodeRoleConflict: StunRoleConflict, stun.CodeUnauthorized: StunUnauthorized, stun.CodeServerError: StunRefused,
	} {
		m, _ := stun.Build(stun.NewTransactionIDSetter(id), stun.BindingError, code, stun.Fingerprint)
		if _, v := r.c.Receive(now, consentPeer, m.Raw, r.reply[:], &r.s); v != want {
			t.Errorf("%v: %v", code, v)
		}
	}
	if r.c.valid != 0 {
		t.Fatal("something refreshed consent")
	}
	if v := r.respond(now, id, peerCredentials.Pwd, netip.AddrPortFrom(netip.AddrFrom16(consentPeer.Addr().As16()), consentPeer.Port())); v != StunRefreshed {
		t.Errorf("a valid answer, the address in its mapped form: %v", v)
	}
	if v := r.respond(now+10*time.Second, id, peerCredentials.Pwd, consentPeer); v != StunNotOurs || r.c.valid != now {
		t.Errorf("the same answer again: %v", v)
	}
}

func request(t testing.TB, pwd, user string, more ...stun.Setter) []byte {
	t.Helper()
	m, err := stun.Build(append([]stun.Setter{
		stun.TransactionID, stun.BindingRequest, stun.NewUsername(user), stun.RawAttribute{Type: stun.AttrPriority, Value: make([]byte, 4)},
	}, append(more, stun.NewShortTermIntegrity(pwd), stun.Fingerprint)...)...)
	if err != nil {
		t.Fatal(err)
	}
	return m.Raw
}

const peerUsername = "ours:NvPeRHRlBReaRYCZ"

func TestAuthenticRequestIsAnswered(t *testing.T) {
	r := newConsentRig(t, false)
	b := request(t, ourCredentials.Pwd, peerUsername)
	n, v := r.c.Receive(time.Second, consentPeer, b, r.reply[:], &r.s)
	if v != StunAnswered {
		t.Fatal(v)
	}
	m := decode(t, r.reply[:n])
	var x stun.XORMappedAddress
	if err := x.GetFrom(m); err != nil || x.String() != consentPeer.String() {
		t.Errorf("mapped address %v, %v", x, err)
	}
	if m.Type != stun.BindingSuccess || m.TransactionID != decode(t, b).TransactionID ||
		stun.NewShortTermIntegrity(ourCredentials.Pwd).Check(m) != nil || stun.Fingerprint.Check(m) != nil {
		t.Errorf("answer %v", m)
	}
	for name, c := range map[string]struct {
		b    []byte
		from netip.AddrPort
		want StunVerdict
	}{
		"wrong password": {request(t, "x"+ourCredentials.Pwd, peerUsername), consentPeer, StunBadIntegrity},
		"wrong username": {request(t, ourCredentials.Pwd, "ours:somebody"), consentPeer, StunWrongUsername},
		"from elsewhere": {b, netip.MustParseAddrPort("203.0.113.9:3480"), StunWrongAddress},
		"unsound":        {b[:len(b)-4], consentPeer, StunMalformed},
	} {
		if n, v := r.c.Receive(time.Second, c.from, c.b, r.reply[:], &r.s); n != 0 || v != c.want {
			t.Errorf("%s: %d bytes, %v", name, n, v)
		}
	}
}

func TestFloodOfRequestsIsBounded(t *testing.T) {
	r := newConsentRig(t, false)
	bad := request(t, "x"+ourCredentials.Pwd, peerUsername)
	counts := [StunVerdicts]int{}
	for n := range 200000 { // two seconds of 100,000 a second
		_, v := r.c.Receive(time.Duration(n)*10*time.Microsecond, consentPeer, bad, r.reply[:], &r.s)
		counts[v]++
	}
	if counts[StunBadIntegrity] > 3*requestRate || counts[StunRateLimited] < 190000 {
		t.Errorf("%v", counts)
	}
	r.until(7*time.Second, always) // our own checks are not held up
	if r.c.valid == 0 {
		t.Error("consent was not refreshed")
	}
}

func TestTransactionIDsNeverRepeat(t *testing.T) {
	r := newConsentRig(t, false)
	seen := map[[12]byte]bool{}
	for range 1000 {
		r.until(r.c.Next(), always)
		if seen[r.last.TransactionID] {
			t.Fatal("repeated")
		}
		seen[r.last.TransactionID] = true
	}
}

func TestConsentIsSmallAndDoesNotAllocate(t *testing.T) {
	if n := unsafe.Sizeof(Consent{}); n >= 400 {
		t.Errorf("%d bytes", n)
	}
	if raceEnabled {
		t.Skip("allocations are counted without the race detector")
	}
	r := newConsentRig(t, true)
	in := request(t, ourCredentials.Pwd, peerUsername)
	out := make([]byte, 0, maxDatagram)
	now := time.Duration(0)
	if a := testing.AllocsPerRun(500, func() {
		now = r.c.Next()
		n, _ := r.c.Tick(now, r.b[:], &r.s)
		id := transactionID(r.b[8:20])
		if _, v := r.c.Receive(now, consentPeer, in, r.reply[:], &r.s); v != StunAnswered || n == 0 {
			t.Fatal(v)
		}
		w := writeSTUN(out[:maxDatagram], bindingSuccess, id)
		w.xorMapped(consentPeer)
		n = w.finish(&r.s, peerCredentials.Pwd)
		if _, v := r.c.Receive(now, consentPeer, out[:n], r.reply[:], &r.s); v != StunRefreshed {
			t.Fatal(v)
		}
	}); a != 0 {
		t.Errorf("%v allocations", a)
	}
}

func FuzzConsentReceive(f *testing.F) {
	f.Add(vectorRequest)
	f.Add(vectorResponse4)
	f.Add(request(f, ourCredentials.Pwd, peerUsername))
	f.Add(request(f, "x"+ourCredentials.Pwd, peerUsername))
	c := NewConsent(ourCredentials, peerCredentials, consentPeer, false)
	s := new(StunScratch)
	f.Fuzz(func(t *testing.T, b []byte) {
		c.Start(0)
		var out, reply [maxDatagram]byte
		c.Tick(6*time.Second, out[:], s)
		if len(b) >= stunHeader && b[0]&1 == 1 { // let answers reach beyond the transaction id
			copy(b[8:], c.pending[(c.turn-1)%pendingChecks].id[:])
			if len(b) > stunHeader {
				binary.BigEndian.PutUint16(b[2:], uint16(len(b)-stunHeader))
			}
		}
		n, v := c.Receive(7*time.Second, consentPeer, b, reply[:], s)
		if v == StunRefreshed || n > 0 && v != StunAnswered {
			t.Fatalf("%v, %d bytes", v, n)
		}
	})
}
