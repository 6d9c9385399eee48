package ice_test

import (
	"bytes"
	"context"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/pion/rtp"

	"github.com/onelane/onelane/ice"
	"github.com/onelane/onelane/ice/icetest"
	"github.com/onelane/onelane/ice/secure"
)

// wire is one real local port, read by a goroutine in the place of a shard.
type wire struct {
	socket *net.UDPConn
	conn   *ice.Conn

	mu    sync.Mutex
	taker func(b []byte, from netip.AddrPort)
}

func newWire(t *testing.T) *wire {
	t.Helper()
	s, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{socket: s}
	w.conn = ice.NewConn(s.LocalAddr(), w.send)
	w.taker = w.conn.Deliver
	done := make(chan struct{})
	go w.run(done)
	t.Cleanup(func() { _ = s.Close(); <-done })
	return w
}

func (w *wire) run(done chan struct{}) {
	defer close(done)
	b := make([]byte, 2000)
	for {
		n, from, err := w.socket.ReadFromUDPAddrPort(b)
		if err != nil {
			return
		}
		w.mu.Lock()
		take := w.taker
		w.mu.Unlock()
		take(b[:n], netip.AddrPortFrom(from.Addr().Unmap(), from.Port()))
	}
}

func (w *wire) send(b []byte, to netip.AddrPort) { _, _ = w.socket.WriteToUDPAddrPort(b, to) }

func (w *wire) give(to func(b []byte, from netip.AddrPort)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.taker = to
}

// TestWholeSetupPleasesAStrictPeer goes from candidates to an authentic packet each way, against a judge that shares no code with us.
func TestWholeSetupPleasesAStrictPeer(t *testing.T) {
	for name, peerRole := range map[string]icetest.DTLSRole{"we are the client": icetest.RoleServer, "we are the server": icetest.RoleClient} {
		t.Run(name, func(t *testing.T) { wholeSetup(t, peerRole) })
	}
}

func wholeSetup(t *testing.T, peerRole icetest.DTLSRole) {
	far, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	server, err := icetest.NewServer([]net.PacketConn{far}, icetest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	heard, secured := make(chan []byte, 1), make(chan struct{})
	call, err := server.NewCall(icetest.CallOptions{
		Faults:   icetest.Faults{IgnoreChecksFor: 200 * time.Millisecond, Answer487For: 400 * time.Millisecond},
		OnSecure: func(time.Duration, icetest.Profile) { close(secured) },
	})
	if err != nil {
		t.Fatal(err)
	}
	call.OnRTP(func(_ time.Duration, _ *rtp.Header, payload []byte) { heard <- bytes.Clone(payload) })
	certificate, err := secure.NewCertificate()
	if err != nil {
		t.Fatal(err)
	}
	local, err := ice.NewCredentials()
	if err != nil {
		t.Fatal(err)
	}
	call.SetRemote(icetest.Remote{Ufrag: local.Ufrag, Fingerprint: certificate.Fingerprint(), Role: peerRole})

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	w := newWire(t)
	started := time.Now()
	d := &ice.Dialer{Local: local, Locals: []ice.Local{{Conn: w.conn, Addr: w.socket.LocalAddr().(*net.UDPAddr).AddrPort()}}}
	path, err := d.Dial(ctx, ice.Credentials{Ufrag: call.Ufrag(), Pwd: call.Pwd()}, server.Addresses(), true)
	if err != nil {
		t.Fatal(err)
	}
	dialled := time.Since(started)
	link := ice.NewConn(w.conn.LocalAddr(), w.send)
	link.Connect(path.Remote)
	defer link.Close()
	w.give(func(b []byte, from netip.AddrPort) {
		if ice.Classify(b) == ice.DTLS {
			link.Deliver(b, from)
		}
	})
	path.Release()
	role := secure.Client
	if peerRole == icetest.RoleClient {
		role = secure.Server
	}
	h := &secure.Handshake{
		Role: role, Certificate: certificate, RemoteFingerprint: server.Fingerprint(), Conn: link, FlightInterval: 100 * time.Millisecond,
	}
	session, err := h.Run(ctx)
	if err != nil {
		t.Fatal(err, h.Counts())
	}
	t.Logf("nominated after %v, keys %v later, %d answers of 487", dialled, time.Since(started)-dialled, path.Counts.RoleConflicts)
	<-secured
	sayHello(ctx, t, w, path.Remote, session.Keys, heard)
	session.Farewell(func(b []byte) { w.send(b, path.Remote) })
	if b := call.Breaches(); len(b) > 0 {
		t.Errorf("breaches: %v", b)
	}
}

// sayHello sends one sealed packet, which the peer must hear.
func sayHello(ctx context.Context, t *testing.T, w *wire, to netip.AddrPort, keys secure.Keys, heard <-chan []byte) {
	t.Helper()
	sealer, err := secure.NewSealer(keys)
	if err != nil {
		t.Fatal(err)
	}
	packet := append([]byte{0x80, 111, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9}, []byte("hello")...)
	sealed, err := sealer.Seal(make([]byte, 0, 100), packet)
	if err != nil {
		t.Fatal(err)
	}
	w.send(sealed, to)
	select {
	case b := <-heard:
		if string(b) != "hello" {
			t.Errorf("heard %q", b)
		}
	case <-ctx.Done():
		t.Error("not heard")
	}
}
