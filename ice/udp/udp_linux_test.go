//go:build linux && (amd64 || arm64)

package udp

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

var local4 = netip.MustParseAddrPort("127.0.0.1:0")

func newEpoll(t testing.TB, o Options) *epollPorts {
	t.Helper()
	p, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Shutdown(); err != nil {
			t.Error(err)
		}
	})
	return p.(*epollPorts)
}

func open(t testing.TB, p Ports, a netip.AddrPort) (Port, netip.AddrPort) {
	t.Helper()
	port, err := p.Open(a)
	if err != nil {
		t.Fatal(err)
	}
	return port, p.Local(port)
}

func descriptors(t *testing.T) int {
	t.Helper()
	d, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(d)
}

func TestDescriptorsComeBack(t *testing.T) {
	before := descriptors(t)
	p := newEpoll(t, Options{})
	batch := make([]Datagram, 1)
	for i := range 10_000 {
		port, _ := open(t, p, local4)
		if port > 1 {
			t.Fatalf("open %d got number %d: numbers are not reused", i, port)
		}
		if i%100 == 0 { // one that fails half way
			if _, err := p.Open(p.Local(port)); !errors.Is(err, ErrInUse) {
				t.Fatal(err)
			}
		}
		p.Close(port)
		if _, err := p.Receive(batch, 0); err != nil {
			t.Fatal(err)
		}
	}
	for range 50 {
		open(t, p, local4) // left to Shutdown
	}
	if err := p.Shutdown(); err != nil {
		t.Fatal(err)
	}
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}

func TestNoDescriptorLeftIsExhausted(t *testing.T) {
	p := newEpoll(t, Options{})
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	low := old
	low.Cur = uint64(descriptors(t) + 8)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &low); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Setrlimit(unix.RLIMIT_NOFILE, &old) }()
	alive, to := open(t, p, local4)
	var err error
	for range 64 {
		if _, err = p.Open(local4); err != nil {
			break
		}
	}
	if !errors.Is(err, ErrExhausted) || !errors.Is(err, unix.EMFILE) {
		t.Errorf("opening without descriptors: %v", err)
	}
	p.Send([]Datagram{{Port: alive, Remote: to, Data: []byte("x")}})
	if n, err := p.Receive(make([]Datagram, 8), time.Second); n != 1 || err != nil {
		t.Errorf("an open port: received %d, %v", n, err)
	}
}

// An unconnected socket is not told of ICMP errors; a connected one is, which shows that the error is counted, cleared and not fatal.
func TestICMPErrorIsCountedAndHarmless(t *testing.T) {
	p := newEpoll(t, Options{})
	port, from := open(t, p, local4)
	gone, nobody := open(t, p, local4)
	p.Close(gone)
	fd := int(p.sockets[port].fd)
	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: int(nobody.Port()), Addr: nobody.Addr().As4()}); err != nil {
		t.Fatal(err)
	}
	d := []Datagram{{Port: port, Remote: nobody, Data: []byte("x")}}
	batch := make([]Datagram, 8)
	p.Send(d)
	if n, err := p.Receive(batch, time.Second); n != 0 || err != nil {
		t.Errorf("received %d, %v", n, err)
	}
	p.Send(d)
	p.Send(d) // meets the error that the one before brought
	c := p.Counters()
	if c.ReceiveErrors != 1 || c.SendUnreachable != 1 || c.Sent != 2 {
		t.Errorf("counters %+v", c)
	}
	back, _ := open(t, p, nobody)
	p.Send([]Datagram{{Port: back, Remote: from, Data: []byte("y")}})
	if n, err := p.Receive(batch, time.Second); n != 1 || err != nil || string(batch[0].Data) != "y" {
		t.Errorf("after the errors: received %d, %v", n, err)
	}
}

func TestRefusedSendsAreCounted(t *testing.T) {
	p := newEpoll(t, Options{})
	port, to := open(t, p, local4)
	p.Send([]Datagram{
		{Port: port, Remote: netip.MustParseAddrPort("[::1]:9"), Data: []byte("x")},         // not this socket's family
		{Port: port, Remote: to, Data: make([]byte, 70_000)},                                // longer than UDP can
		{Port: port, Remote: netip.MustParseAddrPort("255.255.255.255:9"), Data: []byte{1}}, // broadcast: EACCES
		{Port: port}, // nobody
	})
	if c := p.Counters(); c.SendErrors+c.SendUnreachable != 4 || c.Sent != 0 {
		t.Errorf("counters %+v", c)
	}
	for _, c := range []struct {
		errno unix.Errno
		want  Counters
	}{
		{unix.EAGAIN, Counters{SendAgain: 1}},
		{unix.ENOBUFS, Counters{SendAgain: 1}},
		{unix.ENETUNREACH, Counters{SendUnreachable: 1}},
		{unix.EHOSTUNREACH, Counters{SendUnreachable: 1}},
		{unix.ECONNREFUSED, Counters{SendUnreachable: 1}},
		{unix.EPERM, Counters{SendUnreachable: 1}},
		{unix.EMSGSIZE, Counters{SendErrors: 1}},
	} {
		var got Counters
		if got.refused(c.errno); got != c.want {
			t.Errorf("%s: %+v", c.errno, got)
		}
	}
}

// An event that carries an older generation is about a port that is closed: it must not read the one that has the number now.
func TestEverySystemCallForDatagramsIsCounted(t *testing.T) {
	p := newEpoll(t, Options{})
	batch := make([]Datagram, 8)
	var to [3]Datagram
	from, _ := open(t, p, local4)
	for i := range to {
		_, at := open(t, p, local4)
		to[i] = Datagram{Port: from, Remote: at, Data: []byte("x")}
	}
	for _, step := range []struct {
		name string
		do   func() error
		want uint64
	}{
		{"nothing to read, no wait", func() error { _, err := p.Receive(batch, 0); return err }, 1},
		{"three sent", func() error { p.Send(to[:]); return nil }, 3},
		{"three ports read after one look", func() error { _, err := p.Receive(batch, time.Second); return err }, 4},
		{"a port that is not open", func() error { p.Send([]Datagram{{Port: 99, Remote: to[0].Remote}}); return nil }, 0},
		{"woken: a look, a read of the eventfd", func() error { p.Wake(); _, err := p.Receive(batch, time.Second); return err }, 2},
		{"a lone port for the first time: one read", func() error { p.Send(to[:1]); _, err := p.Receive(batch, time.Second); return err }, 3},
		{"and again: it is read until it is empty", func() error { p.Send(to[:1]); _, err := p.Receive(batch, time.Second); return err }, 4},
	} {
		before := p.Counters().Calls
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		if got := p.Counters().Calls - before; got != step.want {
			t.Errorf("%s: %d calls counted, %d made", step.name, got, step.want)
		}
	}
}

// The alarm is set and the wait made: two. A signal of the runtime's makes it three, so only one that comes each time would be a fault.
func TestWaitWithNothingToReadCostsTwoSystemCalls(t *testing.T) {
	p := newEpoll(t, Options{})
	batch := make([]Datagram, 1)
	var seen []uint64
	for range 20 {
		before := p.Counters().Calls
		if n, err := p.Receive(batch, time.Millisecond); n != 0 || err != nil {
			t.Fatal(n, err)
		}
		seen = append(seen, p.Counters().Calls-before)
	}
	if slices.Min(seen) != 2 {
		t.Errorf("system calls of twenty waits: %v", seen)
	}
}

func TestEventOfAClosedPortIsIgnored(t *testing.T) {
	p := newEpoll(t, Options{})
	old, _ := open(t, p, local4)
	stale := cookie(old, p.sockets[old].generation)
	p.Close(old)
	batch := make([]Datagram, 4)
	if _, err := p.Receive(batch, 0); err != nil {
		t.Fatal(err)
	}
	port, to := open(t, p, local4)
	if port != old {
		t.Fatalf("got number %d, want %d", port, old)
	}
	p.Send([]Datagram{{Port: port, Remote: to, Data: []byte("x")}})
	p.ready[0] = stale
	if n := p.round(batch, 1); n != 0 {
		t.Errorf("a stale event delivered %d datagrams", n)
	}
	if n, err := p.Receive(batch, time.Second); n != 1 || err != nil {
		t.Errorf("received %d, %v", n, err)
	}
}

func TestWakeDuringShutdownWritesToNobody(t *testing.T) {
	for range 50 {
		p, err := New(Options{})
		if err != nil {
			t.Fatal(err)
		}
		var running sync.WaitGroup
		for range 4 {
			running.Go(func() {
				for range 50 {
					p.Wake()
				}
			})
		}
		_, _ = p.Receive(make([]Datagram, 1), 0)
		if err := p.Shutdown(); err != nil {
			t.Error(err)
		}
		running.Wait()
	}
}

func TestBufferSizesAreSet(t *testing.T) {
	p := newEpoll(t, Options{ReceiveBuffer: 64 << 10, SendBuffer: 32 << 10})
	port, _ := open(t, p, local4)
	for option, want := range map[int]int{unix.SO_RCVBUF: 2 * 64 << 10, unix.SO_SNDBUF: 2 * 32 << 10} { // the kernel doubles them
		if got, err := unix.GetsockoptInt(int(p.sockets[port].fd), unix.SOL_SOCKET, option); err != nil || got != want {
			t.Errorf("option %d: %d, %v, want %d", option, got, err, want)
		}
	}
}

func TestReceiveAndSendDoNotAllocate(t *testing.T) {
	for _, local := range []netip.AddrPort{local4, netip.MustParseAddrPort("[::1]:0")} {
		p := newEpoll(t, Options{})
		if _, err := p.Open(local); err != nil {
			t.Logf("skipped: %v", err)
			continue
		}
		var out []Datagram
		for range 16 {
			port, to := open(t, p, local)
			out = append(out, Datagram{Port: port, Remote: to, Data: make([]byte, 160)})
		}
		batch := make([]Datagram, 32)
		if n := testing.AllocsPerRun(200, func() {
			p.Send(out)
			for got := 0; got < len(out); {
				n, err := p.Receive(batch, time.Second)
				if err != nil || n == 0 {
					t.Fatal(n, err)
				}
				got += n
			}
			_, _ = p.Receive(batch, 100*time.Microsecond) // blocks
			p.Wake()
			_, _ = p.Receive(batch, -1)
		}); n != 0 {
			t.Errorf("%s: %v allocations a round", local, n)
		}
	}
}

// BenchmarkEcho: each of N ports sends one datagram to a port of the peer, which echoes it. An op is one datagram received and one
// sent; the peer's share is in it.
func BenchmarkEcho(b *testing.B) {
	for _, ports := range []int{1, 10, 100, 1000} {
		b.Run(fmt.Sprintf("ports=%d", ports), func(b *testing.B) {
			p := newEpoll(b, Options{})
			out := make([]Datagram, ports)
			for i := range out {
				port, _ := open(b, p, local4)
				_, peer := open(b, p, local4)
				out[i] = Datagram{Port: port, Remote: peer, Data: make([]byte, 120)}
			}
			batch := make([]Datagram, batchLimit)
			b.ReportAllocs()
			b.ResetTimer()
			p.Send(out)
			for done := 0; done < b.N; {
				n, err := p.Receive(batch, time.Second)
				if err != nil || n == 0 {
					b.Fatal(n, err)
				}
				p.Send(batch[:n]) // from where it came to where it came from
				done += n
			}
			b.StopTimer()
			b.ReportMetric(float64(p.Counters().Received)/float64(p.Counters().Wakeups), "datagrams/wakeup")
		})
	}
}

// BenchmarkOneBusyPort: all datagrams come to one port, as to a peer that has one for all calls.
func BenchmarkOneBusyPort(b *testing.B) {
	p := newEpoll(b, Options{})
	from, _ := open(b, p, local4)
	_, to := open(b, p, local4)
	out := make([]Datagram, 64)
	for i := range out {
		out[i] = Datagram{Port: from, Remote: to, Data: make([]byte, 120)}
	}
	batch := make([]Datagram, batchLimit)
	for done := 0; done < b.N; done += len(out) {
		p.Send(out)
		for got := 0; got < len(out); {
			n, err := p.Receive(batch, time.Second)
			if err != nil || n == 0 {
				b.Fatal(n, err)
			}
			got += n
		}
	}
}

func TestConnectedPortSendsToItsRemoteAndHearsNobodyElse(t *testing.T) {
	p, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Shutdown()
	loopback := netip.MustParseAddrPort("127.0.0.1:0")
	a, _ := open(t, p, loopback)
	b, _ := open(t, p, loopback)
	stranger, _ := open(t, p, loopback)
	if err := p.Connect(a, p.Local(b)); err != nil {
		t.Fatal(err)
	}
	p.Send([]Datagram{{Port: a, Remote: p.Local(b), Data: []byte("there")}})
	p.Send([]Datagram{{Port: stranger, Remote: p.Local(a), Data: []byte("stranger")}})
	p.Send([]Datagram{{Port: b, Remote: p.Local(a), Data: []byte("back")}})
	got := map[string]netip.AddrPort{}
	batch := make([]Datagram, 8)
	for range 2 {
		n, err := p.Receive(batch, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range batch[:n] {
			got[string(d.Data)] = d.Remote
		}
	}
	if len(got) != 2 || got["there"] != p.Local(a) || got["back"] != p.Local(b) {
		t.Fatalf("heard %v", got)
	}
	if err := p.Connect(Port(99), p.Local(b)); err == nil {
		t.Fatal("a port that is not open was connected")
	}
}
