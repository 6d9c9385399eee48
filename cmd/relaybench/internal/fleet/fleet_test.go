//go:build linux

package fleet

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/onelane/onelane/cmd/relaybench/internal/farend"
	"github.com/onelane/onelane/ice/secure"
	"github.com/onelane/onelane/relay/control/controlpb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func refusal(t *testing.T, reason string, delay time.Duration) error {
	t.Helper()
	s, err := status.New(codes.ResourceExhausted, reason).WithDetails(
		&errdetails.ErrorInfo{Reason: reason}, &errdetails.RetryInfo{RetryDelay: durationpb.New(delay)})
	if err != nil {
		t.Fatal(err)
	}
	return s.Err()
}

func TestOnlyWhatPassesIsAskedForAgain(t *testing.T) {
	for _, c := range []struct {
		err   error
		tries int
		delay time.Duration
		again bool
	}{
		{refusal(t, "QUOTA_EXCEEDED", 70*time.Millisecond), 5000, 70 * time.Millisecond, true},
		{refusal(t, "PORTS_EXHAUSTED", 30*time.Second), 0, portDelay, true},
		{refusal(t, "PORTS_EXHAUSTED", 30*time.Second), portTries, portDelay, false},
		{refusal(t, "CALLS_EXHAUSTED", time.Second), 0, 0, false},
		{errors.New("gone"), 0, 0, false},
	} {
		if delay, again := retry(c.err, c.tries); delay != c.delay || again != c.again {
			t.Errorf("%v, try %d: %v, %v", c.err, c.tries, delay, again)
		}
	}
}

func TestManyControllersNeedLoopback(t *testing.T) {
	for _, c := range []struct {
		address         string
		n, calls, conns int
	}{{"127.0.0.1:1", 0, 10, 1}, {"127.0.0.1:1", 0, 4000, 9}, {"192.0.2.1:1", 0, 4000, 1}, {"127.0.0.1:1", 3, 10, 3}, {"192.0.2.1:1", 2, 10, 0}} {
		conns, err := Dial(c.address, c.n, c.calls)
		if len(conns) != c.conns || (err != nil) != (c.conns == 0) {
			t.Errorf("%+v: %d connections, %v", c, len(conns), err)
		}
		for _, conn := range conns {
			conn.Close()
		}
	}
}

// edge is a relay that refuses the first create of each call by its quota, and whose calls never get keys.
type edge struct {
	controlpb.UnimplementedRelayServiceServer
	mu     sync.Mutex
	asked  map[string]int
	ended  map[string]bool
	events chan *controlpb.WatchEventsResponse
}

func (e *edge) CreateCall(_ context.Context, r *controlpb.CreateCallRequest) (*controlpb.CreateCallResponse, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.asked[r.CallId]++; e.asked[r.CallId] == 1 {
		s, _ := status.New(codes.ResourceExhausted, "quota").WithDetails(&errdetails.ErrorInfo{Reason: "QUOTA_EXCEEDED"},
			&errdetails.RetryInfo{RetryDelay: durationpb.New(time.Millisecond)})
		return nil, s.Err()
	}
	return &controlpb.CreateCallResponse{Call: &controlpb.Call{LocalSdp: "v=0\r\na=fingerprint:sha-256 00:11\r\na=ssrc:5 cname:x\r\n"}}, nil
}

func (e *edge) OpenMedia(context.Context, *controlpb.OpenMediaRequest) (*controlpb.OpenMediaResponse, error) {
	return nil, status.Error(codes.Internal, "no media today")
}

func (e *edge) EndCall(_ context.Context, r *controlpb.EndCallRequest) (*controlpb.EndCallResponse, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ended[r.CallId] = true
	return &controlpb.EndCallResponse{}, nil
}

func (e *edge) WatchEvents(_ *controlpb.WatchEventsRequest, s grpc.ServerStreamingServer[controlpb.WatchEventsResponse]) error {
	for {
		select {
		case <-s.Context().Done():
			return nil
		case m := <-e.events:
			if err := s.Send(m); err != nil {
				return err
			}
		}
	}
}

// serve gives a fleet on an edge.
func serve(t *testing.T, e *edge) *Fleet {
	t.Helper()
	exchange, err := farend.New(farend.Options{
		Local: netip.MustParseAddrPort("127.0.0.1:0"), Profile: secure.AEAD_AES_128_GCM, Payload: 80, Period: 20 * time.Millisecond, Slot: time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(exchange.Close)
	address, server := listen(t)
	controlpb.RegisterRelayServiceServer(server.Server, e)
	go server.serve()
	t.Cleanup(server.Stop)
	conns, err := Dial(address, 1, 1)
	if err != nil {
		t.Fatal(err)
	}
	f := New(Options{Controllers: []grpc.ClientConnInterface{conns[0]}, Exchange: exchange, Tenant: "t", Source: Silence, Parallel: 2})
	t.Cleanup(func() {
		if err := f.Close(context.Background()); err != nil {
			t.Error(err)
		}
		conns[0].Close()
	})
	return f
}

func TestSetUpThatFailsIsCountedAndLeavesNoCall(t *testing.T) {
	e := &edge{asked: map[string]int{}, ended: map[string]bool{}}
	f := serve(t, e)
	if err := f.Resize(t.Context(), 1); err == nil {
		t.Fatal("a call without media was set up")
	}
	timings := f.Timings()
	if timings.Failed != 1 || timings.Waited != 1 || timings.Keys.Count() != 0 || f.Size() != 0 {
		t.Errorf("%d failed, %d waited, %d keys, %d calls", timings.Failed, timings.Waited, timings.Keys.Count(), f.Size())
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.ended) != 1 {
		t.Errorf("%d calls were ended", len(e.ended))
	}
}

func TestCallThatEndsUnaskedIsTold(t *testing.T) {
	e := &edge{events: make(chan *controlpb.WatchEventsResponse)}
	f := serve(t, e)
	event := func(id string) *controlpb.WatchEventsResponse {
		return &controlpb.WatchEventsResponse{Item: &controlpb.WatchEventsResponse_Event{Event: &controlpb.Event{
			Kind: controlpb.EventKind_EVENT_KIND_CALL_ENDED, CallId: id,
			Detail: &controlpb.Event_CallEnded{CallEnded: &controlpb.CallEnded{Reason: controlpb.EndReason_END_REASON_CONSENT_LOST}},
		}}}
	}
	f.mu.Lock()
	f.ending["asked"] = true
	f.mu.Unlock()
	e.events <- event("asked")
	e.events <- event("unasked")
	e.events <- &controlpb.WatchEventsResponse{} // when this is taken, the one before has been sent
	deadline := time.After(5 * time.Second)
	for f.Ended()["consent_lost"] != 1 {
		select {
		case <-deadline:
			t.Fatalf("told: %v", f.Ended())
		case <-time.After(time.Millisecond):
		}
	}
	if len(f.Ended()) != 1 {
		t.Errorf("told: %v", f.Ended())
	}
}
