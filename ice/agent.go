package ice

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/pion/ice/v3"
	"github.com/pion/logging"
	"github.com/pion/transport/v3"
	"github.com/pion/transport/v3/stdnet"
)

const (
	// defaultCheckInterval is how often every pair is checked until one answers: Meta leaves early checks unanswered, so what counts is
	// that one leaves right after it has begun to listen.
	defaultCheckInterval = 50 * time.Millisecond
	// defaultBudget bounds a Dial whose context has no deadline: a call that is not accepted within 60 s is over.
	defaultBudget = 60 * time.Second
	// maxCandidates of one peer (relay/sdp refuses more).
	maxCandidates = 16
	// mdnsName is a fixed name, so that pion does not make a random one for each call. Nothing ever asks for it: mDNS is off.
	mdnsName = "onelane.local"
)

// What a Dial failed of; test with errors.Is. The error itself is a *DialError with counts.
var (
	// ErrNoAnswer: not one candidate answered.
	ErrNoAnswer = errors.New("no candidate answered")
	// ErrRefused: every answer was an error (401, 487 and the like).
	ErrRefused = errors.New("every answer was an error")
	// ErrBudget: valid answers came, but the time was over before a pair was nominated.
	ErrBudget = errors.New("time was over before a pair was nominated")
	// ErrNoPair: no local address has the family of any candidate.
	ErrNoPair = errors.New("no candidate has the family of a local address")
	// ErrCredentials: the peer's ufrag or password is empty or longer than RFC 8839 section 5.4 allows.
	ErrCredentials = errors.New("ICE credentials are empty or too long")
)

// Counts are what happened during a Dial.
type Counts struct {
	Sent          uint64 // Binding requests
	Answers       uint64 // valid success responses
	RoleConflicts uint64 // 487 answers, survived
	Unauthorized  uint64 // 401 answers, survived
	OtherErrors   uint64 // other error answers
	Refused       uint64 // datagrams that were not let through to pion
}

// DialError says why a Dial failed.
type DialError struct {
	Cause  error // one of the sentinels above, or the context's error when the caller cancelled
	Counts Counts
}

func (e *DialError) Error() string {
	n := e.Counts
	return fmt.Sprintf("dial ICE: %v (%d checks sent, %d valid answers, %d role conflicts (487), %d unauthorized (401), %d other errors)",
		e.Cause, n.Sent, n.Answers, n.RoleConflicts, n.Unauthorized, n.OtherErrors)
}

func (e *DialError) Unwrap() error { return e.Cause }

// Local is one local address of a call.
type Local struct {
	Conn *Conn
	Addr netip.AddrPort // what the port is bound to, concrete
}

// Dialer makes the agent of one call. The Conns of Locals belong to the Dial from its start, and are closed when it fails or when the
// Path is released.
type Dialer struct {
	Local         Credentials
	Locals        []Local
	CheckInterval time.Duration // 0: 50 ms
}

// Path is a nominated pair. It never changes. Dial gives it when the nominating check is on its way, behind a valid answer of the same
// pair: a ClientHello that follows arrives behind the nomination, and a round trip is saved. The answer to it is awaited by Confirm.
type Path struct {
	Local  int            // index in Dialer.Locals
	Remote netip.AddrPort // as in the candidate
	RTT    time.Duration  // of the last answered check on this pair
	Counts Counts

	agent *ice.Agent
	watch *checker
	local Credentials
	peer  Credentials
	once  sync.Once

	connected chan struct{} // closed when the agent's Dial is over
	err       error         // of it; valid after connected
}

// Confirm waits until the peer has answered the nominating check, and brings Counts up to date. ctx of Dial has to live until then.
func (p *Path) Confirm(ctx context.Context) error {
	select {
	case <-p.connected:
		if p.watch != nil {
			p.Counts = p.watch.counts()
		}
		return p.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Release closes the agent and waits for its goroutines. Until then it goes on answering and sending checks.
func (p *Path) Release() {
	p.once.Do(func() {
		_ = p.agent.GracefulClose()
		<-p.connected
		p.agent, p.watch = nil, nil // a call keeps its Path, and need not keep 20 KB with it
	})
}

// run checks and nominates until the peer has answered, or until ctx or the agent ends.
func (p *Path) run(ctx context.Context, remote Credentials, candidates []netip.AddrPort) {
	defer close(p.connected)
	p.err = connect(ctx, p.agent, remote, candidates)
}

// Consent makes the Consent that takes over from the agent, with the agent's own tie-breaker.
func (p *Path) Consent(useCandidate bool) *Consent {
	c := NewConsent(p.local, p.peer, p.Remote, useCandidate)
	if t := p.watch.tieBreakerSeen(); t != 0 {
		c.tieBreaker = t
	}
	return c
}

// Dial checks every pair of a local address and a candidate as full, controlling agent until one is nominated, or until ctx ends.
// Early checks that go unanswered, 487 and 401 are survived: checks go on, and the role is kept, also against a peer that is not lite.
func (d *Dialer) Dial(ctx context.Context, remote Credentials, candidates []netip.AddrPort, lite bool) (*Path, error) {
	_ = lite // a lite peer is always controlled (RFC 8445 section 6.1.1), and towards a full one we insist on it
	w := newChecker(d.Local, remote, candidates)
	fail := func(cause error) (*Path, error) {
		for _, l := range d.Locals {
			_ = l.Conn.Close()
		}
		return nil, &DialError{Cause: cause, Counts: w.counts()}
	}
	if !d.Local.usable() || !remote.usable() {
		return fail(ErrCredentials)
	}
	if !d.pairs(candidates) {
		return fail(ErrNoPair)
	}
	agent, err := d.agent(ctx)
	if err != nil {
		return fail(err)
	}
	for _, l := range d.Locals {
		l.Conn.watch(w)
	}
	p := &Path{agent: agent, watch: w, local: d.Local, peer: remote, connected: make(chan struct{})}
	go p.run(ctx, remote, candidates)
	select {
	case key := <-w.nominating:
		err = d.nominated(p, key)
	case <-p.connected:
		err = p.err
		if err == nil {
			err = d.nominated(p, <-w.nominating)
		} else {
			err = cause(ctx, err, w.counts())
		}
	}
	if err != nil {
		p.Release()
		return fail(err)
	}
	p.Counts = w.counts()
	return p, nil
}

// pairs tells whether there is anything to check.
func (d *Dialer) pairs(candidates []netip.AddrPort) bool {
	if len(candidates) > maxCandidates {
		return false
	}
	for _, l := range d.Locals {
		for _, c := range candidates {
			if l.Addr.Addr().Unmap().Is4() == c.Addr().Unmap().Is4() {
				return true
			}
		}
	}
	return false
}

func connect(ctx context.Context, agent *ice.Agent, remote Credentials, candidates []netip.AddrPort) error {
	// Gathering refuses to begin without it. There is no trickle, so nobody listens.
	if err := agent.OnCandidate(func(ice.Candidate) {}); err != nil {
		return err
	}
	if err := agent.GatherCandidates(); err != nil {
		return err
	}
	for _, a := range candidates {
		c, err := ice.NewCandidateHost(&ice.CandidateHostConfig{
			Network: "udp", Address: a.Addr().Unmap().String(), Port: int(a.Port()), Component: ice.ComponentRTP, Priority: priority(a.Addr()),
		})
		if err != nil {
			return err
		}
		if err := agent.AddRemoteCandidate(c); err != nil {
			return err
		}
	}
	_, err := agent.Dial(ctx, remote.Ufrag, remote.Pwd)
	return err
}

// priority of a candidate: IPv6 before IPv4 (RFC 8421 section 4), with the values that Meta gives them. When both answer by pion's next
// tick, IPv6 it is.
func priority(a netip.Addr) uint32 {
	if a.Unmap().Is4() {
		return 2122260223
	}
	return 2122262783
}

// nominated fills in the pair.
func (d *Dialer) nominated(p *Path, key pairKey) error {
	for i, l := range d.Locals {
		if l.Conn == key.conn {
			p.Local, p.Remote, p.RTT = i, key.remote, p.watch.roundTrip(key.conn, key.remote)
			return nil
		}
	}
	return errors.New("the nominated pair has a local address that is not ours")
}

func cause(ctx context.Context, err error, n Counts) error {
	switch {
	case ctx.Err() != nil && !errors.Is(ctx.Err(), context.DeadlineExceeded):
		return context.Cause(ctx)
	case ctx.Err() == nil && !errors.Is(err, ice.ErrCanceledByCaller):
		return err
	case n.Answers > 0:
		return ErrBudget
	case n.RoleConflicts+n.Unauthorized+n.OtherErrors > 0:
		return ErrRefused
	}
	return ErrNoAnswer
}

// agent makes pion's, with what a call on known addresses needs and nothing else.
func (d *Dialer) agent(ctx context.Context) (*ice.Agent, error) {
	host, err := hostNet()
	if err != nil {
		return nil, fmt.Errorf("read the network interfaces: %w", err)
	}
	budget := defaultBudget
	if end, ok := ctx.Deadline(); ok {
		budget = time.Until(end)
	}
	interval := d.CheckInterval
	if interval <= 0 {
		interval = defaultCheckInterval
	}
	var none time.Duration
	forever := 2*budget + time.Minute // pion must not give up before ctx does
	requests := uint16(min(max(budget/interval, 1)*2, 1<<16-1))
	return ice.NewAgent(&ice.AgentConfig{
		LocalUfrag: d.Local.Ufrag, LocalPwd: d.Local.Pwd,
		NetworkTypes:         []ice.NetworkType{ice.NetworkTypeUDP4, ice.NetworkTypeUDP6},
		CandidateTypes:       []ice.CandidateType{ice.CandidateTypeHost},
		MulticastDNSMode:     ice.MulticastDNSModeDisabled,
		MulticastDNSHostName: mdnsName,
		CheckInterval:        &interval,
		MaxBindingRequests:   &requests,
		DisconnectedTimeout:  &forever, FailedTimeout: &forever,
		HostAcceptanceMinWait: &none, SrflxAcceptanceMinWait: &none, PrflxAcceptanceMinWait: &none, RelayAcceptanceMinWait: &none,
		Net: host, UDPMux: &mux{locals: d.Locals}, DisableActiveTCP: true, IncludeLoopback: true,
		LoggerFactory: silence{},
	})
}

// hostNet is pion's view of the host, made once a process: reading the interfaces for every call would cost more than the agent.
var hostNet = sync.OnceValues(func() (transport.Net, error) {
	n, err := stdnet.NewNet()
	if err != nil {
		return nil, err
	}
	return n, nil
})

// mux is what pion asks for connections instead of the host: one call's concrete addresses and nothing else, a Conn each.
type mux struct {
	locals []Local
}

func (m *mux) GetListenAddresses() []net.Addr {
	out := make([]net.Addr, len(m.locals))
	for i, l := range m.locals {
		out[i] = net.UDPAddrFromAddrPort(plain(l.Addr))
	}
	return out
}

func (m *mux) GetConn(_ string, addr net.Addr) (net.PacketConn, error) {
	u, ok := addr.(*net.UDPAddr)
	if !ok {
		return nil, net.InvalidAddrError("not a UDP address")
	}
	for _, l := range m.locals {
		if plain(l.Addr) == plain(u.AddrPort()) {
			return l.Conn, nil
		}
	}
	return nil, net.InvalidAddrError("not an address of this call")
}

// RemoveConnByUfrag does nothing: pion closes each Conn itself.
func (m *mux) RemoveConnByUfrag(string) {}

func (m *mux) Close() error { return nil }

// silence is a logger that logs nothing: pion's lines would name addresses of calls, without limit, for anybody who sends garbage.
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
