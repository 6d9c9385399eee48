package relay

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"net"
	"sync"
	"time"

	"github.com/onelane/onelane/ice"
	"github.com/onelane/onelane/ice/secure"
	"github.com/onelane/onelane/ice/udp"
	"github.com/onelane/onelane/relay/sdp"
	"github.com/onelane/onelane/relay/shard"
)

// answerTimeout bounds how long a business-initiated call waits for Meta's answer while its controller lives: longer than any phone rings.
const answerTimeout = 3 * time.Minute

// closeTimeout is how long the end of a call waits for its writers. One that takes longer goes on by itself, and its call is told as
// ended without its result.
const closeTimeout = 5 * time.Second

// Call is one call in the control plane: dial, secure, gated, live, ended. Its media state is with its shard. It has a goroutine
// (Call.run) while it is set up and one (Call.finish) while it ends, and none in between.
type Call struct {
	// These never change once made is closed.
	server      *Server
	id, tenant  string
	key         string // a name without personal data, for logs and files
	labels      map[string]string
	direction   CallDirection
	offer       [sha256.Size]byte // of Meta's offer: tells a repeated Create from a different one
	lease       time.Duration
	serial      uint64
	at          int // which shard
	shard       *shard.Shard
	ref         shard.Ref
	number      uint16 // of its port
	ports       []udp.Port
	conns       []*ice.Conn
	locals      []ice.Local
	credentials ice.Credentials
	ssrc        uint32
	cname       string
	local       sdp.Local
	localSDP    string
	created     time.Duration

	made     chan struct{} // closed when Create is through
	failed   error         // why Create failed; valid after made
	ctx      context.Context
	cancel   context.CancelFunc
	setup    sync.WaitGroup // Call.run
	finished chan struct{}  // closed when everything of the call is closed

	attaching sync.Mutex // serialises Attach, Detach, Select and the end; taken before mu

	mu    sync.Mutex // guards what follows
	state callState
}

// callState is what changes in a call's life.
type callState struct {
	state       State
	gate        bool
	answer      [sha256.Size]byte // of Meta's answer
	remote      *sdp.Remote
	started     time.Duration // what timings count from
	renewed     time.Duration
	path        *ice.Path
	role        secure.Role
	profile     string
	handshake   *secure.Handshake
	session     *secure.Session
	timings     Timings
	attachments []*attachment
	serials     uint32 // the last attachment's number
	source      uint32
	endedAt     time.Duration
	reason      EndReason
	message     string
	last        shard.Stats // when it ended
}

func newCall(s *Server, n NewCall, serial uint64, at int) *Call {
	c := &Call{
		server:    s,
		id:        n.ID,
		tenant:    n.Tenant,
		key:       s.key(serial),
		labels:    maps.Clone(n.Labels),
		direction: n.Direction,
		offer:     sha256.Sum256([]byte(n.Offer)),
		lease:     n.Lease,
		serial:    serial,
		at:        at,
		shard:     s.shards[at],
		ssrc:      max(1, random32()),
		cname:     fmt.Sprintf("%08x%08x", random32(), random32()),
		created:   s.now(),
		made:      make(chan struct{}),
		finished:  make(chan struct{}),
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.state = callState{state: StateDialing, started: c.created, renewed: c.created}
	return c
}

// start begins the set-up against what Meta's SDP says. It returns false when the call has ended already.
func (c *Call) start(remote *sdp.Remote) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state.state == StateEnded {
		return false
	}
	c.state.remote = remote
	c.setup.Add(1)
	c.server.sessions.Add(1)
	go c.run(remote)
	return true
}

// run sets the call up: a nominated pair, then keys. It ends when media can flow, or the call.
func (c *Call) run(remote *sdp.Remote) {
	defer c.server.sessions.Done()
	defer c.setup.Done()
	ctx, cancel := context.WithTimeout(c.ctx, c.server.config.Calls.SetupTimeout)
	defer cancel()
	c.shard.Wait(func(t *shard.Turn) { t.Core.Describe(c.ref, remote.OpusPT, remote.DTMFPT) })
	path, err := c.dial(ctx, remote)
	if err != nil {
		if c.ctx.Err() == nil {
			c.end(EndICEFailed, err.Error())
		}
		return
	}
	defer func() {
		path.Release()
		c.shard.Do(func(t *shard.Turn) { t.Core.ForgetAgent(c.ref) })
	}()
	if err := c.secure(ctx, remote, path); err != nil {
		switch {
		case c.ctx.Err() != nil:
		case errors.Is(err, secure.ErrFingerprint):
			c.end(EndFingerprintMismatch, err.Error())
		default:
			c.end(EndDTLSFailed, err.Error())
		}
		return
	}
	if err := path.Confirm(ctx); err != nil && c.ctx.Err() == nil { // nearly always long ago: DTLS went over the pair
		c.end(EndICEFailed, "the peer never confirmed the nomination: "+err.Error())
	}
}

// dial finds the pair that the call uses for life, and hands it to the shard.
func (c *Call) dial(ctx context.Context, remote *sdp.Remote) (*ice.Path, error) {
	s := c.server
	peer := ice.Credentials{Ufrag: remote.Ufrag, Pwd: remote.Pwd}
	d := &ice.Dialer{Local: c.credentials, Locals: c.locals}
	path, err := d.Dial(ctx, peer, remote.Candidates, remote.Lite)
	if err != nil {
		return nil, err
	}
	consent := path.Consent(s.config.Media.ConsentUseCandidate)
	conn := ice.NewConn(net.UDPAddrFromAddrPort(c.locals[path.Local].Addr), c.conns[path.Local].Send())
	conn.Connect(path.Remote)
	c.mu.Lock()
	c.state.path = path
	c.state.handshake = &secure.Handshake{
		Role:              role(remote),
		Certificate:       s.certs,
		RemoteFingerprint: remote.Fingerprint,
		Conn:              conn,
		FlightInterval:    flightInterval(path.RTT),
	}
	c.mu.Unlock()
	c.shard.Wait(func(t *shard.Turn) {
		spare, _ := t.Core.Nominate(t.Now, c.ref, path.Local, path.Remote, consent, conn)
		for _, p := range spare {
			t.Ports.Close(p)
		}
		if err := t.Ports.Connect(c.ports[path.Local], path.Remote); err != nil {
			c.server.log.Debug("a media port works unconnected", "call", c.key, "error", err)
		}
	})
	c.reached(StateSecuring, EventICEConnected)
	return path, nil
}

// secure runs the DTLS handshake on the nominated pair and gives the keys to the shard.
func (c *Call) secure(ctx context.Context, remote *sdp.Remote, path *ice.Path) error {
	c.mu.Lock()
	h := c.state.handshake
	c.mu.Unlock()
	link := newTurnstile(h.Conn, c.server.turns)
	h.Conn = link // before Run, which alone reads it
	session, err := h.Run(ctx)
	link.done()
	if err != nil {
		return err
	}
	opener, err := secure.NewOpener(session.Keys)
	if err != nil {
		return err
	}
	sealer, err := secure.NewSealer(session.Keys)
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.state.session, c.state.role, c.state.profile = session, h.Role, session.Keys.Profile.String()
	c.state.handshake = nil
	c.mu.Unlock()
	c.reached(StateGated, EventDTLSConnected)
	c.shard.Wait(func(t *shard.Turn) { t.Core.Secure(c.ref, opener, sealer) })
	if h.Role == secure.Client {
		c.releaseDTLS() // the server has answered our last flight; as server we keep it until the client's first SRTP
	}
	return nil
}

// releaseDTLS lets the handshake's connection go.
func (c *Call) releaseDTLS() {
	c.mu.Lock()
	session := c.state.session
	c.mu.Unlock()
	if session != nil {
		session.Release()
		c.shard.Do(func(t *shard.Turn) { t.Core.ForgetDTLS(c.ref) })
	}
}

// role is ours in the handshake: client, unless the peer insists on that.
func role(r *sdp.Remote) secure.Role {
	if r.Client() {
		return secure.Client
	}
	return secure.Server
}

// flightInterval is how long a DTLS flight waits for its answer before it is sent again: one and a half round trips, within bounds that
// keep a lost flight short and a slow path from being flooded.
func flightInterval(rtt time.Duration) time.Duration {
	return min(max(rtt*3/2, 100*time.Millisecond), 250*time.Millisecond)
}

// reached moves the call forward and tells it with the time it took.
func (c *Call) reached(state State, kind EventKind) {
	c.mu.Lock()
	st := &c.state
	if st.state >= StateEnded {
		c.mu.Unlock()
		return
	}
	since := c.server.now() - st.started
	switch kind {
	case EventICEConnected:
		st.timings.ICE = since
	case EventDTLSConnected:
		st.timings.DTLS = since
	}
	if state == StateGated && st.gate {
		state = StateLive
	}
	st.state = max(st.state, state)
	c.mu.Unlock()
	c.server.event(c, Event{Kind: kind, Since: since})
}

// renew puts the end of the lease off.
func (c *Call) renew(now time.Duration) {
	c.mu.Lock()
	c.state.renewed = now
	c.mu.Unlock()
}

// sweep is the call's share of Server.sweep. It tells whether the lease is over.
func (c *Call) sweep(now time.Duration, watched bool) (expired bool) {
	c.mu.Lock()
	st := &c.state
	if watched {
		st.renewed = now
	}
	expired = now-st.renewed > c.lease
	unanswered := st.remote == nil && now-c.created > answerTimeout
	attachments := st.attachments
	c.mu.Unlock()
	if unanswered {
		c.end(EndSetupTimeout, fmt.Sprintf("Meta's answer did not come within %v of our offer", answerTimeout))
		return false
	}
	for _, a := range attachments {
		a.watchStall(c)
	}
	return expired
}

// end ends the call, once: later reasons are ignored. It does not wait; finished is closed when everything is.
func (c *Call) end(reason EndReason, message string) {
	c.mu.Lock()
	st := &c.state
	if st.state == StateEnded {
		c.mu.Unlock()
		return
	}
	st.state, st.reason, st.message, st.endedAt = StateEnded, reason, message, c.server.now()
	c.mu.Unlock()
	c.cancel()
	c.server.sessions.Add(1)
	go c.finish()
}

// finish takes the call apart: set-up first, then its media, then what its attachments have open.
func (c *Call) finish() {
	defer c.server.sessions.Done()
	defer close(c.finished)
	c.setup.Wait()
	c.attaching.Lock()
	defer c.attaching.Unlock()
	c.farewell()
	var gone shard.Removed
	c.shard.Wait(func(t *shard.Turn) {
		gone, _ = t.Core.Remove(t.Now, c.ref)
		for _, p := range gone.Ports {
			t.Ports.Close(p)
		}
	})
	for _, conn := range c.conns {
		conn.Close()
	}
	c.mu.Lock()
	c.state.last = gone.Stats
	attachments := c.state.attachments
	c.mu.Unlock()
	c.closeAttachments(attachments, gone.Mark)
	c.server.over(c)
	c.mu.Lock()
	reason, message := c.state.reason, c.state.message
	c.mu.Unlock()
	c.server.event(c, Event{Kind: EventCallEnded, Reason: reason, Message: message})
	if reason == EndRequested {
		message = "" // a controller's words may have anything in them
	}
	c.server.log.Info("call ended", "call", c.key, "reason", reason.String(), "message", message)
}

// farewell says close_notify to the peer, so that it need not wait for consent to expire.
func (c *Call) farewell() {
	c.mu.Lock()
	session, path := c.state.session, c.state.path
	c.mu.Unlock()
	if session == nil || path == nil {
		return
	}
	send := c.conns[path.Local].Send()
	session.Farewell(func(b []byte) { send(b, path.Remote) })
	session.Release()
}

// over gives back what an ended call had taken.
func (s *Server) over(c *Call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.bySerial, c.serial)
	s.live--
	s.load[c.at]--
	s.ranges[c.at].give(s.now(), c.number)
	s.ended = append(s.ended, endedCall{id: c.id, at: s.now()})
}
