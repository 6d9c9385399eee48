package icetest

import (
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/pion/dtls/v2/pkg/crypto/selfsign"
	"github.com/pion/stun/v2"
)

// maxDatagram is the longest datagram that is read whole; no valid packet of a call is longer than an Ethernet frame.
const maxDatagram = 1500

// socketBuffer asks the kernel for room for about 100 ms of 500 calls, so that a busy machine does not look like a lossy network.
const socketBuffer = 4 << 20

// Options of a Server. The zero value is ready.
type Options struct {
	// Public are the addresses that the SDP names, one a socket; an invalid one or a short list stands for the socket's own address.
	Public []netip.AddrPort
	// Certificate for every call; nil makes one (ECDSA P-256).
	Certificate *tls.Certificate
	// Now is the monotonic time since some origin, never 0; nil counts from a second before NewServer.
	Now func() time.Duration
	// Elsewhere is a socket of another address, only used to answer checks from when Faults.AnswerFromElsewhere says so.
	Elsewhere net.PacketConn
}

// Counters of datagrams that reached no callback.
type Counters struct {
	Received      uint64
	Strays        uint64 // belong to no call
	BadSTUN       uint64 // malformed, not a Binding request, or of a wrong integrity
	IgnoredChecks uint64 // a fault said so, or the peer's SDP is not known yet
	IgnoredDTLS   uint64 // before nomination, off the pair, or a fault said so
	Undecryptable uint64 // SRTP or SRTCP that failed authentication, or a replay
	BeforeKeys    uint64 // SRTP or SRTCP before the handshake was over, and not kept
	Malformed     uint64 // neither STUN, DTLS, RTP nor RTCP
	SendErrors    uint64
}

// Server serves calls on the sockets it was given. All methods may be called from any goroutine.
type Server struct {
	sockets     []*socket
	elsewhere   *socket
	certificate tls.Certificate
	fingerprint string
	now         func() time.Duration
	pace        *pacer

	turn sync.Mutex // held while a datagram is judged: callbacks come one at a time

	mu       sync.Mutex // guards what follows
	byUfrag  map[string]*Call
	byPair   map[Pair]*Call
	counters Counters
	closed   bool

	run sync.WaitGroup
}

// NewServer serves on conns, one an address family, and owns them from now on. At least one is needed.
func NewServer(conns []net.PacketConn, o Options) (*Server, error) {
	if len(conns) == 0 {
		return nil, errors.New("icetest: no socket")
	}
	s := &Server{now: o.Now, byUfrag: map[string]*Call{}, byPair: map[Pair]*Call{}}
	if s.now == nil {
		origin := time.Now().Add(-time.Second) // so that no time is 0, which means that it has not come
		s.now = func() time.Duration { return time.Since(origin) }
	}
	if o.Certificate != nil {
		s.certificate = *o.Certificate
	} else {
		c, err := selfsign.GenerateSelfSigned()
		if err != nil {
			return nil, err
		}
		s.certificate = c
	}
	s.fingerprint = fingerprintOf(s.certificate.Certificate[0])
	for i, c := range conns {
		k, err := newSocket(c, i)
		if err != nil {
			return nil, err
		}
		if i < len(o.Public) && o.Public[i].IsValid() {
			k.public = o.Public[i]
		}
		s.sockets = append(s.sockets, k)
	}
	if o.Elsewhere != nil {
		k, err := newSocket(o.Elsewhere, -1)
		if err != nil {
			return nil, err
		}
		s.elsewhere = k
	}
	s.pace = newPacer(s.now)
	s.run.Add(1 + len(s.sockets))
	go s.pace.run(&s.run)
	for _, k := range s.sockets {
		go k.run(s)
	}
	return s, nil
}

// Now is the time on the server's clock.
func (s *Server) Now() time.Duration { return s.now() }

// Fingerprint is the SHA-256 of the server's certificate as the SDP writes it.
func (s *Server) Fingerprint() string { return s.fingerprint }

// Addresses are the public addresses, one a socket.
func (s *Server) Addresses() []netip.AddrPort {
	out := make([]netip.AddrPort, len(s.sockets))
	for i, k := range s.sockets {
		out[i] = k.public
	}
	return out
}

// Counters copies the counters.
func (s *Server) Counters() Counters {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counters
}

// Schedule runs task on the pacing goroutine at the time at, and again for as long as it says so, at the time it returns. Tasks share
// one goroutine and one timer: they must not block. Times are met within a millisecond, and tasks due at the same time run together.
func (s *Server) Schedule(at time.Duration, task func(now time.Duration) (next time.Duration, again bool)) {
	s.pace.add(at, task)
}

// Close ends every call without a farewell, closes the sockets and waits for all goroutines. It must not be called from a callback.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closed = true
	calls := make([]*Call, 0, len(s.byUfrag))
	for _, c := range s.byUfrag {
		calls = append(calls, c)
	}
	s.mu.Unlock()
	for _, c := range calls {
		c.end(false)
	}
	s.pace.stop()
	var err error
	for _, k := range s.sockets {
		err = errors.Join(err, k.conn.Close())
	}
	if s.elsewhere != nil {
		err = errors.Join(err, s.elsewhere.conn.Close())
	}
	s.run.Wait()
	return err
}

func (s *Server) count(add func(*Counters)) {
	s.mu.Lock()
	add(&s.counters)
	s.mu.Unlock()
}

// datagram judges one datagram. It is called by the readers, and holds the turn.
func (s *Server) datagram(k *socket, from netip.AddrPort, b []byte) {
	s.turn.Lock()
	defer s.turn.Unlock()
	now := s.now()
	p := Pair{Local: k.index, Remote: from}
	if len(b) > 0 && b[0] < 4 { // RFC 7983 section 7
		s.binding(now, k, p, b)
		return
	}
	s.mu.Lock()
	s.counters.Received++
	c := s.byPair[p]
	if c == nil {
		s.counters.Strays++
	}
	s.mu.Unlock()
	if c == nil || c.deaf(p) {
		return
	}
	switch {
	case len(b) > 12 && b[0] >= 20 && b[0] < 64:
		c.record(now, p, b)
	case len(b) >= 12 && b[0] >= 128 && b[0] < 192:
		c.media(now, p, b)
	default:
		s.count(func(n *Counters) { n.Malformed++ })
	}
}

// NewCall opens a call. Its checks are ignored until SetRemote says who the peer is.
func (s *Server) NewCall(o CallOptions) (*Call, error) {
	ufrag, err := random64(12) // 16 characters, as Meta's
	if err != nil {
		return nil, err
	}
	pwd, err := random64(16) // 22 characters and "==", as Meta's
	if err != nil {
		return nil, err
	}
	for o.SSRC == 0 {
		o.SSRC = random32()
	}
	c := &Call{server: s, options: o, ufrag: ufrag, pwd: pwd, born: s.now()}
	c.timings.Opened = c.born
	c.integrity = stun.NewShortTermIntegrity(pwd)
	c.setFaults(o.Faults)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, net.ErrClosed
	}
	s.byUfrag[ufrag] = c
	return c, nil
}

// claim makes a pair the call's. An address that is another living call's is taken over: the later check wins, as at Meta.
func (s *Server) claim(c *Call, p Pair) (shared bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.byPair[p]
	if old == c || c.pairs >= maxPairs {
		return false
	}
	c.pairs++
	s.byPair[p] = c
	return old != nil
}

func (s *Server) forget(c *Call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.byUfrag, c.ufrag)
	for p, o := range s.byPair {
		if o == c {
			delete(s.byPair, p)
		}
	}
}

func random64(n int) (string, error) {
	b := make([]byte, n)
	if _, err := rand.Read(b); err != nil {
		return "", err
	}
	return base64.StdEncoding.EncodeToString(b), nil
}
