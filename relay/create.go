package relay

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"
	"unicode/utf8"

	"github.com/onelane/onelane/ice"
	"github.com/onelane/onelane/ice/udp"
	"github.com/onelane/onelane/relay/sdp"
	"github.com/onelane/onelane/relay/shard"
)

// Bounds of a request.
const (
	maxID         = 256
	maxTenant     = 64
	maxLabels     = 16
	maxLabelKey   = 64
	maxLabelValue = 256
	// portTries is how many port numbers are tried when others on this host have bound the first: some milliseconds at the most.
	portTries = 256
)

// Create makes a call. With Meta's offer its answer is in the View and the checks run already; without one, our offer is. Create with the
// id of a live call gives that call, unchanged, if everything else is the same too.
func (s *Server) Create(ctx context.Context, n NewCall) (View, error) {
	if err := s.validate(&n); err != nil {
		return View{}, err
	}
	var remote *sdp.Remote
	if n.Direction == UserInitiated {
		var err error
		if remote, err = sdp.ParseOffer(n.Offer, s.allow); err != nil {
			return View{}, sdpError("offer", err)
		}
	}
	c, existing, err := s.reserve(n)
	if err != nil {
		return View{}, err
	}
	if existing {
		return s.again(ctx, c, n)
	}
	if err := c.open(remote); err != nil {
		s.unreserve(c, err)
		return View{}, err
	}
	close(c.made)
	s.event(c, Event{Kind: EventCallCreated})
	if remote != nil {
		c.start(remote)
	}
	return c.view(), nil
}

func (s *Server) validate(n *NewCall) error {
	switch {
	case n.ID == "" || len(n.ID) > maxID || !utf8.ValidString(n.ID):
		return fail(InvalidArgument, "CALL_ID", "call_id", "has to be 1 to %d bytes of UTF-8: use the id of the webhook", maxID)
	case len(n.Tenant) > maxTenant || !utf8.ValidString(n.Tenant):
		return fail(InvalidArgument, "TENANT", "tenant", "has to be at most %d bytes of UTF-8", maxTenant)
	case len(n.Labels) > maxLabels:
		return fail(InvalidArgument, "LABELS", "labels", "%d labels, at most %d", len(n.Labels), maxLabels)
	case n.Direction == UserInitiated && n.Offer == "":
		return fail(InvalidArgument, "OFFER_MISSING", "offer", "a user-initiated call needs the SDP of the connect webhook")
	case n.Direction == BusinessInitiated && n.Offer != "":
		return fail(InvalidArgument, "OFFER_UNEXPECTED", "offer", "a business-initiated call makes the offer itself: leave this empty and give Meta's SDP to ApplyAnswer")
	case n.Direction != UserInitiated && n.Direction != BusinessInitiated:
		return fail(InvalidArgument, "DIRECTION", "direction", "has to be user-initiated or business-initiated")
	case n.Lease < 0 || n.Lease > s.config.Calls.MaxLease:
		return fail(InvalidArgument, "LEASE", "lease", "has to be at most %v (calls.max_lease)", s.config.Calls.MaxLease)
	}
	for k, v := range n.Labels {
		if k == "" || len(k) > maxLabelKey || len(v) > maxLabelValue || !utf8.ValidString(k) || !utf8.ValidString(v) {
			return fail(InvalidArgument, "LABELS", "labels", "a key has 1 to %d bytes and a value at most %d, both UTF-8", maxLabelKey, maxLabelValue)
		}
	}
	if n.Lease == 0 {
		n.Lease = s.config.Calls.Lease
	}
	return nil
}

// reserve takes the id, a place on a shard, and one of the calls that fit.
func (s *Server) reserve(n NewCall) (c *Call, existing bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.calls[n.ID]; c != nil {
		return c, true, nil
	}
	if s.draining {
		return nil, false, fail(Unavailable, "DRAINING", "", "this edge is shutting down: create the call on another")
	}
	if s.live >= s.capacity.calls {
		return nil, false, fail(Exhausted, "CALLS_EXHAUSTED", "", "this edge holds %d calls, as many as fit (%s): try again when some have ended, or on another edge", s.live, s.capacity.by)
	}
	at := 0
	for i, load := range s.load {
		if load < s.load[at] {
			at = i
		}
	}
	s.serial++
	c = newCall(s, n, s.serial, at)
	s.calls[c.id], s.bySerial[c.serial] = c, c
	s.live++
	s.load[at]++
	return c, false, nil
}

// unreserve gives back what reserve took, after open failed.
func (s *Server) unreserve(c *Call, err error) {
	s.mu.Lock()
	delete(s.calls, c.id)
	delete(s.bySerial, c.serial)
	s.live--
	s.load[c.at]--
	s.mu.Unlock()
	c.failed = err
	close(c.made)
	c.cancel()
}

// again answers a Create that was repeated.
func (s *Server) again(ctx context.Context, c *Call, n NewCall) (View, error) {
	select {
	case <-c.made:
	case <-ctx.Done():
		return View{}, ctx.Err()
	}
	if c.failed != nil {
		return View{}, c.failed
	}
	if c.tenant != n.Tenant || c.direction != n.Direction || c.offer != sha256.Sum256([]byte(n.Offer)) {
		return View{}, fail(AlreadyExists, "CALL_EXISTS", "call_id", "this id is taken by a call with another tenant, direction or offer")
	}
	c.renew(s.now())
	return c.view(), nil
}

// sdpError turns a refused description into the API's error.
func sdpError(field string, err error) error {
	var e *sdp.Error
	if !errors.As(err, &e) {
		return fail(InvalidArgument, "SDP", field, "%v", err)
	}
	return &Error{Code: InvalidArgument, Reason: "SDP_REFUSED", Field: field, Line: e.Line, Message: fmt.Sprintf("%s (rule %s)", e.Message, e.Rule)}
}

// open gives a new call its port, its credentials and its SDP.
func (c *Call) open(remote *sdp.Remote) error {
	s := c.server
	creds, err := ice.NewCredentials()
	if err != nil {
		return fail(Internal, "RANDOM", "", "no random numbers: %v", err)
	}
	c.credentials = creds
	number, err := c.bind()
	if err != nil {
		return err
	}
	c.number = number
	c.local = sdp.Local{
		SessionID:   uint64(random32())<<31 | uint64(random32()),
		Ufrag:       creds.Ufrag,
		Pwd:         creds.Pwd,
		Fingerprint: s.certs.Fingerprint(),
		SSRC:        c.ssrc,
		CNAME:       c.cname,
		MSID:        fmt.Sprintf("%08x%08x", random32(), random32()),
	}
	for _, a := range s.config.Media.Addresses {
		c.local.Candidates = append(c.local.Candidates, netip.AddrPortFrom(a.Public, number))
	}
	if remote == nil {
		c.localSDP = sdp.Offer(c.local)
	} else {
		c.localSDP = sdp.Answer(remote, c.local)
	}
	return nil
}

// bind opens a port number on every local address and gives the call to its shard.
func (c *Call) bind() (uint16, error) {
	s := c.server
	for range portTries {
		now := s.now()
		s.mu.Lock()
		number, ok := s.ranges[c.at].take(now)
		s.mu.Unlock()
		if !ok {
			break
		}
		err := c.bindTo(number)
		if err == nil {
			return number, nil
		}
		s.mu.Lock()
		s.ranges[c.at].give(now, number)
		s.mu.Unlock()
		switch {
		case errors.Is(err, udp.ErrInUse):
			continue // somebody else's socket: the number rests, the next is tried
		case errors.Is(err, udp.ErrExhausted):
			return 0, fail(Exhausted, "DESCRIPTORS_EXHAUSTED", "", "the process has no descriptor left for a port: raise its limit (LimitNOFILE) or lower calls.max")
		default:
			s.log.Error("cannot open a media port", "call", c.key, "error", err)
			return 0, fail(Unavailable, "PORT_FAILED", "", "cannot open a media port: the log of the edge says why; check media.addresses")
		}
	}
	return 0, fail(Exhausted, "PORTS_EXHAUSTED", "", "no free media port: try again in %v (media.port_rest), widen media.port_min to port_max, or find what else on this host has bound ports of that range", s.config.Media.PortRest)
}

func (c *Call) bindTo(number uint16) (err error) {
	ok := c.shard.Wait(func(t *shard.Turn) {
		var ports []udp.Port
		for _, a := range c.server.config.Media.Addresses {
			var p udp.Port
			if p, err = t.Ports.Open(netip.AddrPortFrom(a.Local, number)); err != nil {
				for _, p := range ports {
					t.Ports.Close(p)
				}
				return
			}
			ports = append(ports, p)
		}
		c.conns, c.locals = nil, nil
		for _, p := range ports {
			at := t.Ports.Local(p)
			conn := ice.NewConn(net.UDPAddrFromAddrPort(at), func(b []byte, to netip.AddrPort) { c.shard.Write(p, to, b) })
			c.conns = append(c.conns, conn)
			c.locals = append(c.locals, ice.Local{Conn: conn, Addr: at})
		}
		c.ports = ports
		c.ref = t.Core.Add(shard.NewCall{
			Owner: c.serial,
			Ports: ports,
			Setup: c.conns,
			SSRC:  c.ssrc,
			Base:  random32(),
			Seq:   uint16(random32() & 0x7FFF),
			CNAME: c.cname,
			Phase: time.Duration(random32()) % time.Second,
		})
	})
	if !ok {
		return fail(Unavailable, "SHARD_ENDED", "", "the part of the edge that would hold this call has stopped")
	}
	return err
}
