package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/onelane/onelane/relay"
	pb "github.com/onelane/onelane/relay/control/controlpb"
	"github.com/onelane/onelane/relay/control/controltest"
)

// receive gives the next item that is no keepalive.
func receive(t *testing.T, s pb.RelayService_WatchEventsClient) *pb.WatchEventsResponse {
	t.Helper()
	for {
		item, err := s.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if item.GetKeepalive() == nil {
			return item
		}
	}
}

func TestEveryEventHasItsKindAndDetail(t *testing.T) {
	details := map[string]bool{}
	for k := relay.EventCallCreated; k <= relay.EventCallEnded; k++ {
		out := encodeEvent(&relay.Event{Seq: 7, Time: controltest.Start, Kind: k, CallID: "a", Quality: &relay.CallStats{}})
		detail := fmt.Sprintf("%T", out.GetDetail())
		if out.GetKind() == pb.EventKind_EVENT_KIND_UNSPECIFIED || out.GetDetail() == nil || details[detail] {
			t.Errorf("kind %d: %v", k, out)
		}
		if int(out.GetKind()) != int(k) {
			t.Errorf("kind %d is %v", k, out.GetKind())
		}
		details[detail] = true
	}
	if n := len(pb.EventKind_name) - 1; len(details) != n {
		t.Errorf("%d kinds in the API, %d encoded", n, len(details))
	}
}

func TestEventsCarryWhatHappened(t *testing.T) {
	edge, c := client(t)
	stream, err := c.WatchEvents(within(t), &pb.WatchEventsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if first, err := stream.Recv(); err != nil || first.GetKeepalive() == nil || first.GetResumeToken() == "" {
		t.Fatalf("first item: %v, %v", first, err)
	}
	edge.Emit(relay.Event{Kind: relay.EventDigit, CallID: "a", Tenant: "acme", Digit: "#", Duration: 120 * time.Millisecond})
	edge.Emit(relay.Event{Kind: relay.EventSourceEnded, CallID: "a", Attachment: "greeting", Duration: 3 * time.Second})
	edge.Emit(relay.Event{Kind: relay.EventDetached, CallID: "a", Attachment: "rec", Result: map[string]string{"path": "x.opus"}})
	edge.Emit(relay.Event{Kind: relay.EventQuality, CallID: "a", Quality: &relay.CallStats{PacketsLost: 4, HasRemote: true, RemoteFractionLost: 0.25}})
	edge.Emit(relay.Event{Kind: relay.EventCallEnded, CallID: "a", Reason: relay.EndConsentLost, Message: "m\xff"})
	digit := receive(t, stream).GetEvent()
	if digit.GetSequence() != 1 || digit.GetCallId() != "a" || digit.GetTenant() != "acme" || digit.GetTime() == nil ||
		digit.GetDigitReceived().GetDigit() != "#" || digit.GetDigitReceived().GetDuration().AsDuration() != 120*time.Millisecond {
		t.Errorf("digit: %v", digit)
	}
	if e := receive(t, stream).GetEvent().GetSourceEnded(); e.GetAttachmentId() != "greeting" || e.GetSent().AsDuration() != 3*time.Second {
		t.Errorf("source ended: %v", e)
	}
	if e := receive(t, stream).GetEvent().GetDetached(); e.GetResult()["path"] != "x.opus" {
		t.Errorf("detached: %v", e)
	}
	if s := receive(t, stream).GetEvent().GetQualityMeasured().GetStats(); s.GetPacketsLost() != 4 || s.GetRemote().GetFractionLost() != 0.25 {
		t.Errorf("quality: %v", s)
	}
	if e := receive(t, stream).GetEvent().GetCallEnded(); e.GetReason() != pb.EndReason_END_REASON_CONSENT_LOST || e.GetMessage() != "m\uFFFD" {
		t.Errorf("ended: %v", e)
	}
}

func TestWatchResumesWhereItStopped(t *testing.T) {
	edge, c := client(t)
	token, next := "", uint64(1)
	for round := range 5 {
		ctx, cancel := context.WithCancel(within(t))
		stream, err := c.WatchEvents(ctx, &pb.WatchEventsRequest{ResumeToken: token})
		if err != nil {
			t.Fatal(err)
		}
		if round == 0 { // from now on: wait until now is fixed
			first, err := stream.Recv()
			if err != nil {
				t.Fatal(err)
			}
			token = first.GetResumeToken()
		}
		for range 3 {
			edge.Emit(relay.Event{Kind: relay.EventCallCreated, CallID: "a"})
		}
		for range 2 { // one is left for the next round
			item := receive(t, stream)
			if item.GetEvent().GetSequence() != next {
				t.Fatalf("round %d: got %d, want %d", round, item.GetEvent().GetSequence(), next)
			}
			next++
			token = item.GetResumeToken()
		}
		cancel()
	}
}

func TestWatchLosesNothingBeforeItsFirstEvent(t *testing.T) {
	edge, c := client(t)
	ctx, cancel := context.WithCancel(within(t))
	stream, err := c.WatchEvents(ctx, &pb.WatchEventsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	first, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	cancel() // the connection breaks
	edge.Emit(relay.Event{Kind: relay.EventCallCreated, CallID: "a"})
	again, err := c.WatchEvents(within(t), &pb.WatchEventsRequest{ResumeToken: first.GetResumeToken()})
	if err != nil {
		t.Fatal(err)
	}
	if item := receive(t, again); item.GetEvent().GetSequence() != 1 {
		t.Errorf("got %v", item)
	}
}

func TestWatchTellsWhatIsGone(t *testing.T) {
	edge, c := client(t)
	edge.Keep(2)
	for range 10 {
		edge.Emit(relay.Event{Kind: relay.EventCallCreated, CallID: "a"})
	}
	stream, err := c.WatchEvents(within(t), &pb.WatchEventsRequest{ResumeToken: "3"})
	if err != nil {
		t.Fatal(err)
	}
	gap := receive(t, stream)
	if gap.GetGap().GetFirstSequence() != 4 || gap.GetGap().GetLastSequence() != 8 || gap.GetResumeToken() != "3" {
		t.Errorf("gap: %v", gap)
	}
	if e := receive(t, stream); e.GetEvent().GetSequence() != 9 || e.GetResumeToken() != "9" {
		t.Errorf("event: %v", e)
	}
}

func TestWatchOfABadTokenIsRefused(t *testing.T) {
	_, c := client(t)
	err := firstEventOrError(c.WatchEvents(within(t), &pb.WatchEventsRequest{ResumeToken: "nonsense"}))
	if info, _, _ := details(err); status.Code(err) != codes.InvalidArgument || info.GetReason() != "RESUME_TOKEN_INVALID" {
		t.Error(err)
	}
}

func TestAStoppingServerEndsWatches(t *testing.T) {
	edge := controltest.New()
	l := bufconn.Listen(1 << 20)
	s, err := New(Options{Edge: edge, Log: (&journal{}).logger(), AllowPlaintext: true})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	conn := dialMemory(t, l)
	stream, err := pb.NewRelayServiceClient(conn).WatchEvents(within(t), &pb.WatchEventsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	cancel()
	_, err = stream.Recv()
	if info, _, retry := details(err); status.Code(err) != codes.Unavailable || info.GetReason() != "EDGE_STOPPING" || retry == nil {
		t.Errorf("the watch ended with %v", err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// pipe is a stream that hands over what is sent, when the test takes it.
type pipe struct {
	ctx  context.Context
	sent chan *pb.WatchEventsResponse
}

func (p *pipe) Send(item *pb.WatchEventsResponse) error {
	select {
	case p.sent <- item:
		return nil
	case <-p.ctx.Done():
		return io.ErrClosedPipe
	}
}
func (p *pipe) Context() context.Context     { return p.ctx }
func (p *pipe) SetHeader(metadata.MD) error  { return nil }
func (p *pipe) SendHeader(metadata.MD) error { return nil }
func (p *pipe) SetTrailer(metadata.MD)       {}
func (p *pipe) SendMsg(any) error            { return nil }
func (p *pipe) RecvMsg(any) error            { return nil }

func TestAQuietWatchSaysThatItIsAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		edge := controltest.New()
		s := &service{edge: edge, guard: &guard{log: (&journal{}).logger()}, stopping: make(chan struct{})}
		ctx, cancel := context.WithCancel(context.Background())
		p := &pipe{ctx: ctx, sent: make(chan *pb.WatchEventsResponse)}
		done := make(chan error)
		go func() { done <- s.WatchEvents(&pb.WatchEventsRequest{}, p) }()
		<-p.sent
		start := time.Now()
		for i := 1; i <= 3; i++ {
			if item := <-p.sent; item.GetKeepalive() == nil || time.Since(start) != time.Duration(i)*15*time.Second {
				t.Errorf("after %v: %v", time.Since(start), item)
			}
		}
		edge.Emit(relay.Event{Kind: relay.EventCallCreated, CallID: "a"})
		<-p.sent
		if item := <-p.sent; item.GetResumeToken() != "1" {
			t.Errorf("a keepalive does not resume after the last event: %v", item)
		}
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

// What happened before the edge stopped is told, though the watch learns of the stop first.
func TestAWatchTellsTheLastEventsBeforeTheEdgeStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		edge := controltest.New()
		stopping := make(chan struct{})
		s := &service{edge: edge, guard: &guard{log: (&journal{}).logger()}, stopping: stopping}
		p := &pipe{ctx: t.Context(), sent: make(chan *pb.WatchEventsResponse)}
		done := make(chan error, 1)
		go func() { done <- s.WatchEvents(&pb.WatchEventsRequest{}, p) }()
		<-p.sent
		close(stopping)
		const last = 20
		for range last {
			edge.Emit(relay.Event{Kind: relay.EventCallEnded, CallID: "a"})
		}
		for i := range last {
			select {
			case <-p.sent:
			case err := <-done:
				t.Fatalf("the watch ended after %d of %d events: %v", i, last, err)
			}
		}
		if err := <-done; !errors.Is(err, errStopping) {
			t.Error(err)
		}
	})
}

func TestAReaderThatStopsReadingStopsOnlyItsWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		edge := controltest.New()
		edge.Keep(10)
		s := &service{edge: edge, guard: &guard{log: (&journal{}).logger()}, stopping: make(chan struct{})}
		ctx, cancel := context.WithCancel(context.Background())
		p := &pipe{ctx: ctx, sent: make(chan *pb.WatchEventsResponse)}
		done := make(chan error)
		go func() { done <- s.WatchEvents(&pb.WatchEventsRequest{}, p) }()
		<-p.sent
		for range 1000 { // nobody reads: Emit never waits, and nothing piles up
			edge.Emit(relay.Event{Kind: relay.EventCallCreated, CallID: "a"})
			synctest.Wait()
		}
		var lost, seen uint64
		for seen+lost < 1000 {
			item := <-p.sent
			if g := item.GetGap(); g != nil {
				lost += g.GetLastSequence() - g.GetFirstSequence() + 1
			} else if item.GetEvent() != nil {
				seen++
			}
		}
		if seen+lost != 1000 || lost < 900 {
			t.Errorf("%d seen, %d told as lost", seen, lost)
		}
		cancel()
		<-done
	})
}
