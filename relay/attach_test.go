package relay

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/rtp"

	"github.com/onelane/onelane/ice/icetest"
	"github.com/onelane/onelane/relay/config"
	"github.com/onelane/onelane/relay/shard"
	"github.com/onelane/onelane/relay/sink"
)

// writer is a Writer that a test controls.
type writer struct {
	block  chan struct{} // nil: never blocks
	err    atomic.Pointer[error]
	frames atomic.Int64
	closed atomic.Bool
}

func (w *writer) Write(frames []sink.Frame) error {
	if w.block != nil {
		<-w.block
	}
	w.frames.Add(int64(len(frames)))
	if e := w.err.Load(); e != nil {
		return *e
	}
	return nil
}

func (w *writer) Close() error { w.closed.Store(true); return nil }

func (w *writer) fail(err error) {
	if err == nil {
		w.err.Store(nil)
		return
	}
	w.err.Store(&err)
}

// writers registers kinds that give these writers.
func writers(by map[string]*writer) func(*config.Config, map[string]Kind) {
	return func(_ *config.Config, kinds map[string]Kind) {
		for name, w := range by {
			kinds[name] = Kind{Name: name, Direction: sink.Both, Params: []ParamView{{Name: "x", Default: "1"}},
				Open: func(context.Context, OpenRequest) (Opened, error) { return Opened{Writer: w}, nil }}
		}
		kinds["broken"] = Kind{Name: "broken", Open: func(context.Context, OpenRequest) (Opened, error) {
			return Opened{}, errors.New("no disk: buy one")
		}}
	}
}

// connected makes a live call whose phone talks.
func (w *world) connected(id string) *far {
	w.Helper()
	f := w.ring(id, icetest.CallOptions{})
	w.pass(time.Second)
	w.open(id)
	w.pass(100 * time.Millisecond)
	return f
}

// talk has the phone send packets, 20 ms apart.
func (w *world) talk(f *far, packets int, seq uint16) uint16 {
	w.Helper()
	for range packets {
		if err := f.SendRTP(&rtp.Header{Version: 2, PayloadType: 111, SSRC: 9, SequenceNumber: seq, Timestamp: uint32(seq) * 960}, []byte{9 << 3, 1, 2}); err != nil {
			w.Fatal(err)
		}
		seq++
		w.pass(20 * time.Millisecond)
	}
	return seq
}

func TestBlockedWriterHurtsOnlyItself(t *testing.T) {
	slow, good := &writer{block: make(chan struct{})}, &writer{}
	inWorld(t, writers(map[string]*writer{"slow": slow, "good": good}), func(w *world) {
		slow.block = make(chan struct{}) // of this bubble
		events := w.watch(WatchOptions{})
		f := w.connected("a")
		for _, kind := range []string{"slow", "good"} {
			if _, err := w.edge.Attach(w.Context(), "a", NewAttachment{ID: kind, Kind: kind}); err != nil {
				w.Fatal(err)
			}
		}
		before := f.packets()
		w.talk(f, 500, 1)
		if n := f.packets() - before; n < 499 {
			w.Fatalf("the phone got %d packets in 10 s", n)
		}
		if n := good.frames.Load(); n < 500 {
			w.Fatalf("the other writer got %d frames", n)
		}
		v := w.get("a")
		if a := v.Attachments[0]; a.State != AttachmentFailing || a.Dropped == 0 {
			w.Fatalf("the blocked attachment: %+v", a)
		}
		at := slices.IndexFunc(events(), func(e Event) bool { return e.Kind == EventAttachmentFailed && e.Attachment == "slow" })
		if at < 0 {
			w.Fatal("nobody was told")
		}
		start := time.Now()
		if _, err := w.edge.End(w.Context(), "a", ""); err != nil {
			w.Fatal(err)
		}
		if d := time.Since(start); d > closeTimeout+time.Second {
			w.Fatalf("the end took %v", d)
		}
		if !good.closed.Load() {
			w.Fatal("the other writer was not closed")
		}
		close(slow.block)
		w.pass(time.Second)
		if !slow.closed.Load() {
			w.Fatal("the blocked writer was never closed")
		}
	})
}

func TestFailingWriterIsToldOnceAndRecovers(t *testing.T) {
	bad := &writer{}
	inWorld(t, writers(map[string]*writer{"bad": bad}), func(w *world) {
		events := w.watch(WatchOptions{})
		f := w.connected("a")
		if _, err := w.edge.Attach(w.Context(), "a", NewAttachment{Kind: "bad"}); err != nil {
			w.Fatal(err)
		}
		seq := w.talk(f, 50, 1)
		bad.fail(errors.New("disk full: make room"))
		seq = w.talk(f, 100, seq)
		bad.fail(nil)
		w.talk(f, 50, seq)
		var told []string
		for _, e := range events() {
			switch e.Kind {
			case EventAttachmentFailed:
				told = append(told, "failed: "+e.Message)
			case EventAttachmentRecovered:
				told = append(told, "recovered")
			}
		}
		if fmt.Sprint(told) != "[failed: disk full: make room recovered]" {
			w.Fatalf("told %q", told)
		}
	})
}

func TestAttachSaysWhatIsWrong(t *testing.T) {
	inWorld(t, writers(map[string]*writer{"good": {}}), func(w *world) {
		w.connected("a")
		attach := func(n NewAttachment) error {
			_, err := w.edge.Attach(w.Context(), "a", n)
			return err
		}
		wantReason(w.T, attach(NewAttachment{Kind: "nothing"}), NotFound, "KIND_UNKNOWN")
		wantReason(w.T, attach(NewAttachment{Kind: "good", ID: "../x"}), InvalidArgument, "ATTACHMENT_ID")
		wantReason(w.T, attach(NewAttachment{Kind: "good", ID: "silence"}), InvalidArgument, "ATTACHMENT_ID")
		wantReason(w.T, attach(NewAttachment{Kind: "good", Params: map[string]string{"y": "2"}}), InvalidArgument, "PARAM_UNKNOWN")
		err := attach(NewAttachment{Kind: "broken"})
		wantReason(w.T, err, FailedPrecondition, "ATTACH_FAILED")
		if !strings.Contains(err.Error(), "no disk: buy one") {
			w.Fatalf("the remedy is missing: %v", err)
		}
		for range 2 {
			if err := attach(NewAttachment{Kind: "good", ID: "r"}); err != nil {
				w.Fatal(err)
			}
		}
		wantReason(w.T, attach(NewAttachment{Kind: "good", ID: "r", Params: map[string]string{"x": "2"}}), AlreadyExists, "ATTACHMENT_EXISTS")
		_, err = w.edge.Select(w.Context(), "a", "r")
		wantReason(w.T, err, FailedPrecondition, "NOT_A_SOURCE")
		_, err = w.edge.Select(w.Context(), "a", "unknown")
		wantReason(w.T, err, NotFound, "ATTACHMENT_UNKNOWN")
		for range 2 {
			if v, err := w.edge.Detach(w.Context(), "a", "r"); err != nil || v.State != AttachmentDone {
				w.Fatalf("%v %+v", err, v)
			}
		}
		wantReason(w.T, attach(NewAttachment{Kind: "good", ID: "r"}), AlreadyExists, "ATTACHMENT_EXISTS")
		w.edge.End(w.Context(), "a", "")
		wantReason(w.T, attach(NewAttachment{Kind: "good"}), FailedPrecondition, "CALL_ENDED")
	})
}

func TestLegIsBridgedAndItsPortIsGivenBack(t *testing.T) {
	leg := func(_ *config.Config, kinds map[string]Kind) {
		kinds["leg"] = Kind{Name: "leg", CanSource: true, Direction: sink.Both, Open: func(context.Context, OpenRequest) (Opened, error) {
			return Opened{Leg: &shard.LegConfig{Peer: meta4, OpusPT: 96, DTMFPT: 97}}, nil
		}}
	}
	inWorld(t, leg, func(w *world) {
		w.connected("a")
		v, err := w.edge.Attach(w.Context(), "a", NewAttachment{ID: "pbx", Kind: "leg"})
		if err != nil || v.Result["local"] == "" {
			w.Fatalf("%v %+v", err, v)
		}
		if v, err := w.edge.Select(w.Context(), "a", "pbx"); err != nil || v.Source != "pbx" {
			w.Fatalf("%v %q", err, v.Source)
		}
		if _, err := w.edge.Detach(w.Context(), "a", "pbx"); err != nil {
			w.Fatal(err)
		}
		if v := w.get("a"); v.Source != "silence" {
			w.Fatalf("the source of a detached leg is %q", v.Source)
		}
		if n := w.edge.Node().PortsResting; n != 1 {
			w.Fatalf("%d ports rest, want the leg's", n)
		}
	})
}

func TestDrainLetsLiveCallsGoOnAndThenEndsThem(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		f := w.connected("a")
		ctx, cancel := context.WithCancel(w.Context())
		done := make(chan struct{})
		go func() { w.edge.Drain(ctx); close(done) }()
		w.pass(10 * time.Second)
		n := f.packets()
		_, err := w.edge.Create(w.Context(), NewCall{ID: "b", Direction: BusinessInitiated})
		wantReason(w.T, err, Unavailable, "DRAINING")
		w.pass(10 * time.Second)
		if got := f.packets() - n; got < 499 {
			w.Fatalf("%d packets in 10 s of draining", got)
		}
		cancel()
		<-done
		w.pass(time.Second)
		if v := w.peek("a"); v.State != StateEnded || v.EndReason != EndDrained {
			w.Fatalf("%v %v", v.State, v.EndReason)
		}
	})
}

func TestChurnReturnsToTheBaseline(t *testing.T) {
	ports := func(c *config.Config, _ map[string]Kind) { c.Media.PortRest = time.Second }
	inWorld(t, ports, func(w *world) {
		w.pass(time.Second)
		before := relayGoroutines()
		for i := range 300 { // each ended at another moment of its life
			id := fmt.Sprint(i)
			w.ring(id, icetest.CallOptions{})
			w.pass(time.Duration(i%60) * 5 * time.Millisecond)
			if i%3 == 0 {
				w.open(id)
			}
			if _, err := w.edge.End(w.Context(), id, ""); err != nil {
				w.Fatal(err)
			}
		}
		w.pass(3 * time.Second)
		n := w.edge.Node()
		if n.Calls != 0 || n.PortsResting != 0 || relayGoroutines() != before {
			w.Fatalf("%d calls, %d ports rest, %d goroutines (%d before)", n.Calls, n.PortsResting, relayGoroutines(), before)
		}
		for at, s := range w.edge.shards {
			s.Wait(func(t *shard.Turn) {
				if c := t.Core.Calls(); c != 0 {
					w.Errorf("shard %d holds %d calls", at, c)
				}
			})
		}
	})
}
