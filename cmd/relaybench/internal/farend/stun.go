//go:build linux

package farend

import (
	"bytes"
	"net"
	"net/netip"

	"github.com/pion/stun/v2"

	"github.com/onelane/onelane/ice"
	"github.com/onelane/onelane/ice/secure"
)

// check answers a Binding request as an ICE-lite agent does (RFC 8445 section 7.3). The first one that nominates starts the handshake.
func (e *Exchange) check(d received) {
	m := &e.question
	m.Raw = append(m.Raw[:0], d.bytes...)
	if m.Decode() != nil || m.Type != stun.BindingRequest {
		e.tally.Own.CheckFails++
		return
	}
	username, err := m.Get(stun.AttrUsername)
	if err != nil {
		e.tally.Own.CheckFails++
		return
	}
	ufrag, _, _ := bytes.Cut(username, []byte(":"))
	p := e.byUfrag[string(ufrag)]
	if p == nil {
		e.tally.Own.Strays++
		return
	}
	if p.peer.integrity.Check(m) != nil {
		e.tally.Own.CheckFails++
		return
	}
	from := address(d.name)
	mapped := &stun.XORMappedAddress{IP: net.IP(d.name.Addr[:]), Port: int(from.Port())}
	if e.reply.Build(stun.NewTransactionIDSetter(m.TransactionID), stun.BindingSuccess, mapped, p.peer.integrity, stun.Fingerprint) != nil {
		return
	}
	if e.socket.sendTo(e.reply.Raw, from) != nil {
		e.tally.Own.Unsent++
	}
	if !p.peer.remote.IsValid() && m.Contains(stun.AttrUseCandidate) {
		e.nominate(p, from)
	}
}

// nominate takes the pair for the life of the call.
func (e *Exchange) nominate(p *Phone, from netip.AddrPort) {
	if e.find(from) != nil { // two calls on one remote port: they cannot be told apart
		e.tally.Own.CheckFails++
		return
	}
	p.peer.remote = from
	setName(&p.media.name, from)
	e.remember(p)
	p.peer.conn = ice.NewConn(net.UDPAddrFromAddrPort(e.socket.local), func(b []byte, to netip.AddrPort) {
		_ = e.socket.sendTo(b, to) // a lost flight is sent again
	})
	p.peer.conn.Connect(from)
	if p.peer.known {
		e.shake(p)
	}
}

// shake starts the handshake, when there is a pair and the answer was read. A ClientHello that came before waits in the conn.
func (e *Exchange) shake(p *Phone) {
	role := secure.Server
	if p.peer.passive {
		role = secure.Client
	}
	h := &secure.Handshake{
		Role: role, Certificate: e.certificate, RemoteFingerprint: p.peer.fingerprint, Conn: p.peer.conn, Profiles: []secure.Profile{e.options.Profile},
	}
	e.handshakes.Go(func() { p.run(h) })
}

// run shakes hands and gives the keys to the exchange.
func (p *Phone) run(h *secure.Handshake) {
	session, err := h.Run(p.ctx)
	if err != nil {
		p.settle(err)
		return
	}
	defer session.Release()
	send, err := newCrypt(session.Keys.Profile, session.Keys.LocalKey, session.Keys.LocalSalt)
	if err != nil {
		p.settle(err)
		return
	}
	receive, err := newCrypt(session.Keys.Profile, session.Keys.RemoteKey, session.Keys.RemoteSalt)
	if err != nil {
		p.settle(err)
		return
	}
	p.exchange.post(func() {
		p.media.send, p.media.receive = send, receive
		p.exchange.speak(p)
		p.settle(nil)
	})
	// The relay has our last flight when its first packet authenticates; until then it may have to be sent again.
	select {
	case <-p.peer.heard:
	case <-p.ctx.Done():
	}
}
