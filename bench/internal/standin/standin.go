// Package standin serves as much of the control API as a load tool needs, in the place of relayd, so that another relay can be put under
// exactly the same load: the same phones, packets and sockets, counted by the same program.
package standin

import (
	"context"
	"fmt"
	"net"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/onelane/onelane/relay/control/controlpb"
)

// Relay is what is measured in relayd's place. Its methods are called from any goroutine.
type Relay interface {
	// Name says what it is.
	Name() string
	// Answer takes a phone's offer and sends its packets back to it from then on. end takes the call down.
	Answer(ctx context.Context, offer string) (answer string, end func(), err error)
	// Packets is how many RTP packets it has received and sent so far.
	Packets() (received, sent uint64)
}

// server is the API in front of a Relay.
type server struct {
	controlpb.UnimplementedRelayServiceServer
	relay Relay

	mu    sync.Mutex
	calls map[string]func() // how to end each
}

// Serve serves the API until the listener is closed. ready is called once it listens.
func Serve(r Relay, address string, ready func(address string)) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("listen for the control API: %w", err)
	}
	g := grpc.NewServer()
	controlpb.RegisterRelayServiceServer(g, &server{relay: r, calls: map[string]func(){}})
	ready(l.Addr().String())
	return g.Serve(l)
}

func (s *server) CreateCall(ctx context.Context, r *controlpb.CreateCallRequest) (*controlpb.CreateCallResponse, error) {
	answer, end, err := s.relay.Answer(ctx, r.GetSdpOffer())
	if err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	s.mu.Lock()
	s.calls[r.GetCallId()] = end
	s.mu.Unlock()
	return &controlpb.CreateCallResponse{Call: &controlpb.Call{CallId: r.GetCallId(), LocalSdp: answer}}, nil
}

func (s *server) EndCall(_ context.Context, r *controlpb.EndCallRequest) (*controlpb.EndCallResponse, error) {
	s.mu.Lock()
	end := s.calls[r.GetCallId()]
	delete(s.calls, r.GetCallId())
	s.mu.Unlock()
	if end == nil {
		return nil, status.Error(codes.NotFound, "no such call")
	}
	end()
	return &controlpb.EndCallResponse{}, nil
}

func (s *server) GetNode(context.Context, *controlpb.GetNodeRequest) (*controlpb.GetNodeResponse, error) {
	received, sent := s.relay.Packets()
	return &controlpb.GetNodeResponse{Node: &controlpb.Node{Version: s.relay.Name(), PacketsReceived: received, PacketsSent: sent}}, nil
}

// A call echoes from its beginning: what attaches and selects is only asked for because relayd needs it.

func (*server) OpenMedia(context.Context, *controlpb.OpenMediaRequest) (*controlpb.OpenMediaResponse, error) {
	return &controlpb.OpenMediaResponse{}, nil
}

func (*server) Attach(context.Context, *controlpb.AttachRequest) (*controlpb.AttachResponse, error) {
	return &controlpb.AttachResponse{}, nil
}

func (*server) SelectSource(context.Context, *controlpb.SelectSourceRequest) (*controlpb.SelectSourceResponse, error) {
	return &controlpb.SelectSourceResponse{}, nil
}

// WatchEvents has nothing to tell.
func (*server) WatchEvents(_ *controlpb.WatchEventsRequest, stream grpc.ServerStreamingServer[controlpb.WatchEventsResponse]) error {
	<-stream.Context().Done()
	return nil
}
