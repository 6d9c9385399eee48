package udptest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onelane/onelane/ice/udp"
)

// pair is a peer's Conn that sends to an edge's port.
type pair struct {
	t     *testing.T
	ports udp.Ports
	port  udp.Port
	edge  netip.AddrPort
	conn  *Conn
	batch []udp.Datagram
}

func newPair(t *testing.T, n *Network) *pair {
	t.Helper()
	p := &pair{t: t, ports: n.Ports(), edge: netip.AddrPortFrom(edge, 4000), batch: make([]udp.Datagram, 512)}
	var err error
	if p.port, err = p.ports.Open(p.edge); err != nil {
		t.Fatal(err)
	}
	if p.conn, err = n.Conn(netip.AddrPortFrom(peer, 3480)); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *pair) send(i uint32) {
	p.t.Helper()
	if _, err := p.conn.WriteToUDPAddrPort(binary.BigEndian.AppendUint32(nil, i), p.edge); err != nil {
		p.t.Fatal(err)
	}
}

// heard returns the numbers that arrive until nothing has come for a second.
func (p *pair) heard() (all []uint32) {
	p.t.Helper()
	for {
		n, err := p.ports.Receive(p.batch, time.Second)
		if err != nil {
			p.t.Fatal(err)
		}
		if n == 0 {
			return all
		}
		for _, d := range p.batch[:n] {
			all = append(all, binary.BigEndian.Uint32(d.Data))
		}
	}
}

func TestDelayIsExact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New(1)
		n.SetLink(Link{Delay: 35 * time.Millisecond})
		p := newPair(t, n)
		start := time.Now()
		p.send(1)
		if got, err := p.ports.Receive(p.batch, time.Minute); got != 1 || err != nil {
			t.Fatal(got, err)
		}
		if took := time.Since(start); took != 35*time.Millisecond {
			t.Errorf("took %s", took)
		}
		// And back, to a Conn that waits without a deadline.
		start = time.Now()
		p.ports.Send([]udp.Datagram{{Port: p.port, Remote: p.batch[0].Remote, Data: []byte("pong")}})
		b := make([]byte, 16)
		got, from, err := p.conn.ReadFrom(b)
		if err != nil || string(b[:got]) != "pong" || from.String() != p.edge.String() || time.Since(start) != 35*time.Millisecond {
			t.Errorf("%q from %s after %s, %v", b[:got], from, time.Since(start), err)
		}
	})
}

func TestJitterKeepsOrderAndReorderBreaksIt(t *testing.T) {
	run := func(l Link) (got []uint32, s Stats) {
		synctest.Test(t, func(t *testing.T) {
			n := New(7)
			n.SetLink(l)
			p := newPair(t, n)
			for i := range uint32(200) {
				p.send(i)
				<-time.After(time.Millisecond)
			}
			got, s = p.heard(), n.Stats()
		})
		return got, s
	}
	got, _ := run(Link{Delay: 20 * time.Millisecond, Jitter: 30 * time.Millisecond})
	if len(got) != 200 || !slices.IsSorted(got) {
		t.Errorf("jitter: %d arrived, in order: %t", len(got), slices.IsSorted(got))
	}
	got, s := run(Link{Delay: 20 * time.Millisecond, Reorder: 0.1, ReorderBy: 5 * time.Millisecond})
	if len(got) != 200 || slices.IsSorted(got) || s.HeldBack < 5 || s.HeldBack > 40 {
		t.Errorf("reorder: %d arrived, in order: %t, %d held back", len(got), slices.IsSorted(got), s.HeldBack)
	}
}

func TestSameSeedSameFaults(t *testing.T) {
	run := func(seed uint64) (got []uint32, s Stats) {
		synctest.Test(t, func(t *testing.T) {
			n := New(seed)
			n.SetLink(Link{Loss: 0.2, Duplicate: 0.1, Reorder: 0.1, Delay: 10 * time.Millisecond, Jitter: 15 * time.Millisecond})
			p := newPair(t, n)
			for i := range uint32(200) {
				p.send(i)
				<-time.After(2 * time.Millisecond)
			}
			got, s = p.heard(), n.Stats()
		})
		return got, s
	}
	a, s := run(1)
	b, _ := run(1)
	c, _ := run(2)
	if !slices.Equal(a, b) {
		t.Error("one seed gave two results")
	}
	if slices.Equal(a, c) {
		t.Error("two seeds gave one result")
	}
	if s.Lost < 20 || s.Lost > 60 || s.Duplicated < 5 || s.Duplicated > 35 || s.Delivered != s.Sent-s.Lost+s.Duplicated {
		t.Errorf("stats %+v", s)
	}
}

func TestDropTakesWhatMatches(t *testing.T) {
	n := New(1)
	p := newPair(t, n)
	to := func(_, to netip.AddrPort, _ []byte) bool { return to == p.edge }
	third := n.DropNth(3, to)
	odd := n.Drop(func(_, _ netip.AddrPort, b []byte) bool { return b[3]%2 == 1 })
	for i := range uint32(6) {
		p.send(i)
	}
	odd.Remove()
	p.send(7)
	if got := p.heard(); !slices.Equal(got, []uint32{0, 4, 7}) || third.Hits() != 7 || odd.Hits() != 3 {
		t.Errorf("arrived %v; matched %d and %d", got, third.Hits(), odd.Hits())
	}
}

func TestRouteBlackholeAndDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New(1)
		p := newPair(t, n)
		n.Route(netip.PrefixFrom(peer, 32), netip.PrefixFrom(edge, 24), Link{Loss: 1})
		p.send(1) // lost on its way only
		p.ports.Send([]udp.Datagram{{Port: p.port, Remote: netip.AddrPortFrom(peer, 3480), Data: []byte("back")}})
		b := make([]byte, 16)
		if got, _, err := p.conn.ReadFromUDPAddrPort(b); got != 4 || err != nil {
			t.Error(got, err)
		}
		n.Route(netip.PrefixFrom(peer, 32), netip.PrefixFrom(edge, 24), Link{Delay: time.Second})
		n.Blackhole(peer, true)
		p.send(2)
		<-time.After(2 * time.Second)
		n.Blackhole(peer, false)
		p.send(3)
		n.Down(edge)
		<-time.After(2 * time.Second) // arrives while the interface is down
		p.ports.Send([]udp.Datagram{{Port: p.port, Remote: netip.AddrPortFrom(peer, 3480), Data: []byte("x")}})
		n.Up(edge)
		p.send(4)
		<-time.After(2 * time.Second)
		if got := p.heard(); !slices.Equal(got, []uint32{4}) {
			t.Errorf("arrived %v", got)
		}
		if c := p.ports.Counters(); c.SendUnreachable != 1 || c.Sent != 1 {
			t.Errorf("counters %+v", c)
		}
		n.Down(peer)
		if _, err := p.conn.WriteToUDPAddrPort([]byte("x"), p.edge); err == nil {
			t.Error("wrote while down")
		}
	})
}

func TestInjectTapAndLimit(t *testing.T) {
	n := New(1)
	n.LimitPorts(1)
	p := newPair(t, n)
	if _, err := p.ports.Open(netip.AddrPortFrom(edge, 0)); !errors.Is(err, udp.ErrExhausted) {
		t.Error(err)
	}
	p.ports.Close(p.port)
	var err error
	if p.port, err = p.ports.Open(p.edge); err != nil {
		t.Error(err)
	}
	var seen []byte
	n.Tap(func(_, _ netip.AddrPort, b []byte) { seen = append(seen, b...) })
	spoofed := netip.MustParseAddrPort("203.0.113.9:53")
	n.Inject(spoofed, p.edge, []byte("forged"))
	if got, err := p.ports.Receive(p.batch, 0); got != 1 || err != nil || p.batch[0].Remote != spoofed {
		t.Errorf("%d from %s, %v", got, p.batch[0].Remote, err)
	}
	kept := p.batch[0].Data
	if string(seen) != "forged" || string(kept) != "forged" {
		t.Errorf("tap saw %q, port got %q", seen, kept)
	}
	if _, err := p.ports.Receive(p.batch, 0); err != nil || bytes.Equal(kept, seen) {
		t.Error("a kept datagram is not overwritten")
	}
}

func TestQueueIsBounded(t *testing.T) {
	n := New(1)
	p := newPair(t, n)
	for i := range uint32(queueLimit + 10) {
		p.send(i)
		p.ports.Send([]udp.Datagram{{Port: p.port, Remote: netip.AddrPortFrom(peer, 3480), Data: []byte("x")}})
	}
	if s := n.Stats(); s.Overflowed != 20 || s.Delivered != 2*queueLimit {
		t.Errorf("%+v", s)
	}
}

func TestConnDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New(1)
		c, err := n.Conn(netip.AddrPortFrom(peer, 0))
		if err != nil {
			t.Fatal(err)
		}
		var _ net.PacketConn = c
		b := make([]byte, 16)
		read := func() (time.Duration, error) {
			start := time.Now()
			_, _, err := c.ReadFrom(b)
			return time.Since(start), err
		}
		_ = c.SetReadDeadline(time.Now().Add(3 * time.Second))
		if took, err := read(); !errors.Is(err, os.ErrDeadlineExceeded) || took != 3*time.Second {
			t.Error(err, took)
		}
		if took, err := read(); !errors.Is(err, os.ErrDeadlineExceeded) || took != 0 {
			t.Error("a passed deadline:", err, took)
		}
		// Moved while a read waits: further away, then to now.
		_ = c.SetReadDeadline(time.Now().Add(time.Second))
		time.AfterFunc(500*time.Millisecond, func() { _ = c.SetReadDeadline(time.Now().Add(time.Hour)) })
		time.AfterFunc(5*time.Second, func() { _ = c.SetReadDeadline(time.Now()) })
		if took, err := read(); !errors.Is(err, os.ErrDeadlineExceeded) || took != 5*time.Second {
			t.Error(err, took)
		}
		_ = c.SetReadDeadline(time.Time{})
		time.AfterFunc(time.Hour, func() { _ = c.Close() })
		if took, err := read(); !errors.Is(err, net.ErrClosed) || took != time.Hour {
			t.Error(err, took)
		}
		if err := c.Close(); !errors.Is(err, net.ErrClosed) {
			t.Error("second Close:", err)
		}
		if _, err := c.WriteTo(b, c.LocalAddr()); !errors.Is(err, net.ErrClosed) {
			t.Error("write after Close:", err)
		}
		if _, err := n.Conn(c.local); err != nil {
			t.Error("the address is not free after Close:", err)
		}
		if _, err := n.Conn(c.local); !errors.Is(err, udp.ErrInUse) {
			t.Error(err)
		}
	})
}

func TestConnReadersAreAllServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New(1)
		p := newPair(t, n)
		results := make(chan error, 3)
		for range 3 {
			go func() {
				_, _, err := p.conn.ReadFromUDPAddrPort(make([]byte, 1))
				results <- err
			}()
		}
		synctest.Wait()
		d := udp.Datagram{Port: p.port, Remote: netip.AddrPortFrom(peer, 3480), Data: []byte("x")}
		p.ports.Send([]udp.Datagram{d, d, d})
		for range 3 {
			if err := <-results; err != nil {
				t.Error(err)
			}
		}
	})
}
