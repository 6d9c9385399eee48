package icetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/pion/dtls/v2"
	"github.com/pion/logging"
)

// flightInterval is the default of CallOptions.FlightInterval: pion's own 1 s would make every lost flight a second of silence.
const flightInterval = 200 * time.Millisecond

// handshakeBudget ends a handshake whose peer went away.
const handshakeBudget = 60 * time.Second

// ErrFingerprint: the peer's certificate is not the one in its SDP.
var ErrFingerprint = errors.New("icetest: the certificate does not match the SDP's fingerprint")

// association is one DTLS association of a call. A peer that starts afresh with another ClientHello gets a new one.
type association struct {
	call   *Call
	role   DTLSRole
	link   *link
	hello  []byte // the client's random, as server
	cancel context.CancelFunc
	ctx    context.Context

	mu       sync.Mutex
	conn     *dtls.Conn
	stopped  bool
	farewell bool
}

// record takes one DTLS datagram. It is called by a reader.
func (c *Call) record(now time.Duration, p Pair, b []byte) {
	c.mu.Lock()
	breach, broken := c.conduct.DTLS(now, p)
	pair, nominated := c.conduct.Nominated()
	hello := helloRandom(b)
	ignore := c.ended || c.deaf(p) || !nominated || pair != p ||
		(hello != nil && now-c.born < c.faults.IgnoreHellosFor)
	if !ignore && c.timings.FirstDTLS == 0 {
		c.timings.FirstDTLS = now
	}
	a, role := c.assoc, c.remote.Role
	c.mu.Unlock()
	if broken {
		c.report([]Breach{breach})
	}
	afresh := hello != nil && role == RoleServer && (a == nil || !bytes.Equal(a.hello, hello)) && !c.heard()
	switch {
	case ignore:
		c.server.count(func(n *Counters) { n.IgnoredDTLS++ })
	case afresh:
		c.associate(p, RoleServer, hello).link.deliver(b)
	case a != nil:
		a.link.deliver(b)
	default:
		c.server.count(func(n *Counters) { n.IgnoredDTLS++ })
	}
}

// heard says that the peer has proven to have our keys: from then on a ClientHello changes nothing.
func (c *Call) heard() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.timings.FirstMedia != 0
}

// associate starts a new association and lets go of the one before.
func (c *Call) associate(p Pair, role DTLSRole, hello []byte) *association {
	a := &association{call: c, role: role, hello: hello}
	a.ctx, a.cancel = context.WithTimeout(context.Background(), handshakeBudget)
	a.link = newLink(c.server.sockets[p.Local].public, p.Remote, func(b []byte) {
		c.mu.Lock()
		deaf := c.deaf(p)
		c.mu.Unlock()
		if !deaf {
			_ = c.server.send(p, b) // counted there; DTLS retransmits
		}
	})
	c.mu.Lock()
	old := c.assoc
	c.assoc = a
	ended := c.ended
	c.mu.Unlock()
	if old != nil {
		old.stop(false)
	}
	if ended {
		a.stop(false)
	}
	c.server.run.Add(1)
	go a.run()
	return a
}

// stop ends the association; run does the work.
func (a *association) stop(farewell bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stopped, a.farewell = true, farewell
	a.cancel()
	if a.conn != nil {
		_ = a.conn.SetReadDeadline(time.Unix(1, 0)) // unblocks run; it never fails
	}
}

func (a *association) run() {
	defer a.call.server.run.Done()
	defer a.cancel()
	c, s := a.call, a.call.server
	var conn *dtls.Conn
	var err error
	if a.role == RoleClient {
		conn, err = dtls.ClientWithContext(a.ctx, a.link, c.dtlsConfig())
	} else {
		conn, err = dtls.ServerWithContext(a.ctx, a.link, c.dtlsConfig())
	}
	if err == nil {
		err = c.secure(a, conn)
		if err != nil {
			_ = conn.Close()
		}
	}
	if err != nil {
		a.mu.Lock()
		stopped := a.stopped
		a.mu.Unlock()
		c.mu.Lock()
		if c.assoc == a {
			c.assoc = nil // the next ClientHello starts another
		}
		c.mu.Unlock()
		if !stopped && c.options.OnFailure != nil {
			c.options.OnFailure(s.now(), err)
		}
		return
	}
	a.mu.Lock()
	a.conn = conn
	if a.stopped {
		_ = conn.SetReadDeadline(time.Unix(1, 0))
	}
	a.mu.Unlock()
	a.attend(conn)
}

// attend keeps the association until the call ends, because the peer may have lost our last flight, and to hear its farewell.
func (a *association) attend(conn *dtls.Conn) {
	b := make([]byte, maxDatagram)
	for {
		_, err := conn.Read(b)
		if err == nil {
			continue // application data, which nobody owes us
		}
		a.mu.Lock()
		stopped, farewell := a.stopped, a.farewell
		a.mu.Unlock()
		if stopped && farewell {
			a.link.linger()
		} else {
			_ = a.link.Close() // nothing to say any more
		}
		_ = conn.Close()
		if !stopped && errors.Is(err, io.EOF) && a.call.options.OnClosed != nil {
			a.call.options.OnClosed(a.call.server.now())
		}
		return
	}
}

func (c *Call) dtlsConfig() *dtls.Config {
	interval := c.options.FlightInterval
	if interval == 0 {
		interval = flightInterval
	}
	c.mu.Lock()
	want := c.remote.Fingerprint
	c.mu.Unlock()
	var profiles []dtls.SRTPProtectionProfile
	for _, p := range c.profiles() {
		profiles = append(profiles, dtls.SRTPProtectionProfile(p))
	}
	quiet := logging.NewDefaultLoggerFactory()
	quiet.DefaultLogLevel = logging.LogLevelDisabled
	return &dtls.Config{
		Certificates:            []tls.Certificate{c.server.certificate},
		SRTPProtectionProfiles:  profiles,
		ClientAuth:              dtls.RequireAnyClientCert,
		ExtendedMasterSecret:    dtls.RequireExtendedMasterSecret,
		InsecureSkipVerify:      true, // what is verified is the fingerprint, below
		FlightInterval:          interval,
		LoggerFactory:           quiet,
		InsecureSkipVerifyHello: true, // the pair has passed ICE; no cookie round trip
		VerifyPeerCertificate: func(raw [][]byte, _ [][]*x509.Certificate) error {
			if len(raw) == 0 || fingerprintOf(raw[0]) != strings.ToUpper(want) {
				return ErrFingerprint
			}
			return nil
		},
	}
}

// helloRandom finds the client's random in a datagram that begins with an unfragmented ClientHello; nil if it does not.
func helloRandom(b []byte) []byte {
	const record, handshake, random = 13, 12, 2 // RFC 6347 sections 4.1 and 4.2.2, RFC 5246 section 7.4.1.2
	const at = record + handshake + random
	if len(b) < at+32 || b[0] != 22 || b[3] != 0 || b[4] != 0 || b[record] != 1 {
		return nil
	}
	return append([]byte(nil), b[at:at+32]...)
}

// fingerprintOf writes the SHA-256 of a certificate as SDP does (RFC 8122 section 5).
func fingerprintOf(der []byte) string {
	sum := sha256.Sum256(der)
	parts := make([]string, len(sum))
	for i, v := range sum {
		parts[i] = fmt.Sprintf("%02X", v)
	}
	return strings.Join(parts, ":")
}
