package icetest

import (
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/stun/v2"
)

// DTLSRole says who sends the ClientHello.
type DTLSRole uint8

const (
	// RoleServer waits for the peer's ClientHello.
	RoleServer DTLSRole = 1 + iota
	// RoleClient sends a ClientHello as soon as a pair is nominated.
	RoleClient
)

func (r DTLSRole) String() string {
	switch r {
	case RoleServer:
		return "server"
	case RoleClient:
		return "client"
	}
	return "none"
}

// Keepalives says what checks on the nominated pair must look like to be answered.
type Keepalives uint8

const (
	// KeepalivesAny are answered with and without USE-CANDIDATE.
	KeepalivesAny Keepalives = iota
	// KeepalivesNominating are only answered with USE-CANDIDATE: some lite servers are like that.
	KeepalivesNominating
	// KeepalivesPlain are only answered without USE-CANDIDATE.
	KeepalivesPlain
)

// Faults are what the far end does wrong on purpose. Durations count from NewCall. They can be changed at any time with SetFaults.
type Faults struct {
	IgnoreChecksFor     time.Duration // checks go unanswered, as at Meta before pre_accept
	Answer487For        time.Duration // and then are answered with 487 Role Conflict until this age of the call
	StopAnswersAt       time.Duration // from this age on checks go unanswered; 0: never
	IgnoreHellosFor     time.Duration // ClientHellos are ignored, as at Meta when they come too early
	AnswerFromElsewhere bool          // checks are answered from Options.Elsewhere
	DropIPv4, DropIPv6  bool          // the family is dead: nothing is received from it or sent to it
	WrongFingerprint    bool          // our SDP has a fingerprint that is not our certificate's
	Keepalives          Keepalives
}

// CallOptions of a call. Callbacks may call any method of the Call and the Server but Server.Close.
type CallOptions struct {
	Faults   Faults
	Profiles []Profile // nil: AEAD_AES_128_GCM, AES128_CM_HMAC_SHA1_80
	SSRC     uint32    // ours, as the SDP names it; 0: random
	// FlightInterval of DTLS retransmits; 0: 200 ms.
	FlightInterval time.Duration

	OnBreach  func(Breach)
	OnCheck   func(Check)
	OnSecure  func(now time.Duration, p Profile) // keys are there
	OnFailure func(now time.Duration, err error) // a handshake failed; the next ClientHello starts another
	OnClosed  func(now time.Duration)            // the peer sent a DTLS close_notify
}

// Remote is what the peer's SDP says.
type Remote struct {
	Ufrag       string
	Fingerprint string   // SHA-256, upper-case hex
	Role        DTLSRole // ours; 0: server
}

// Timings are times on the server's clock; 0 has not happened.
type Timings struct {
	Opened     time.Duration // NewCall
	FirstCheck time.Duration // first authenticated check, answered or not
	Nominated  time.Duration
	FirstDTLS  time.Duration // first DTLS record that was not ignored
	Secure     time.Duration // keys ready
	FirstMedia time.Duration // first authentic RTP packet
	LastCheck  time.Duration // last authenticated check on the nominated pair
}

// Call is the far end of one call.
type Call struct {
	server    *Server
	options   CallOptions
	ufrag     string
	pwd       string
	integrity stun.MessageIntegrity
	born      time.Duration

	dead   atomic.Uint32 // families that Faults killed: deadIPv4, deadIPv6
	onRTP  atomic.Pointer[func(now time.Duration, h *rtp.Header, payload []byte)]
	onRTCP atomic.Pointer[func(now time.Duration, compound []byte)]
	keys   atomic.Pointer[keying]
	early  []earlyPacket // under the server's turn

	mu      sync.Mutex // guards what follows
	faults  Faults
	remote  Remote
	conduct Conduct
	timings Timings
	checks  uint64
	assoc   *association
	ended   bool

	pairs int // claimed; guarded by the server's mu
}

// ErrNotReady: no keys yet, or the call has ended.
var ErrNotReady = errors.New("icetest: no SRTP keys")

// Ufrag is the call's own, and what USERNAME must begin with.
func (c *Call) Ufrag() string { return c.ufrag }

// Pwd is the call's own, with the base64 padding that Meta's have.
func (c *Call) Pwd() string { return c.pwd }

// SetRemote tells who the peer is. Only now its checks are answered.
func (c *Call) SetRemote(r Remote) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.Role == 0 {
		r.Role = RoleServer
	}
	c.remote = r
}

// SetFaults changes the faults.
func (c *Call) SetFaults(f Faults) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.setFaults(f)
}

const deadIPv4, deadIPv6 = 1, 2

func (c *Call) setFaults(f Faults) {
	c.faults = f
	var dead uint32
	if f.DropIPv4 {
		dead |= deadIPv4
	}
	if f.DropIPv6 {
		dead |= deadIPv6
	}
	c.dead.Store(dead)
}

// Faults returns the faults as they are.
func (c *Call) Faults() Faults {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.faults
}

// OnRTP is called with every authentic RTP packet: its arrival, and header and payload as sent (with padding), valid during the call.
func (c *Call) OnRTP(f func(now time.Duration, h *rtp.Header, payload []byte)) { c.onRTP.Store(&f) }

// OnRTCP is called with every authentic compound RTCP packet.
func (c *Call) OnRTCP(f func(now time.Duration, compound []byte)) { c.onRTCP.Store(&f) }

// Timings copies the times.
func (c *Call) Timings() Timings {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.timings
}

// Breaches are the rules that the peer broke so far.
func (c *Call) Breaches() []Breach {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.conduct.Breaches()
}

// Checks is how many authenticated checks came.
func (c *Call) Checks() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.checks
}

// Path is the nominated pair: our public address and the peer's address.
func (c *Call) Path() (local, remote netip.AddrPort, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p, ok := c.conduct.Nominated()
	if !ok {
		return local, remote, false
	}
	return c.server.sockets[p.Local].public, p.Remote, true
}

// SendDatagram sends b as it is over the nominated pair: for tests of hostile input.
func (c *Call) SendDatagram(b []byte) error {
	c.mu.Lock()
	p, ok := c.conduct.Nominated()
	ok = ok && !c.ended && !c.deaf(p)
	c.mu.Unlock()
	if !ok {
		return ErrNotReady
	}
	return c.server.send(p, b)
}

// Close hangs up: a DTLS close_notify, and from now on nothing is sent and nothing is answered.
func (c *Call) Close() { c.end(true) }

// Drop vanishes: as Close, but without a farewell.
func (c *Call) Drop() { c.end(false) }

func (c *Call) end(farewell bool) {
	c.mu.Lock()
	ended, a := c.ended, c.assoc
	c.ended = true
	c.mu.Unlock()
	if ended {
		return
	}
	c.server.forget(c)
	if a != nil {
		a.stop(farewell)
	}
	c.keys.Store(nil)
}

// deaf says that a fault has killed the pair's address family.
func (c *Call) deaf(p Pair) bool {
	dead := c.dead.Load()
	if dead == 0 {
		return false
	}
	if p.Remote.Addr().Is4() {
		return dead&deadIPv4 != 0
	}
	return dead&deadIPv6 != 0
}

func (c *Call) report(breaches []Breach) {
	if c.options.OnBreach == nil {
		return
	}
	for _, b := range breaches {
		c.options.OnBreach(b)
	}
}

func (s *Server) send(p Pair, b []byte) error {
	err := s.sockets[p.Local].write(b, p.Remote)
	if err != nil {
		s.count(func(n *Counters) { n.SendErrors++ })
	}
	return err
}
