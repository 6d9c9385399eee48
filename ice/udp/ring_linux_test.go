//go:build linux && (amd64 || arm64)

package udp

import (
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// newRingPortsFor locks the test to its thread, which owns the ring from the first Receive on.
func newRingPortsFor(t testing.TB, o Options) *ringPorts {
	t.Helper()
	runtime.LockOSThread()
	p, err := newRingPorts(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Shutdown(); err != nil {
			t.Error(err)
		}
		runtime.UnlockOSThread()
	})
	return p
}

// collect receives until n datagrams are there, and copies their bytes.
func collect(t testing.TB, p Ports, batch []Datagram, n int) (got []string) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); len(got) < n && time.Now().Before(deadline); {
		k, err := p.Receive(batch, 100*time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range batch[:k] {
			got = append(got, string(d.Data))
		}
	}
	if len(got) != n {
		t.Fatalf("received %d datagrams, want %d", len(got), n)
	}
	return got
}

func TestRingDescriptorsComeBack(t *testing.T) {
	before := descriptors(t)
	p := newRingPortsFor(t, Options{})
	batch := make([]Datagram, 1)
	for i := range 5_000 {
		port, _ := open(t, p, local4)
		if port > 1 {
			t.Fatalf("open %d got number %d: numbers are not reused", i, port)
		}
		if i%100 == 0 {
			if _, err := p.Open(p.Local(port)); !errors.Is(err, ErrInUse) {
				t.Fatal(err)
			}
		}
		if i%2 == 0 { // closed before its receive was started, and after
			if _, err := p.Receive(batch, 0); err != nil {
				t.Fatal(err)
			}
		}
		p.Close(port)
		if _, err := p.Receive(batch, 0); err != nil {
			t.Fatal(err)
		}
	}
	for range 50 {
		open(t, p, local4)
	}
	if err := p.Shutdown(); err != nil {
		t.Fatal(err)
	}
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}

func TestRingNoDescriptorLeftIsExhausted(t *testing.T) {
	p := newRingPortsFor(t, Options{})
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
	collect(t, p, make([]Datagram, 8), 1)
}

func TestRingICMPErrorIsCountedAndHarmless(t *testing.T) {
	p := newRingPortsFor(t, Options{})
	port, from := open(t, p, local4)
	gone, nobody := open(t, p, local4)
	p.Close(gone)
	if err := p.Connect(port, nobody); err != nil {
		t.Fatal(err)
	}
	batch := make([]Datagram, 8)
	for range 3 {
		p.Send([]Datagram{{Port: port, Remote: nobody, Data: []byte("x")}})
		for range 3 { // sent, told, started again
			if n, err := p.Receive(batch, 0); n != 0 || err != nil {
				t.Errorf("received %d, %v", n, err)
			}
		}
	}
	if c := p.Counters(); c.ReceiveErrors+c.SendUnreachable != 3 || c.Sent+c.SendUnreachable != 3 {
		t.Errorf("counters %+v", c)
	}
	back, _ := open(t, p, nobody)
	p.Send([]Datagram{{Port: back, Remote: from, Data: []byte("y")}})
	collect(t, p, batch, 1)
}

func TestRingRefusedSendsAreCounted(t *testing.T) {
	p := newRingPortsFor(t, Options{})
	port, to := open(t, p, local4)
	p.Send([]Datagram{
		{Port: port, Remote: netip.MustParseAddrPort("[::1]:9"), Data: []byte("x")},
		{Port: port, Remote: to, Data: make([]byte, 70_000)},
		{Port: port, Remote: netip.MustParseAddrPort("255.255.255.255:9"), Data: []byte{1}},
		{Port: port},
	})
	if n, err := p.Receive(make([]Datagram, 4), 0); n != 0 || err != nil {
		t.Errorf("received %d, %v", n, err)
	}
	if c := p.Counters(); c.SendErrors+c.SendUnreachable != 4 || c.Sent != 0 || c.SentBytes != 0 {
		t.Errorf("counters %+v", c)
	}
}

// What the kernel told of a port before it was closed is not delivered to the one that has its number now, and no slot is lost to it.
func TestRingClosedPortWithCompletionsInTheQueue(t *testing.T) {
	p := newRingPortsFor(t, Options{})
	from, _ := open(t, p, local4)
	port, to := open(t, p, local4)
	batch := make([]Datagram, 4)
	for range 2 * ringSlots {
		for range 3 {
			p.Send([]Datagram{{Port: from, Remote: to, Data: []byte("old")}})
		}
		if errno := p.enter(0, true); errno != 0 {
			t.Fatal(errno)
		}
		p.Close(port)
		if n, err := p.Receive(batch, 0); n != 0 || err != nil {
			t.Fatal(n, err)
		}
		again, err := p.Open(to)
		if err != nil || again != port {
			t.Fatal(again, err)
		}
		p.Send([]Datagram{{Port: from, Remote: to, Data: []byte("new")}})
		if got := collect(t, p, batch, 1); got[0] != "new" {
			t.Fatal(got)
		}
	}
}

// More than there are slots for: the receives end, wait for slots and go on.
func TestRingMoreDatagramsThanSlots(t *testing.T) {
	p := newRingPortsFor(t, Options{})
	from, _ := open(t, p, local4)
	var to []netip.AddrPort
	for range 20 {
		_, a := open(t, p, local4)
		to = append(to, a)
	}
	for i := range 2 * ringSlots {
		p.Send([]Datagram{{Port: from, Remote: to[i%len(to)], Data: []byte("x")}})
	}
	collect(t, p, make([]Datagram, 64), 2*ringSlots)
	if c := p.Counters(); c.ReceiveErrors != 0 || c.Received != 2*ringSlots {
		t.Errorf("counters %+v", c)
	}
}

func TestRingWakeDuringShutdownWritesToNobody(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for range 20 {
		p, err := newRingPorts(Options{})
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

func TestRingReceiveAndSendDoNotAllocate(t *testing.T) {
	p := newRingPortsFor(t, Options{})
	var out []Datagram
	for range 16 {
		port, to := open(t, p, local4)
		out = append(out, Datagram{Port: port, Remote: to, Data: make([]byte, 160)})
	}
	batch := make([]Datagram, 32)
	if n := testing.AllocsPerRun(200, func() {
		p.Send(out)
		for got := 0; got < len(out); {
			n, err := p.Receive(batch, time.Second)
			if err != nil {
				t.Fatal(n, err)
			}
			got += n
		}
		_, _ = p.Receive(batch, 100*time.Microsecond)
		p.Wake()
		_, _ = p.Receive(batch, -1)
	}); n != 0 {
		t.Errorf("%v allocations a round", n)
	}
}

// BenchmarkRingEcho is BenchmarkEcho on the ring.
func BenchmarkRingEcho(b *testing.B) {
	for _, ports := range []int{1, 10, 100, 1000} {
		b.Run(fmt.Sprintf("ports=%d", ports), func(b *testing.B) {
			p := newRingPortsFor(b, Options{})
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
				if err != nil {
					b.Fatal(n, err)
				}
				p.Send(batch[:n])
				done += n
			}
			b.StopTimer()
			b.ReportMetric(float64(p.Counters().Received)/float64(p.Counters().Wakeups), "datagrams/wakeup")
		})
	}
}
