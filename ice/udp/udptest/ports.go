package udptest

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/onelane/onelane/ice/udp"
)

// ports is udp.Ports on a Network. The Network's lock guards what deliver touches; the rest is the owner's.
type ports struct {
	network *Network
	signal  chan struct{} // something in ready, or woken
	bell    udp.ChanBell

	table   []port // by udp.Port
	ready   []udp.Port
	woken   bool
	free    []udp.Port
	resting []udp.Port
	lent    [][]byte
	count   udp.Counters
	closed  bool
}

type port struct {
	local netip.AddrPort // not valid: not open
	queue []udp.Datagram
}

// portReceiver is what the Network knows of one port.
type portReceiver struct {
	ports *ports
	port  udp.Port
}

// Ports gives a set of ports on the network, as the edge sees it. Addresses must be concrete ones. What Receive has handed out is
// overwritten by the next Receive, so that a reader that keeps it is found out.
func (n *Network) Ports() udp.Ports {
	return &ports{network: n, signal: make(chan struct{}, 1), bell: make(udp.ChanBell, 1)}
}

func (p *ports) Open(local netip.AddrPort) (udp.Port, error) {
	n := p.network
	n.mu.Lock()
	defer n.mu.Unlock()
	local = netip.AddrPortFrom(local.Addr().Unmap(), local.Port())
	switch {
	case p.closed:
		return udp.NoPort, fmt.Errorf("open UDP port %s: %w", local, udp.ErrClosed)
	case !local.Addr().IsValid() || local.Addr().IsUnspecified() || local.Addr().Zone() != "":
		return udp.NoPort, fmt.Errorf("open UDP port %s: not a concrete address", local)
	case n.limit > 0 && n.opened >= n.limit:
		return udp.NoPort, fmt.Errorf("open UDP port %s: %w", local, udp.ErrExhausted)
	}
	number := udp.Port(len(p.table))
	if len(p.free) > 0 {
		number = p.free[len(p.free)-1]
	}
	local, ok := n.bind(local, portReceiver{p, number})
	if !ok {
		return udp.NoPort, fmt.Errorf("open UDP port %s: %w", local, udp.ErrInUse)
	}
	if int(number) == len(p.table) {
		p.table = append(p.table, port{})
	} else {
		p.free = p.free[:len(p.free)-1]
	}
	p.table[number] = port{local: local}
	n.opened++
	return number, nil
}

func (p *ports) Local(number udp.Port) netip.AddrPort {
	p.network.mu.Lock()
	defer p.network.mu.Unlock()
	if int(number) >= len(p.table) {
		return netip.AddrPort{}
	}
	return p.table[number].local
}

// Connect does nothing: there is no kernel to spare work.
func (p *ports) Connect(udp.Port, netip.AddrPort) error { return nil }

func (p *ports) Close(number udp.Port) {
	p.network.mu.Lock()
	defer p.network.mu.Unlock()
	p.close(number)
}

func (p *ports) close(number udp.Port) {
	if int(number) >= len(p.table) || !p.table[number].local.IsValid() {
		return
	}
	delete(p.network.bound, p.table[number].local)
	p.network.opened--
	p.table[number] = port{}
	p.resting = append(p.resting, number)
}

func (r portReceiver) deliver(from netip.AddrPort, b []byte) bool {
	p, t := r.ports, &r.ports.table[r.port]
	if len(b) > udp.MaxDatagram {
		p.count.TooLong++
		return true
	}
	if len(t.queue) >= queueLimit {
		return false
	}
	if len(t.queue) == 0 {
		p.ready = append(p.ready, r.port)
	}
	t.queue = append(t.queue, udp.Datagram{Port: r.port, Remote: from, Data: b})
	p.ring()
	return true
}

func (p *ports) ring() {
	select {
	case p.signal <- struct{}{}:
	default:
	}
}

func (p *ports) Receive(batch []udp.Datagram, wait time.Duration) (int, error) {
	for _, b := range p.lent {
		b = b[:cap(b)]
		for i := range b {
			b[i] = 0xDB
		}
	}
	p.lent = p.lent[:0]
	n, woken, err := p.take(batch, true)
	if err != nil || n > 0 || woken || wait == 0 || len(batch) == 0 {
		return n, err
	}
	var expired <-chan time.Time
	if wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		expired = timer.C
	}
	for n == 0 && !woken {
		select {
		case <-p.signal:
			n, woken, _ = p.take(batch, false)
		case <-expired:
			n, _, _ = p.take(batch, false)
			return n, nil
		}
	}
	return n, nil
}

// take fills batch with one datagram of each ready port in turn.
func (p *ports) take(batch []udp.Datagram, first bool) (n int, woken bool, err error) {
	p.network.mu.Lock()
	defer p.network.mu.Unlock()
	if p.closed {
		return 0, false, udp.ErrClosed
	}
	if first {
		p.count.Wakeups++
		p.free = append(p.free, p.resting...)
		p.resting = p.resting[:0]
	}
	for n < len(batch) && len(p.ready) > 0 {
		number := p.ready[0]
		p.ready = p.ready[1:]
		t := &p.table[number]
		if len(t.queue) == 0 { // closed meanwhile
			continue
		}
		batch[n] = t.queue[0]
		t.queue = t.queue[1:]
		if len(t.queue) > 0 {
			p.ready = append(p.ready, number)
		}
		p.lent = append(p.lent, batch[n].Data)
		p.count.Received++
		p.count.ReceivedBytes += uint64(len(batch[n].Data))
		n++
	}
	woken, p.woken = p.woken, false
	return n, woken, nil
}

func (p *ports) Send(batch []udp.Datagram) {
	p.network.mu.Lock()
	defer p.network.mu.Unlock()
	for _, d := range batch {
		var from netip.AddrPort
		if int(d.Port) < len(p.table) {
			from = p.table[d.Port].local
		}
		switch {
		case !from.IsValid() || from.Addr().Is4() != d.Remote.Addr().Is4():
			p.count.SendErrors++
		case !p.network.send(from, d.Remote, d.Data):
			p.count.SendUnreachable++
		default:
			p.count.Sent++
			p.count.SentBytes += uint64(len(d.Data))
		}
	}
}

func (p *ports) Wake() {
	p.network.mu.Lock()
	defer p.network.mu.Unlock()
	p.woken = true
	p.ring()
}

func (p *ports) Bell() udp.Bell { return p.bell }

func (p *ports) Counters() udp.Counters {
	p.network.mu.Lock()
	defer p.network.mu.Unlock()
	return p.count
}

func (p *ports) Shutdown() error {
	p.network.mu.Lock()
	defer p.network.mu.Unlock()
	if p.closed {
		return nil
	}
	p.closed = true
	close(p.bell)
	for i := range p.table {
		p.close(udp.Port(i))
	}
	return nil
}
