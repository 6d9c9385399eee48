package relay

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/rtp"

	"github.com/onelane/onelane/ice/icetest"
	"github.com/onelane/onelane/ice/udp"
	"github.com/onelane/onelane/ice/udp/udptest"
	"github.com/onelane/onelane/relay/config"
	"github.com/onelane/onelane/relay/sink"
)

// The tests of this package run whole calls in fake time over a network in memory, against a far end that shares no code with the edge.

var (
	edge4 = netip.MustParseAddr("198.51.100.10")
	edge6 = netip.MustParseAddr("2001:db8::10")
	meta4 = netip.MustParseAddrPort("203.0.113.5:3480")
	meta6 = netip.MustParseAddrPort("[2001:db8:face::5]:3480")
)

// world is one edge, one far end, and the network between them.
type world struct {
	*testing.T
	net  *udptest.Network
	edge *Server
	meta *icetest.Server
	log  *lockedBuffer
}

// lockedBuffer collects a log from many goroutines.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// inWorld runs a test in fake time.
func inWorld(t *testing.T, change func(*config.Config, map[string]Kind), test func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{T: t, net: udptest.New(1), log: new(lockedBuffer)}
		w.net.SetLink(udptest.Link{Delay: 10 * time.Millisecond})
		c := config.Default()
		c.Media.Addresses = []config.Address{{Local: edge4, Public: edge4}, {Local: edge6, Public: edge6}}
		c.Media.AllowNetworks = []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("2001:db8:face::/48")}
		c.Media.PortMin, c.Media.PortMax = 40000, 40099
		c.Media.Shards = 2
		kinds := map[string]Kind{"echo": {Name: "echo", CanSource: true, Direction: sink.Business, Open: func(context.Context, OpenRequest) (Opened, error) {
			return Opened{Echo: true}, nil
		}}}
		if change != nil {
			change(&c, kinds)
		}
		var err error
		w.edge, err = New(Options{
			Config: c, Kinds: kinds, Version: "test",
			Log:      slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
			NewPorts: func() (udp.Ports, error) { return w.net.Ports(), nil },
		})
		if err != nil {
			t.Fatal(err)
		}
		var conns []net.PacketConn
		for _, a := range []netip.AddrPort{meta4, meta6} {
			conn, err := w.net.Conn(a)
			if err != nil {
				t.Fatal(err)
			}
			conns = append(conns, conn)
		}
		if w.meta, err = icetest.NewServer(conns, icetest.Options{}); err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := w.edge.Close(); err != nil {
				t.Errorf("close the edge: %v", err)
			}
			if err := w.meta.Close(); err != nil {
				t.Errorf("close the far end: %v", err)
			}
		}()
		test(w)
	})
}

// far is the far end of one call: what the phone hears.
type far struct {
	*icetest.Call
	mu   sync.Mutex
	rtp  []rtp.Header
	rtcp int
}

func (w *world) phone(o icetest.CallOptions) *far {
	w.Helper()
	call, err := w.meta.NewCall(o)
	if err != nil {
		w.Fatal(err)
	}
	f := &far{Call: call}
	call.OnRTP(func(_ time.Duration, h *rtp.Header, _ []byte) {
		f.mu.Lock()
		f.rtp = append(f.rtp, *h)
		f.mu.Unlock()
	})
	call.OnRTCP(func(time.Duration, []byte) {
		f.mu.Lock()
		f.rtcp++
		f.mu.Unlock()
	})
	return f
}

func (f *far) packets() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.rtp)
}

// ring makes a user-initiated call.
func (w *world) ring(id string, o icetest.CallOptions) *far {
	w.Helper()
	f := w.phone(o)
	v, err := w.edge.Create(w.Context(), NewCall{ID: id, Direction: UserInitiated, Offer: f.Offer()})
	if err != nil {
		w.Fatal(err)
	}
	if err := f.Accept(v.LocalSDP); err != nil {
		w.Fatal(err)
	}
	return f
}

// pass lets time pass.
func (w *world) pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func (w *world) get(id string) View {
	w.Helper()
	v, err := w.edge.Get(w.Context(), id)
	if err != nil {
		w.Fatal(err)
	}
	return v
}

func (w *world) open(id string) {
	w.Helper()
	if _, err := w.edge.OpenMedia(w.Context(), id); err != nil {
		w.Fatal(err)
	}
}

// peek looks at a call without renewing its lease.
func (w *world) peek(id string) View {
	w.Helper()
	views, _, err := w.edge.List(w.Context(), ListFilter{})
	if err != nil {
		w.Fatal(err)
	}
	for _, v := range views {
		if v.ID == id {
			return v
		}
	}
	w.Fatalf("no call %q", id)
	return View{}
}

// watch collects events until the test ends.
func (w *world) watch(o WatchOptions) func() []Event {
	ctx, cancel := context.WithCancel(w.Context())
	var mu sync.Mutex
	var events []Event
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.edge.Watch(ctx, o, func(e Event, _ string) error {
			mu.Lock()
			defer mu.Unlock()
			events = append(events, e)
			return nil
		}, func(Gap) error { return nil })
	}()
	w.Cleanup(func() { cancel(); <-done })
	synctest.Wait()
	return func() []Event {
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		return append([]Event(nil), events...)
	}
}

func kinds(events []Event) (k []EventKind) {
	for _, e := range events {
		if e.Kind != EventQuality {
			k = append(k, e.Kind)
		}
	}
	return k
}

func wantReason(t *testing.T, err error, code Code, reason string) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("error %v, want %s", err, reason)
	}
	if e.Code != code || e.Reason != reason {
		t.Fatalf("error %d %s (%s), want %d %s", e.Code, e.Reason, e.Message, code, reason)
	}
}

// noBreach fails when the edge broke a rule of ICE or DTLS.
func (w *world) noBreach(f *far) {
	w.Helper()
	for _, b := range f.Breaches() {
		w.Errorf("the far end found: %v", b)
	}
}

// noSecret fails when the log has one of them in it.
func (w *world) noSecret(secrets ...string) {
	w.Helper()
	for _, s := range secrets {
		if s != "" && strings.Contains(w.log.String(), s) {
			w.Errorf("the log has a secret in it: %q", s)
		}
	}
}
