package udp

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// portableSlots is how many received datagrams wait at most; when all are taken the readers stop and the kernel's buffers fill.
const portableSlots = 256

// portablePorts is the same contract on the standard library alone, for systems to develop on: a goroutine a port reads into slots
// that it takes from a free list and hands to Receive through a channel. It is compiled everywhere so that it is tested everywhere.
// Send may wait here while a socket's buffer is full: the standard library has no way to try.
type portablePorts struct {
	options Options

	conns   []portablePort // by Port
	free    []Port
	resting []Port // closed since the last Receive: free from the next one on

	slab    []byte
	slots   chan int32 // free slots
	arrived chan arrival
	lent    []int32 // slots of the last batch
	wakes   chan struct{}
	bell    ChanBell
	running sync.WaitGroup
	timer   *time.Timer
	count   Counters
	closed  bool

	tooLong, receiveErrors atomic.Uint64 // counted by the readers
}

// portablePort is an open port, or, with no conn, none.
type portablePort struct {
	conn       *net.UDPConn
	local      netip.AddrPort
	generation uint32
	gone       chan struct{} // closed by Close: a reader that waits for a slot gives up
}

type arrival struct {
	port       Port
	generation uint32
	slot       int32
	length     int
	from       netip.AddrPort
}

func newPortable(o Options) *portablePorts {
	p := &portablePorts{
		options: o,
		slab:    make([]byte, portableSlots*(MaxDatagram+slack)),
		slots:   make(chan int32, portableSlots),
		arrived: make(chan arrival, portableSlots), // as many as slots: a reader with a slot never blocks here
		wakes:   make(chan struct{}, 1),
		bell:    make(ChanBell, 1),
		timer:   time.NewTimer(0),
	}
	p.timer.Stop()
	for i := range int32(portableSlots) {
		p.slots <- i
	}
	return p
}

func (p *portablePorts) Open(local netip.AddrPort) (Port, error) {
	if p.closed {
		return NoPort, fmt.Errorf("open UDP port %s: %w", local, ErrClosed)
	}
	if err := checkLocal(local); err != nil {
		return NoPort, err
	}
	local = netip.AddrPortFrom(local.Addr().Unmap(), local.Port())
	network := "udp4"
	if local.Addr().Is6() {
		network = "udp6"
	}
	conn, err := net.ListenUDP(network, net.UDPAddrFromAddrPort(local))
	if err != nil {
		return NoPort, openError(local, "bind", err)
	}
	if err := p.prepare(conn); err != nil {
		_ = conn.Close()
		return NoPort, openError(local, "set buffer sizes", err)
	}
	port := p.number()
	c := &p.conns[port]
	c.conn, c.generation, c.gone = conn, c.generation+1, make(chan struct{})
	c.local = netip.AddrPortFrom(local.Addr(), uint16(conn.LocalAddr().(*net.UDPAddr).Port))
	r := reader{ports: p, conn: conn, port: port, generation: c.generation, gone: c.gone}
	p.running.Go(r.run)
	return port, nil
}

func (p *portablePorts) prepare(conn *net.UDPConn) error {
	if n := p.options.ReceiveBuffer; n > 0 {
		if err := conn.SetReadBuffer(n); err != nil {
			return err
		}
	}
	if n := p.options.SendBuffer; n > 0 {
		return conn.SetWriteBuffer(n)
	}
	return nil
}

func (p *portablePorts) number() Port {
	if n := len(p.free); n > 0 {
		port := p.free[n-1]
		p.free = p.free[:n-1]
		return port
	}
	p.conns = append(p.conns, portablePort{})
	return Port(len(p.conns) - 1)
}

// reader is the goroutine of one port. It ends when its conn is closed.
type reader struct {
	ports      *portablePorts
	conn       *net.UDPConn
	port       Port
	generation uint32
	gone       chan struct{}
}

func (r *reader) run() {
	p := r.ports
	b := make([]byte, MaxDatagram+1) // the one byte more shows that a datagram was too long
	for {
		n, from, err := r.conn.ReadFromUDPAddrPort(b)
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			p.receiveErrors.Add(1)
			continue
		case n > MaxDatagram:
			p.tooLong.Add(1)
			continue
		}
		select {
		case slot := <-p.slots:
			copy(p.slot(slot), b[:n])
			from = netip.AddrPortFrom(from.Addr().Unmap().WithZone(""), from.Port())
			p.arrived <- arrival{port: r.port, generation: r.generation, slot: slot, length: n, from: from}
		case <-r.gone:
			return
		}
	}
}

func (p *portablePorts) slot(i int32) []byte {
	const size = MaxDatagram + slack
	return p.slab[int(i)*size : (int(i)+1)*size : (int(i)+1)*size]
}

func (p *portablePorts) Local(port Port) netip.AddrPort {
	if int(port) >= len(p.conns) {
		return netip.AddrPort{}
	}
	return p.conns[port].local
}

// Connect does nothing: there is no look-up to save that matters here.
func (p *portablePorts) Connect(Port, netip.AddrPort) error { return nil }

func (p *portablePorts) Close(port Port) {
	if int(port) >= len(p.conns) || p.conns[port].conn == nil {
		return
	}
	c := &p.conns[port]
	close(c.gone)
	_ = c.conn.Close()
	c.conn, c.local = nil, netip.AddrPort{}
	p.resting = append(p.resting, port)
}

func (p *portablePorts) Receive(batch []Datagram, wait time.Duration) (int, error) {
	if p.closed {
		return 0, ErrClosed
	}
	p.free = append(p.free, p.resting...)
	p.resting = p.resting[:0]
	for _, slot := range p.lent {
		p.slots <- slot
	}
	p.lent = p.lent[:0]
	if len(batch) == 0 {
		return 0, nil
	}
	p.count.Wakeups++
	n := p.take(batch, 0)
	if n > 0 || wait == 0 {
		select {
		case <-p.wakes:
		default:
		}
		return n, nil
	}
	var expired <-chan time.Time
	if wait > 0 {
		p.timer.Reset(wait)
		defer p.timer.Stop()
		expired = p.timer.C
	}
	for {
		select {
		case a := <-p.arrived:
			if n = p.put(batch, 0, a); n > 0 {
				return p.take(batch, n), nil
			}
		case <-p.wakes:
			return p.take(batch, 0), nil
		case <-expired:
			return p.take(batch, 0), nil
		}
	}
}

// take adds what is there to the n datagrams in batch.
func (p *portablePorts) take(batch []Datagram, n int) int {
	for n < len(batch) {
		select {
		case a := <-p.arrived:
			n = p.put(batch, n, a)
		default:
			return n
		}
	}
	return n
}

func (p *portablePorts) put(batch []Datagram, n int, a arrival) int {
	if c := &p.conns[a.port]; c.conn == nil || c.generation != a.generation {
		p.slots <- a.slot
		return n
	}
	p.lent = append(p.lent, a.slot)
	p.count.Received++
	p.count.ReceivedBytes += uint64(a.length)
	batch[n] = Datagram{Port: a.port, Remote: a.from, Data: p.slot(a.slot)[:a.length]}
	return n + 1
}

func (p *portablePorts) Send(batch []Datagram) {
	for i := range batch {
		d := &batch[i]
		if int(d.Port) >= len(p.conns) || p.conns[d.Port].conn == nil {
			p.count.SendErrors++
			continue
		}
		n, err := p.conns[d.Port].conn.WriteToUDPAddrPort(d.Data, d.Remote)
		if err != nil {
			var errno syscall.Errno
			errors.As(err, &errno)
			p.count.refused(errno)
			continue
		}
		p.count.Sent++
		p.count.SentBytes += uint64(n)
	}
}

func (p *portablePorts) Wake() {
	select {
	case p.wakes <- struct{}{}:
	default:
	}
}

func (p *portablePorts) Bell() Bell { return p.bell }

func (p *portablePorts) Counters() Counters {
	c := p.count
	c.TooLong, c.ReceiveErrors = p.tooLong.Load(), p.receiveErrors.Load()
	return c
}

func (p *portablePorts) Shutdown() error {
	if p.closed {
		return nil
	}
	p.closed = true
	for i := range p.conns {
		p.Close(Port(i))
	}
	p.running.Wait()
	close(p.bell)
	return nil
}
