package udptest

import (
	"bytes"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/onelane/onelane/ice/udp"
)

// Rig is what the contract's tests run on.
type Rig struct {
	Ports  udp.Ports
	Locals []netip.Addr // concrete addresses to bind, that reach each other within a family
	Unfair bool         // does not promise that ports take turns
}

// Contract runs the tests that every udp.Ports has to pass. It hands each test to run, which makes a fresh Rig, calls test with it,
// in a synctest bubble if it likes, and shuts the Ports down.
func Contract(t *testing.T, run func(t *testing.T, test func(*testing.T, Rig))) {
	for _, c := range []struct {
		name string
		test func(*testing.T, Rig)
	}{
		{"DeliversBytesAndSource", deliversBytesAndSource},
		{"OpenAgainIsInUse", openAgainIsInUse},
		{"OpenRefusesNoAddress", openRefusesNoAddress},
		{"WaitsAsLongAsTold", waitsAsLongAsTold},
		{"WakeEndsTheNextWait", wakeEndsTheNextWait},
		{"WakeEndsTheCurrentWait", wakeEndsTheCurrentWait},
		{"RingEndsAWait", ringEndsAWait},
		{"ShutdownEndsTheBell", shutdownEndsTheBell},
		{"LongestIsDeliveredLongerIsCounted", longestIsDeliveredLongerIsCounted},
		{"EmptyDatagramIsDelivered", emptyDatagramIsDelivered},
		{"ClosedPortDeliversNothing", closedPortDeliversNothing},
		{"NumberRestsUntilReceive", numberRestsUntilReceive},
		{"SendFromClosedPortIsCounted", sendFromClosedPortIsCounted},
		{"SendToNobodyHarmsNobody", sendToNobodyHarmsNobody},
		{"SmallBatchLosesNothing", smallBatchLosesNothing},
		{"FloodDoesNotStarveOthers", floodDoesNotStarveOthers},
		{"DataHasRoomAndIsItsOwn", dataHasRoomAndIsItsOwn},
		{"ShutdownClosesAll", shutdownClosesAll},
	} {
		t.Run(c.name, func(t *testing.T) { run(t, c.test) })
	}
}

// patience is how long a test waits for what must come; on fake time it costs nothing.
const patience = 5 * time.Second

func (r Rig) open(t *testing.T, a netip.Addr) (udp.Port, netip.AddrPort) {
	t.Helper()
	p, err := r.Ports.Open(netip.AddrPortFrom(a, 0))
	if err != nil {
		t.Fatal(err)
	}
	local := r.Ports.Local(p)
	if local.Addr() != a || local.Port() == 0 {
		t.Fatalf("opened %s port 0: Local is %s", a, local)
	}
	return p, local
}

func (r Rig) send(from udp.Port, to netip.AddrPort, texts ...string) {
	for _, s := range texts {
		r.Ports.Send([]udp.Datagram{{Port: from, Remote: to, Data: []byte(s)}})
	}
}

// receive gets exactly the next n datagrams and nothing after them.
func (r Rig) receive(t *testing.T, n int) []udp.Datagram {
	t.Helper()
	var all []udp.Datagram
	batch := make([]udp.Datagram, 64)
	for deadline := time.Now().Add(patience); len(all) < n && time.Now().Before(deadline); {
		all = append(all, r.once(t, batch, time.Until(deadline))...)
	}
	all = append(all, r.once(t, batch, 0)...)
	if len(all) != n {
		t.Fatalf("received %d datagrams, want %d: %v", len(all), n, all)
	}
	return all
}

// once copies what one Receive gives.
func (r Rig) once(t *testing.T, batch []udp.Datagram, wait time.Duration) []udp.Datagram {
	t.Helper()
	n, err := r.Ports.Receive(batch, wait)
	if err != nil {
		t.Fatal(err)
	}
	var all []udp.Datagram
	for _, d := range batch[:n] {
		d.Data = bytes.Clone(d.Data)
		all = append(all, d)
	}
	return all
}

func deliversBytesAndSource(t *testing.T, r Rig) {
	for _, a := range r.Locals {
		p, local := r.open(t, a)
		q, remote := r.open(t, a)
		r.send(p, remote, "first", "second")
		got := r.receive(t, 2)
		for i, want := range []string{"first", "second"} {
			if d := got[i]; d.Port != q || d.Remote != local || string(d.Data) != want {
				t.Errorf("got %q on port %d from %s, want %q on %d from %s", d.Data, d.Port, d.Remote, want, q, local)
			}
		}
	}
	c := r.Ports.Counters()
	if n := uint64(2 * len(r.Locals)); c.Sent != n || c.Received != n || c.SentBytes != c.ReceivedBytes || c.SentBytes != n/2*11 {
		t.Errorf("counters %+v", c)
	}
}

func openAgainIsInUse(t *testing.T, r Rig) {
	_, local := r.open(t, r.Locals[0])
	_, err := r.Ports.Open(local)
	if !errors.Is(err, udp.ErrInUse) || !strings.Contains(err.Error(), local.String()) {
		t.Errorf("opening %s again: %v", local, err)
	}
}

func openRefusesNoAddress(t *testing.T, r Rig) {
	if _, err := r.Ports.Open(netip.AddrPort{}); err == nil {
		t.Error("opened no address")
	}
	if got := r.Ports.Local(12345); got.IsValid() {
		t.Errorf("a port never opened is bound to %s", got)
	}
	r.Ports.Close(12345)
	r.Ports.Close(udp.NoPort)
}

func waitsAsLongAsTold(t *testing.T, r Rig) {
	r.open(t, r.Locals[0])
	batch := make([]udp.Datagram, 4)
	for _, wait := range []time.Duration{0, 300 * time.Microsecond, 20 * time.Millisecond} {
		// A signal may end a wait early, but not every one of them.
		var took time.Duration
		for range 5 {
			start := time.Now()
			r.once(t, batch, wait)
			if took = time.Since(start); took >= wait {
				break
			}
		}
		if took < wait || took > wait+patience {
			t.Errorf("told to wait %s, waited %s", wait, took)
		}
	}
}

func wakeEndsTheNextWait(t *testing.T, r Rig) {
	batch := make([]udp.Datagram, 4)
	for range 3 {
		r.Ports.Wake()
		r.Ports.Wake()
		if got := r.once(t, batch, -1); len(got) != 0 {
			t.Fatalf("received %v", got)
		}
	}
	start := time.Now()
	for range 5 {
		r.once(t, batch, 10*time.Millisecond)
	}
	if time.Since(start) < 10*time.Millisecond {
		t.Error("a Wake that was answered ended another wait")
	}
}

func wakeEndsTheCurrentWait(t *testing.T, r Rig) {
	batch := make([]udp.Datagram, 4)
	for range 50 {
		done := make(chan struct{})
		go func() {
			defer close(done)
			r.Ports.Wake()
		}()
		r.once(t, batch, -1)
		<-done
	}
}

func longestIsDeliveredLongerIsCounted(t *testing.T, r Rig) {
	p, _ := r.open(t, r.Locals[0])
	_, to := r.open(t, r.Locals[0])
	r.send(p, to, strings.Repeat("a", udp.MaxDatagram+1), strings.Repeat("b", 9000), strings.Repeat("c", udp.MaxDatagram))
	if got := r.receive(t, 1); string(got[0].Data) != strings.Repeat("c", udp.MaxDatagram) {
		t.Errorf("received %d bytes", len(got[0].Data))
	}
	if c := r.Ports.Counters(); c.TooLong != 2 || c.Received != 1 {
		t.Errorf("counters %+v", c)
	}
}

func emptyDatagramIsDelivered(t *testing.T, r Rig) {
	p, from := r.open(t, r.Locals[0])
	_, to := r.open(t, r.Locals[0])
	r.Ports.Send([]udp.Datagram{{Port: p, Remote: to}})
	if got := r.receive(t, 1); len(got[0].Data) != 0 || got[0].Remote != from {
		t.Errorf("got %v", got)
	}
}

func closedPortDeliversNothing(t *testing.T, r Rig) {
	p, from := r.open(t, r.Locals[0])
	q, to := r.open(t, r.Locals[0])
	for range 20 {
		r.send(p, to, "for the one that closes")
		r.Ports.Close(q)
		r.Ports.Close(q)
		if got := r.Ports.Local(q); got.IsValid() {
			t.Fatalf("a closed port is bound to %s", got)
		}
		r.receive(t, 0) // and the number is free
		var err error
		if q, err = r.Ports.Open(to); err != nil {
			t.Fatal(err)
		}
		r.send(p, to, "new")
		if got := r.receive(t, 1); string(got[0].Data) != "new" || got[0].Port != q || got[0].Remote != from {
			t.Fatalf("got %v", got)
		}
	}
	if q > 4 {
		t.Errorf("port numbers are not dense: %d", q)
	}
}

func numberRestsUntilReceive(t *testing.T, r Rig) {
	p, _ := r.open(t, r.Locals[0])
	r.Ports.Close(p)
	q, _ := r.open(t, r.Locals[0])
	if q == p {
		t.Error("a number was given out again before the next Receive")
	}
	r.receive(t, 0)
	if q, _ = r.open(t, r.Locals[0]); q != p {
		t.Errorf("opened %d, want the free number %d", q, p)
	}
}

func sendFromClosedPortIsCounted(t *testing.T, r Rig) {
	p, _ := r.open(t, r.Locals[0])
	_, to := r.open(t, r.Locals[0])
	r.Ports.Close(p)
	r.send(p, to, "x")
	r.send(udp.NoPort, to, "x")
	r.receive(t, 0)
	if c := r.Ports.Counters(); c.SendErrors != 2 || c.Sent != 0 {
		t.Errorf("counters %+v", c)
	}
}

// sendToNobodyHarmsNobody: the ICMP error that comes back may be counted, and is never fatal.
func sendToNobodyHarmsNobody(t *testing.T, r Rig) {
	p, _ := r.open(t, r.Locals[0])
	q, nobody := r.open(t, r.Locals[0])
	r.Ports.Close(q)
	_, to := r.open(t, r.Locals[0])
	for range 10 {
		r.send(p, nobody, "x")
		r.send(p, to, "y")
	}
	if c := r.Ports.Counters(); c.Sent+c.SendUnreachable != 20 || c.SendErrors+c.SendAgain != 0 {
		t.Errorf("counters %+v", c)
	}
	r.receive(t, 10)
}

func smallBatchLosesNothing(t *testing.T, r Rig) {
	p, _ := r.open(t, r.Locals[0])
	to := make(map[udp.Port]int)
	for range 10 {
		q, remote := r.open(t, r.Locals[0])
		to[q] = 0
		r.send(p, remote, "a", "b", "c")
	}
	batch := make([]udp.Datagram, 3)
	if got := r.once(t, batch[:0], patience); len(got) != 0 {
		t.Errorf("no batch, and %v", got)
	}
	for n := 0; n < 30; {
		got := r.once(t, batch, patience)
		if len(got) == 0 {
			t.Fatalf("only %d datagrams came", n)
		}
		for _, d := range got {
			if want := string(rune('a' + to[d.Port])); string(d.Data) != want {
				t.Errorf("port %d: got %q, want %q", d.Port, d.Data, want)
			}
			to[d.Port]++
			n++
		}
	}
}

func floodDoesNotStarveOthers(t *testing.T, r Rig) {
	if r.Unfair {
		t.Skip("ports do not take turns here")
	}
	p, _ := r.open(t, r.Locals[0])
	_, flooded := r.open(t, r.Locals[0])
	for range 64 {
		r.send(p, flooded, "flood")
	}
	batch := make([]udp.Datagram, 4)
	r.once(t, batch, 0) // by now it is known that the flooded port is alone
	r.once(t, batch, 0)
	q, quiet := r.open(t, r.Locals[0])
	r.send(p, quiet, "quiet")
	for range 3 {
		for _, d := range r.once(t, batch, 0) {
			if d.Port == q {
				return
			}
		}
	}
	t.Error("a port with one datagram got no turn in 3 rounds")
}

func dataHasRoomAndIsItsOwn(t *testing.T, r Rig) {
	p, _ := r.open(t, r.Locals[0])
	for range 8 {
		_, to := r.open(t, r.Locals[0])
		r.send(p, to, "0123456789")
	}
	batch := make([]udp.Datagram, 8)
	for n := 0; n < 8; {
		got, err := r.Ports.Receive(batch, patience)
		if err != nil || got == 0 {
			t.Fatalf("%d of 8, then %d, %v", n, got, err)
		}
		for i, d := range batch[:got] {
			d.Data = append(d.Data, bytes.Repeat([]byte{byte(i)}, 64)...)
			if &d.Data[0] != &batch[i].Data[0] {
				t.Fatal("no room for 64 bytes behind a datagram")
			}
		}
		for _, d := range batch[:got] {
			if string(d.Data) != "0123456789" {
				t.Errorf("writing behind one datagram changed another: %q", d.Data)
			}
		}
		n += got
	}
}

func shutdownClosesAll(t *testing.T, r Rig) {
	_, local := r.open(t, r.Locals[0])
	for range 2 {
		if err := r.Ports.Shutdown(); err != nil {
			t.Fatal(err)
		}
	}
	r.Ports.Wake()
	if _, err := r.Ports.Open(local); !errors.Is(err, udp.ErrClosed) {
		t.Errorf("Open after Shutdown: %v", err)
	}
	if _, err := r.Ports.Receive(make([]udp.Datagram, 1), -1); !errors.Is(err, udp.ErrClosed) {
		t.Errorf("Receive after Shutdown: %v", err)
	}
	r.Ports.Send([]udp.Datagram{{Port: 0, Remote: local, Data: []byte("x")}})
	if got := r.Ports.Local(0); got.IsValid() {
		t.Errorf("a port is open after Shutdown: %s", got)
	}
}
