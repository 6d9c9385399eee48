package shard

import (
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onelane/onelane/ice"
	"github.com/onelane/onelane/ice/udp"
	"github.com/onelane/onelane/ice/udp/udptest"
)

// running is a shard on a network in memory.
type running struct {
	*Shard
	net  *udptest.Network
	port udp.Port
	peer *udptest.Conn
}

func newRunning(t *testing.T, told func([]Event)) *running {
	t.Helper()
	if told == nil {
		told = func([]Event) {}
	}
	l := &running{net: udptest.New(1)}
	l.Shard = New(l.net.Ports(), time.Now(), told, nil)
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	var err error
	if l.peer, err = l.net.Conn(peerAddr); err != nil {
		t.Fatal(err)
	}
	l.Wait(func(turn *Turn) {
		if l.port, err = turn.Ports.Open(netip.MustParseAddrPort("192.0.2.1:0")); err != nil {
			t.Error(err)
		}
	})
	return l
}

var peerAddr = netip.MustParseAddrPort("192.0.2.2:5004")

func TestWhatIsLeftForTheShardIsDoneInItsOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newRunning(t, nil)
		hold := make(chan struct{})
		l.Do(func(*Turn) { <-hold })
		l.Write(l.port, peerAddr, []byte("last words"))
		l.Do(func(turn *Turn) { turn.Ports.Close(l.port) })
		l.Write(l.port, peerAddr, []byte("from a closed port"))
		close(hold)
		var c udp.Counters
		l.Wait(func(turn *Turn) { c = turn.Ports.Counters() })
		b := make([]byte, 100)
		n, _, err := l.peer.ReadFromUDPAddrPort(b)
		if err != nil || string(b[:n]) != "last words" || c.Sent != 1 || c.SendErrors != 1 {
			t.Errorf("the peer got %q, %v; sent %d, refused %d, want one each", b[:n], err, c.Sent, c.SendErrors)
		}
	})
}

func TestDatagramsOfSetUpBeyondTheirBoundAreDroppedAndCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newRunning(t, nil)
		for round := range 2 {
			hold := make(chan struct{})
			l.Do(func(*Turn) { <-hold })
			for range maxWrites + 7 {
				l.Write(l.port, peerAddr, []byte("x"))
			}
			close(hold)
			var c udp.Counters
			l.Wait(func(turn *Turn) { c = turn.Ports.Counters() })
			if want := uint64(round + 1); c.Sent != want*maxWrites || l.mail.dropped.Load() != want*7 {
				t.Errorf("sent %d, dropped %d, want %d and %d", c.Sent, l.mail.dropped.Load(), want*maxWrites, want*7)
			}
		}
	})
}

func TestEveryWaitEndsWhenTheShardDoes(t *testing.T) {
	net := udptest.New(1)
	s := New(net.Ports(), time.Now(), func([]Event) {}, nil)
	var ran, answered atomic.Int64
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for s.Wait(func(*Turn) { ran.Add(1) }) {
				answered.Add(1)
			}
		})
	}
	for answered.Load() < 1000 {
		s.Wait(func(*Turn) {})
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	all.Wait()
	if ran.Load() != answered.Load() {
		t.Errorf("%d functions ran, %d callers were told so", ran.Load(), answered.Load())
	}
	if s.Do(func(*Turn) { t.Error("ran after the end") }) || s.Wait(func(*Turn) {}) {
		t.Error("a shard that has ended took a function")
	}
	s.Write(0, netip.AddrPort{}, []byte("x"))
	if s.mail.dropped.Load() == 0 || s.mail.writes.Load() != 0 {
		t.Errorf("a datagram for a shard that has ended: dropped %d, waiting %d", s.mail.dropped.Load(), s.mail.writes.Load())
	}
	if err := s.Close(); err != nil {
		t.Error("closed twice:", err)
	}
}

func TestShardGoesOnWhileWhoIsToldIsStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck := make(chan struct{})
		var events []Event
		l := newRunning(t, func(e []Event) {
			<-stuck
			events = append(events, e...)
		})
		const turns = maxErrands / 2
		for i := range turns {
			ran := make(chan struct{})
			l.Do(func(turn *Turn) {
				turn.Core.emit(Event{Owner: uint64(i)})
				close(ran)
			})
			<-ran
		}
		close(stuck)
		l.Wait(func(*Turn) {})
		if len(events) != turns || !slices.IsSortedFunc(events, func(a, b Event) int { return int(a.Owner) - int(b.Owner) }) {
			t.Errorf("%d events of %d, or out of order", len(events), turns)
		}
	})
}

func TestPanicInAnErrandIsToldAndEndsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var events []Event
		l := newRunning(t, func(e []Event) { events = append(events, e...) })
		l.Wait(func(turn *Turn) {
			turn.Core.errands.deliver(42, new(owed), new(ice.Conn), &udp.Datagram{Data: []byte("x")}) // not made by NewConn: it panics
		})
		var panics uint64
		l.Wait(func(turn *Turn) { panics = turn.Core.Totals.Panics })
		if len(events) != 1 || events[0].Kind != Panicked || events[0].Owner != 42 || !strings.Contains(events[0].Message, "errands.go") || panics != 1 {
			t.Errorf("%d panics, told %+v", panics, events)
		}
	})
}

// inSetUp adds calls that nobody has answered yet, on ports 0 to n-1.
func inSetUp(r *rig, n int) {
	for i := range n {
		conn := ice.NewConn(nil, func([]byte, netip.AddrPort) {})
		r.core.Add(NewCall{Owner: uint64(i + 1), Ports: []udp.Port{udp.Port(i)}, Setup: []*ice.Conn{conn}, SSRC: testSSRC, CNAME: "c"})
	}
}

var bindingRequest = append([]byte{0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42}, make([]byte, 12)...)

func (r *rig) ask(port udp.Port) {
	r.core.Turn(r.now, []udp.Datagram{{Port: port, Remote: metaAddr, Data: bindingRequest}})
}

func TestFloodOnACallInSetUpTakesNoRoomFromOthers(t *testing.T) {
	r := newRig(t)
	inSetUp(r, 2)
	for range 2 {
		before := r.core.Totals.Drops[DropSetupFull]
		for range 10 * maxOwed {
			r.ask(0)
		}
		if got := r.core.Totals.Drops[DropSetupFull] - before; got != 9*maxOwed {
			t.Errorf("%d of a flood of %d were dropped, want all but %d", got, 10*maxOwed, maxOwed)
		}
		r.ask(1)
		if got := r.core.Totals.Drops[DropSetupFull] - before; got != 9*maxOwed {
			t.Error("the other call's was dropped too")
		}
		if n := drain(r.core); n != maxOwed+1 {
			t.Errorf("%d were delivered, want %d", n, maxOwed+1)
		}
	}
}

func TestFullErrandsLoseDatagramsOfSetUpOnly(t *testing.T) {
	r := newRig(t)
	const calls = maxErrands / maxOwed
	inSetUp(r, calls)
	for i := range maxErrands {
		r.ask(udp.Port(i % calls))
	}
	if got := r.core.Totals.Drops[DropSetupFull]; got != maxErrands/2 {
		t.Errorf("%d datagrams were dropped of %d, want half", got, maxErrands)
	}
	for i := range maxErrands / 2 {
		ran := make(chan struct{})
		r.core.errands.answer(ran)
		select {
		case <-ran:
			t.Fatalf("answered by the shard itself when only %d waited", maxErrands/2+i)
		default:
		}
	}
	ran := make(chan struct{})
	r.core.errands.answer(ran)
	select {
	case <-ran:
	default:
		t.Error("neither answered nor kept")
	}
	if r.core.errands.tell([]Event{{}}) {
		t.Error("an event was put where there is no room")
	}
	if n := drain(r.core); n != maxErrands {
		t.Errorf("%d errands were kept, want %d", n, maxErrands)
	}
}

// drain does the errands of a Core that has no porter, and returns how many there were.
func drain(c *Core) (n int) {
	p := &porter{errands: c.errands, tell: func([]Event) {}}
	for p.next() {
		n++
	}
	return n
}
