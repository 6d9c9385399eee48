package secure_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/pion/dtls/v2"
	"github.com/pion/dtls/v2/pkg/crypto/selfsign"
	"go.uber.org/goleak"

	"github.com/onelane/onelane/ice"
	"github.com/onelane/onelane/ice/secure"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	ourAddr  = netip.MustParseAddrPort("192.0.2.1:40000")
	peerAddr = netip.MustParseAddrPort("198.51.100.7:3480")
)

// pipe is a wire between us and a peer, in memory. lose decides about each datagram, by direction and its number there.
type pipe struct {
	ours, peers *ice.Conn

	mu     sync.Mutex
	flying [2][][]byte
	sent   [2]int // by direction: 0 from us, 1 from the peer
	lose   func(direction, n int, b []byte) bool
	tap    func(direction int, b []byte)
	delay  time.Duration
	closed bool
}

const (
	fromUs = iota
	fromPeer
)

func newPipe(delay time.Duration, lose func(direction, n int, b []byte) bool) *pipe {
	p := &pipe{lose: lose, delay: delay}
	p.ours = ice.NewConn(net.UDPAddrFromAddrPort(ourAddr), func(b []byte, _ netip.AddrPort) { p.carry(fromUs, b) })
	p.peers = ice.NewConn(net.UDPAddrFromAddrPort(peerAddr), func(b []byte, _ netip.AddrPort) { p.carry(fromPeer, b) })
	p.ours.Connect(peerAddr)
	p.peers.Connect(ourAddr)
	return p
}

func (p *pipe) carry(direction int, b []byte) {
	p.mu.Lock()
	n := p.sent[direction]
	p.sent[direction]++
	lost := p.closed || p.lose != nil && p.lose(direction, n, b)
	tap := p.tap
	p.mu.Unlock()
	if tap != nil {
		tap(direction, b)
	}
	if lost {
		return
	}
	p.mu.Lock()
	p.flying[direction] = append(p.flying[direction], append([]byte(nil), b...))
	p.mu.Unlock()
	time.AfterFunc(p.delay, func() { // whichever of them fires: the oldest lands
		p.mu.Lock()
		b := p.flying[direction][0]
		p.flying[direction] = p.flying[direction][1:]
		p.mu.Unlock()
		if direction == fromUs {
			p.peers.Deliver(b, ourAddr)
		} else {
			p.ours.Deliver(b, peerAddr)
		}
	})
}

func (p *pipe) count(direction int) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sent[direction]
}

func (p *pipe) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	_ = p.ours.Close()
	_ = p.peers.Close()
}

// peer is a DTLS endpoint of pion's alone, as other edges and browsers' gateways run it. When a handshake fails it waits for the next.
type peer struct {
	certificate tls.Certificate
	fingerprint string
	profiles    []dtls.SRTPProtectionProfile
	server      bool
	interval    time.Duration
	noCert      bool

	mu    sync.Mutex
	conn  *dtls.Conn
	tries int
	done  chan struct{}
	stop  context.CancelFunc
	end   chan struct{}
}

func newPeer(t *testing.T, server bool) *peer {
	t.Helper()
	certificate, err := selfsign.GenerateSelfSigned()
	if err != nil {
		t.Fatal(err)
	}
	return &peer{
		certificate: certificate, fingerprint: secure.FingerprintOf(certificate.Certificate[0]), server: server,
		profiles: []dtls.SRTPProtectionProfile{dtls.SRTP_AEAD_AES_128_GCM, dtls.SRTP_AES128_CM_HMAC_SHA1_80},
		interval: 200 * time.Millisecond, done: make(chan struct{}), end: make(chan struct{}),
	}
}

func (p *peer) start(wire net.Conn) {
	ctx, stop := context.WithCancel(context.Background())
	p.stop = stop
	go p.run(ctx, wire)
}

func (p *peer) run(ctx context.Context, wire net.Conn) {
	defer close(p.end)
	config := &dtls.Config{
		ExtendedMasterSecret: dtls.RequireExtendedMasterSecret, InsecureSkipVerify: true, InsecureSkipVerifyHello: true,
		ClientAuth: dtls.RequireAnyClientCert, SRTPProtectionProfiles: p.profiles, FlightInterval: p.interval, LoggerFactory: secure.Silence{},
		VerifyPeerCertificate: func([][]byte, [][]*x509.Certificate) error { return nil },
	}
	if !p.noCert {
		config.Certificates = []tls.Certificate{p.certificate}
	}
	for ctx.Err() == nil {
		p.mu.Lock()
		p.tries++
		p.mu.Unlock()
		var conn *dtls.Conn
		var err error
		_ = wire.SetReadDeadline(time.Time{})
		if p.server {
			conn, err = dtls.ServerWithContext(ctx, unclosed{wire}, config)
		} else {
			conn, err = dtls.ClientWithContext(ctx, unclosed{wire}, config)
		}
		if err == nil {
			p.mu.Lock()
			p.conn = conn
			p.mu.Unlock()
			close(p.done)
			return
		}
		if errors.Is(err, net.ErrClosed) {
			return
		}
	}
}

// unclosed is a wire that survives its association.
type unclosed struct{ net.Conn }

func (u unclosed) Close() error { return u.Conn.SetReadDeadline(time.Unix(0, 1)) }

func (p *peer) close() {
	p.stop()
	<-p.end
	if p.conn != nil {
		_ = p.conn.Close()
	}
}

// keys as the peer exports them, from our point of view.
func (p *peer) keys(t *testing.T) []byte {
	t.Helper()
	state := p.conn.ConnectionState()
	b, err := state.ExportKeyingMaterial("EXTRACTOR-dtls_srtp", nil, 56)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

var ours = sync.OnceValue(func() *secure.Certificate {
	c, err := secure.NewCertificate()
	if err != nil {
		panic(err)
	}
	return c
})

func ourHandshake(role secure.Role, w *pipe, p *peer) *secure.Handshake {
	return &secure.Handshake{
		Role: role, Certificate: ours(), RemoteFingerprint: p.fingerprint, Conn: w.ours, FlightInterval: 100 * time.Millisecond,
	}
}
