//go:build linux

package farend

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/pion/stun/v2"
	"go.uber.org/goleak"

	"github.com/onelane/onelane/ice"
	"github.com/onelane/onelane/ice/secure"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// relay is the least that a relay does: it checks, shakes hands and sends packets back.
type relay struct {
	t      *testing.T
	socket *net.UDPConn
	far    netip.AddrPort
	keys   secure.Keys
	ssrc   uint32
}

// call calls a phone.
func call(t *testing.T, e *Exchange, p *Phone, setup string) *relay {
	t.Helper()
	socket, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { socket.Close() })
	certificate, err := secure.NewCertificate()
	if err != nil {
		t.Fatal(err)
	}
	answer := "v=0\r\na=ice-ufrag:theirs\r\na=fingerprint:sha-256 " + certificate.Fingerprint() + "\r\na=setup:" + setup + "\r\na=ssrc:77 cname:x\r\n"
	if err := p.Accept(answer); err != nil {
		t.Fatal(err)
	}
	r := &relay{t: t, socket: socket, far: e.Address(), ssrc: 77}
	offer := p.Offer()
	r.check(line(t, offer, "a=ice-ufrag:"), line(t, offer, "a=ice-pwd:"))

	conn := ice.NewConn(socket.LocalAddr(), func(b []byte, to netip.AddrPort) { _, _ = socket.WriteToUDPAddrPort(b, to) })
	defer conn.Close()
	conn.Connect(e.Address())
	role := secure.Client
	if setup == "passive" {
		role = secure.Server
	}
	h := secure.Handshake{
		Role: role, Certificate: certificate, Conn: conn,
		RemoteFingerprint: strings.TrimPrefix(line(t, offer, "a=fingerprint:"), "sha-256 "),
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	ended := make(chan struct{})
	go func() { // the media that comes while we still compute is not missed by this test
		defer close(ended)
		b := make([]byte, maxDatagram)
		for {
			n, from, err := socket.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			conn.Deliver(b[:n], from)
		}
	}()
	session, err := h.Run(ctx)
	if err != nil {
		t.Fatal(err)
	}
	r.keys = session.Keys
	session.Release()
	socket.SetReadDeadline(time.Now())
	<-ended
	socket.SetReadDeadline(time.Time{})
	return r
}

func line(t *testing.T, sdp, name string) string {
	t.Helper()
	for l := range strings.Lines(sdp) {
		if value, ok := strings.CutPrefix(strings.TrimRight(l, "\r\n"), name); ok {
			return value
		}
	}
	t.Fatalf("no %s", name)
	return ""
}

// check sends a nominating check and wants a success of the right integrity.
func (r *relay) check(ufrag, pwd string) {
	r.t.Helper()
	key := stun.NewShortTermIntegrity(pwd)
	m := stun.MustBuild(stun.TransactionID, stun.BindingRequest, stun.NewUsername(ufrag+":theirs"),
		stun.RawAttribute{Type: stun.AttrUseCandidate}, key, stun.Fingerprint)
	if _, err := r.socket.WriteToUDPAddrPort(m.Raw, r.far); err != nil {
		r.t.Fatal(err)
	}
	b := make([]byte, maxDatagram)
	r.socket.SetReadDeadline(time.Now().Add(5 * time.Second))
	n, _, err := r.socket.ReadFromUDPAddrPort(b)
	if err != nil {
		r.t.Fatal(err)
	}
	r.socket.SetReadDeadline(time.Time{})
	answer := &stun.Message{Raw: b[:n]}
	if err := answer.Decode(); err != nil || answer.Type != stun.BindingSuccess || answer.TransactionID != m.TransactionID {
		r.t.Fatalf("the check was answered with %v (%v)", answer, err)
	}
	if err := key.Check(answer); err != nil {
		r.t.Fatal(err)
	}
}

// echo sends packets back until the context ends, but for every tenth; every twentieth it sends twice.
func (r *relay) echo(ctx context.Context) {
	stop := context.AfterFunc(ctx, func() { r.socket.SetReadDeadline(time.Now()) })
	defer stop()
	opener, err := secure.NewOpener(r.keys)
	if err != nil {
		r.t.Error(err)
		return
	}
	sealer, err := secure.NewSealer(r.keys)
	if err != nil {
		r.t.Error(err)
		return
	}
	var sequence, frames, count uint32
	b := make([]byte, maxDatagram+secure.Overhead)
	for {
		n, _, err := r.socket.ReadFromUDPAddrPort(b[:maxDatagram])
		if err != nil {
			return
		}
		plain, err := opener.Open(b[:n])
		if err != nil {
			continue // DTLS
		}
		count++
		frames++
		if count%10 == 5 {
			continue
		}
		for range 1 + count%20/19 {
			copyOf := append(make([]byte, 0, maxDatagram), plain...)
			binary.BigEndian.PutUint16(copyOf[2:], uint16(sequence))
			binary.BigEndian.PutUint32(copyOf[4:], frames*frameSamples)
			binary.BigEndian.PutUint32(copyOf[8:], r.ssrc)
			sequence++
			sealed, err := sealer.Seal(copyOf, copyOf)
			if err != nil {
				r.t.Error(err)
				return
			}
			_, _ = r.socket.WriteToUDPAddrPort(sealed, r.far)
		}
	}
}

func TestPhonesCountWhatComesBack(t *testing.T) {
	for _, c := range []struct {
		setup   string
		profile secure.Profile
	}{{"active", secure.AEAD_AES_128_GCM}, {"passive", secure.AES128_CM_HMAC_SHA1_80}} {
		t.Run(c.setup, func(t *testing.T) {
			e, err := New(Options{Local: netip.MustParseAddrPort("127.0.0.1:0"), Profile: c.profile, Payload: 80, Period: frameTime, Slot: time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close()
			p := e.NewPhone()
			r := call(t, e, p, c.setup)
			<-p.Secured()
			if err := p.Err(); err != nil {
				t.Fatal(err)
			}
			if r.keys.Profile != c.profile {
				t.Errorf("the profile is %v", r.keys.Profile)
			}
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan struct{})
			go func() { defer close(ended); r.echo(ctx) }()
			for e.Progress().Phones == 0 {
			}
			e.Begin()
			for e.Progress().Sent < 60 {
				<-time.After(10 * time.Millisecond)
			}
			e.Stop()
			<-time.After(100 * time.Millisecond)
			l := e.Collect()
			stop()
			<-ended
			// What the first packets did before there was an echo is not counted, so the faults may fall one more or less often.
			if l.Sent < 60 || l.Received+l.Lost != l.Sent || l.Lost < 5 || l.Lost > 8 || l.Duplicates < 2 || l.Duplicates > 5 || l.Reordered > 0 {
				t.Errorf("sent %d, back %d, lost %d, twice %d, reordered %d", l.Sent, l.Received, l.Lost, l.Duplicates, l.Reordered)
			}
			if b := l.Continuity; b.SSRC+b.Form+b.Unopened+b.Sequence > 0 || b.Timestamp != l.Duplicates {
				t.Errorf("continuity %+v: only the second of two equal packets has a wrong timestamp", b)
			}
			if l.Own.Unstamped > 0 || l.Own.Late.Count() != l.Sent || l.Latency.Count() != l.Received {
				t.Errorf("%d without a stamp, %d send times, %d latencies", l.Own.Unstamped, l.Own.Late.Count(), l.Latency.Count())
			}
			p.HangUp()
			p.HangUp()
			if n := e.Progress().Phones; n != 0 {
				t.Errorf("%d phones speak after the last hung up", n)
			}
		})
	}
}

func TestPhoneThatNobodyCallsIsHungUp(t *testing.T) {
	e, err := New(Options{Local: netip.MustParseAddrPort("127.0.0.1:0"), Profile: secure.AEAD_AES_128_GCM, Payload: 80, Period: frameTime, Slot: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	p, q := e.NewPhone(), e.NewPhone()
	if err := p.Accept("v=0\r\n"); err == nil {
		t.Error("an answer without a fingerprint was taken")
	}
	p.HangUp()
	<-p.Secured()
	e.Close()
	<-q.Secured()
	if p.Err() != ErrGone || q.Err() != ErrGone {
		t.Errorf("got %v and %v", p.Err(), q.Err())
	}
	q.HangUp() // also after the end
	e.Begin()
	if e.Collect() == nil {
		t.Error("no tally")
	}
}

func TestMirrorSendsPlainRTPBackAsAnotherSource(t *testing.T) {
	e, err := New(Options{
		Local: netip.MustParseAddrPort("127.0.0.1:0"), Profile: secure.AEAD_AES_128_GCM, Payload: 80, Period: frameTime, Slot: time.Millisecond,
		Mirror: netip.MustParseAddrPort("127.0.0.1:0"),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	leg, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(e.Mirror()))
	if err != nil {
		t.Fatal(err)
	}
	defer leg.Close()
	packet := testPacket(9, 42, 40)
	if _, err := leg.Write([]byte("not RTP")); err != nil {
		t.Fatal(err)
	}
	if _, err := leg.Write(packet); err != nil {
		t.Fatal(err)
	}
	back := make([]byte, maxDatagram)
	leg.SetReadDeadline(time.Now().Add(5 * time.Second))
	n, err := leg.Read(back)
	if err != nil {
		t.Fatal(err)
	}
	binary.BigEndian.PutUint32(packet[8:], 42^otherSource)
	if string(back[:n]) != string(packet) {
		t.Errorf("got %x, want %x", back[:n], packet)
	}
}

func TestPacketPathDoesNotAllocate(t *testing.T) {
	e, p := still(t)
	keys := testKeys(secure.AEAD_AES_128_GCM)
	var err error
	if e.socket, err = listen(netip.MustParseAddrPort("127.0.0.1:0")); err != nil {
		t.Fatal(err)
	}
	defer e.socket.close()
	// The phone sends to itself, with the same keys both ways.
	p.media.send, _ = newCrypt(keys.Profile, keys.LocalKey, keys.LocalSalt)
	p.media.receive, _ = newCrypt(keys.Profile, keys.LocalKey, keys.LocalSalt)
	p.local, p.peer.ssrc = testSSRC, testSSRC
	p.peer.remote = e.socket.local
	setName(&p.media.name, e.socket.local)
	e.byPort[e.socket.local.Port()] = p
	e.tally.Seconds = make([]Second, 0, 1000)
	e.began = time.Now().UnixNano()
	n := testing.AllocsPerRun(100, func() {
		e.packet(p, uint64(p.media.number), 0)
		e.flush()
		e.receive()
	})
	if n != 0 || e.tally.Received < 100 || e.tally.Continuity.Breaches() > 0 {
		t.Errorf("%v allocations a packet; %d of %d came back, %+v", n, e.tally.Received, e.tally.Sent, e.tally.Continuity)
	}
	if e.tally.Own.Unstamped > 0 {
		t.Errorf("%d packets without the kernel's receive time", e.tally.Own.Unstamped)
	}
}
