package secure

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"crypto/tls"
	"crypto/x509"

	"github.com/pion/dtls/v2"
	"github.com/pion/dtls/v2/pkg/crypto/elliptic"
	"github.com/pion/logging"
)

// Role is our side of the DTLS handshake.
type Role uint8

const (
	// Client sends the ClientHello: a=setup:active.
	Client Role = iota
	// Server waits for it: a=setup:passive.
	Server
)

func (r Role) String() string {
	if r == Server {
		return "server"
	}
	return "client"
}

// Link carries datagrams to and from the peer of the nominated pair, and nobody else. SetReadDeadline must end a Read that waits, and
// Write must not block. It is never closed here.
type Link interface {
	net.Conn
}

// What a handshake failed of; test with errors.Is.
var (
	// ErrFingerprint: the peer has proved a key that is not the one in its SDP. Never retried.
	ErrFingerprint = errors.New("certificate does not match the fingerprint in the SDP")
	// ErrTimeout: the budget was over before the handshake was. The message says how far it got.
	ErrTimeout = errors.New("time was over before the DTLS handshake was complete")
	// ErrConfig: the Handshake cannot run as it is.
	ErrConfig = errors.New("DTLS handshake is set up wrong")
)

const (
	minFlightInterval     = 100 * time.Millisecond
	maxFlightInterval     = 250 * time.Millisecond
	defaultFlightInterval = 200 * time.Millisecond
	// stuckAfter: a handshake in which the peer has spoken and that is not over by then has been led astray, by a forged message or by
	// what a former try left at the peer. It begins anew. Twelve and more flights of the slowest interval fit.
	stuckAfter = 3 * time.Second
)

// errStuck ends one try.
var errStuck = errors.New("no progress")

// cipherSuites are ECDHE with AEAD only. Pion's random GCM nonces (CVE-2026-26014) do no harm with the few records of a handshake;
// application data is never sent.
var cipherSuites = []dtls.CipherSuiteID{
	dtls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
	dtls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	dtls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
	dtls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
}

// Handshake gets SRTP keys over a Link. Fill it in, call Run once; Kick and Counts may be called by anybody at any time.
type Handshake struct {
	Role              Role
	Certificate       *Certificate
	RemoteFingerprint string // one SHA-256, as in the SDP
	Conn              Link
	FlightInterval    time.Duration // until a flight is sent again: 100 to 250 ms; 0: 200 ms
	Profiles          []Profile     // by preference; nil: GCM, then AES_CM

	mu    sync.Mutex
	guard *guard
	count Counts
	tries int
}

// Counts are records that never reached pion, by reason, over all tries.
type Counts struct {
	Tries      int    // ClientHellos with a random of their own, or, as server, ones answered
	Alerts     uint64 // plaintext alerts
	Malformed  uint64 // not DTLS, or lying about lengths
	OutOfPlace uint64 // records and messages that do not belong into a handshake at this point
	Refused    uint64 // messages that say what we cannot have: version, suite, extensions, certificate
	Overflow   uint64 // fragments given up for newer ones
	Forged     uint64 // server flights whose signature was wrong
}

func (c *Counts) add(o Counts) {
	c.Alerts += o.Alerts
	c.Malformed += o.Malformed
	c.OutOfPlace += o.OutOfPlace
	c.Refused += o.Refused
	c.Overflow += o.Overflow
	c.Forged += o.Forged
}

// Kick sends the last flight again, now: the media gate has opened, and the peer listens from here on. It does nothing before Run has
// sent one and after Run has returned.
func (h *Handshake) Kick() {
	h.mu.Lock()
	g := h.guard
	h.mu.Unlock()
	if g != nil {
		g.kick()
	}
}

// Counts copies the counters.
func (h *Handshake) Counts() Counts {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := h.count
	c.Tries = h.tries
	if h.guard != nil {
		c.add(h.guard.counts())
	}
	return c
}

// Run shakes hands until it works, the peer turns out to be somebody else, or ctx ends. No goroutine of a failed Run is left.
func (h *Handshake) Run(ctx context.Context) (*Session, error) {
	fingerprint, err := canonicalFingerprint(h.RemoteFingerprint)
	if err != nil {
		return nil, err
	}
	if h.Certificate == nil || h.Conn == nil {
		return nil, fmt.Errorf("%w: no certificate or no link", ErrConfig)
	}
	profiles, err := h.profiles()
	if err != nil {
		return nil, err
	}
	interval := h.FlightInterval
	if interval == 0 {
		interval = defaultFlightInterval
	}
	interval = min(max(interval, minFlightInterval), maxFlightInterval)
	var hello []byte // as server: the ClientHello that made the last try end
	var last error
	for {
		if ctx.Err() != nil {
			return nil, h.ended(ctx, last)
		}
		g := newGuard(h.Role, h.Conn, fingerprint, profiles)
		if h.guard != nil { // Run alone sets it
			g.follow(h.guard)
		}
		if hello != nil {
			g.preload(hello)
		}
		session, err := h.try(ctx, g, profiles, interval)
		hello = g.rivalHello()
		h.forget(g, session != nil)
		switch {
		case err == nil:
			return session, nil
		case errors.Is(err, ErrFingerprint):
			return nil, fmt.Errorf("DTLS handshake: %w", err)
		}
		last = err
		if hello == nil {
			pause(ctx, interval)
		}
	}
}

func (h *Handshake) forget(g *guard, done bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.count.add(g.counts())
	if done {
		h.guard = nil // it lives on in the Session of a server
		return
	}
	g.reset()
}

func (h *Handshake) ended(ctx context.Context, last error) error {
	if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("DTLS handshake: %w", context.Cause(ctx))
	}
	c := h.Counts()
	if last == nil {
		last = errStuck
	}
	return fmt.Errorf("%w: %d tries, the last one: %v; dropped: %d alerts, %d malformed, %d out of place, %d refused, %d forged",
		ErrTimeout, c.Tries, last, c.Alerts, c.Malformed, c.OutOfPlace, c.Refused, c.Forged)
}

// try is one handshake of pion's, from its first flight on.
func (h *Handshake) try(ctx context.Context, g *guard, profiles []Profile, interval time.Duration) (*Session, error) {
	h.mu.Lock()
	h.guard = g
	h.tries++
	h.mu.Unlock()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer g.limit(cancel)()
	config := h.config(profiles, interval)
	if err := h.Conn.SetReadDeadline(time.Time{}); err != nil { // the try before may have left one
		return nil, err
	}
	var conn *dtls.Conn
	var err error
	if h.Role == Client {
		conn, err = dtls.ClientWithContext(ctx, g, config)
	} else {
		conn, err = dtls.ServerWithContext(ctx, g, config)
	}
	if err != nil {
		if cause := context.Cause(ctx); cause != nil && (errors.Is(cause, errStuck) || errors.Is(cause, ErrFingerprint)) {
			err = cause
		}
		if errors.Is(err, errStuck) {
			g.sayFailed()
		}
		return nil, err
	}
	s, err := newSession(conn, g, h.Role)
	if err != nil {
		g.mute()
		_ = conn.Close()
		return nil, err
	}
	return s, nil
}

func (h *Handshake) profiles() ([]Profile, error) {
	if h.Profiles == nil {
		return []Profile{AEAD_AES_128_GCM, AES128_CM_HMAC_SHA1_80}, nil
	}
	for _, p := range h.Profiles {
		if _, _, ok := p.lengths(); !ok {
			return nil, fmt.Errorf("%w: unknown SRTP profile %v", ErrConfig, p)
		}
	}
	if len(h.Profiles) == 0 {
		return nil, fmt.Errorf("%w: no SRTP profile", ErrConfig)
	}
	return h.Profiles, nil
}

func (h *Handshake) config(profiles []Profile, interval time.Duration) *dtls.Config {
	c := baseConfig(h.Certificate)
	c.FlightInterval = interval
	for _, p := range profiles {
		c.SRTPProtectionProfiles = append(c.SRTPProtectionProfiles, dtls.SRTPProtectionProfile(p))
	}
	fingerprint, _ := canonicalFingerprint(h.RemoteFingerprint)
	c.VerifyPeerCertificate = func(raw [][]byte, _ [][]*x509.Certificate) error {
		if len(raw) == 0 || fingerprintOf(raw[0]) != fingerprint {
			return ErrFingerprint
		}
		return nil
	}
	return c
}

func baseConfig(c *Certificate) *dtls.Config {
	return &dtls.Config{
		Certificates:            []tls.Certificate{c.tls},
		CipherSuites:            cipherSuites,
		ExtendedMasterSecret:    dtls.RequireExtendedMasterSecret,
		ClientAuth:              dtls.RequireAnyClientCert,
		EllipticCurves:          []elliptic.Curve{elliptic.P256, elliptic.X25519},
		InsecureSkipVerify:      true, // the fingerprint is what is verified
		InsecureSkipVerifyHello: true, // ICE has shown that the peer is where it says
		MTU:                     1200,
		LoggerFactory:           silence{},
	}
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// silence is a logger that logs nothing.
type silence struct{}

func (silence) NewLogger(string) logging.LeveledLogger { return silence{} }
func (silence) Trace(string)                           {}
func (silence) Tracef(string, ...interface{})          {}
func (silence) Debug(string)                           {}
func (silence) Debugf(string, ...interface{})          {}
func (silence) Info(string)                            {}
func (silence) Infof(string, ...interface{})           {}
func (silence) Warn(string)                            {}
func (silence) Warnf(string, ...interface{})           {}
func (silence) Error(string)                           {}
func (silence) Errorf(string, ...interface{})          {}
