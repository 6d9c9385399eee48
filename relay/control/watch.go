package control

import (
	"context"
	"time"

	"google.golang.org/grpc"

	"github.com/onelane/onelane/relay"
	pb "github.com/onelane/onelane/relay/control/controlpb"
)

var errStopping = &relay.Error{
	Code: relay.Unavailable, Reason: "EDGE_STOPPING", Message: "the edge stops; resume this watch with its last resume token",
}

// lastWords is how long an edge that stops has nothing more to tell before its watches end. One that is closed ends them at once.
const lastWords = 100 * time.Millisecond

// watch feeds one WatchEvents stream. Its goroutine is the one that Edge.Watch blocks; the RPC's own goroutine alone sends.
type watch struct {
	edge    Edge
	guard   *guard
	options relay.WatchOptions
	items   chan *pb.WatchEventsResponse // closed when the edge's Watch is over
	err     error                        // set before items is closed
}

func (s *service) WatchEvents(r *pb.WatchEventsRequest, stream grpc.ServerStreamingServer[pb.WatchEventsResponse]) error {
	o, err := decodeWatch(r)
	if err != nil {
		return err
	}
	if p, ok := s.edge.(Positioner); ok && o.Resume == "" {
		o.Resume = p.Position()
	}
	ctx, cancel := context.WithCancel(stream.Context())
	w := &watch{edge: s.edge, guard: s.guard, options: o, items: make(chan *pb.WatchEventsResponse)}
	go w.run(ctx)
	defer func() {
		cancel()
		for range w.items { // until the edge has let go
		}
	}()
	return s.forward(w, stream)
}

// forward sends what the watch feeds, and keepalives while it feeds nothing. A client that does not read blocks Send, so the edge's
// Watch waits and, in the end, tells a gap: nothing is buffered here.
func (s *service) forward(w *watch, stream grpc.ServerStreamingServer[pb.WatchEventsResponse]) error {
	token := w.options.Resume
	alive := func() error {
		return stream.Send(&pb.WatchEventsResponse{Item: &pb.WatchEventsResponse_Keepalive{Keepalive: &pb.Keepalive{}}, ResumeToken: token})
	}
	if err := alive(); err != nil {
		return err
	}
	tick := time.NewTicker(keepaliveInterval)
	defer tick.Stop()
	stopping, quiet := s.stopping, (<-chan time.Time)(nil)
	for {
		if stopping == nil {
			quiet = time.After(lastWords)
		}
		select {
		case item, ok := <-w.items:
			switch {
			case !ok && w.err != nil:
				return w.err
			case !ok:
				return errStopping
			case item.ResumeToken == "":
				item.ResumeToken = token // a gap has no place of its own: resuming there tells it again
			}
			token = item.ResumeToken
			if err := stream.Send(item); err != nil {
				return err
			}
			tick.Reset(keepaliveInterval)
		case <-tick.C:
			if err := alive(); err != nil {
				return err
			}
		case <-stopping:
			stopping = nil // what has happened is told first, how the calls ended above all
		case <-quiet:
			return errStopping
		case <-stream.Context().Done():
			return stream.Context().Err()
		}
	}
}

// run blocks in the edge's Watch. It ends when ctx does or the edge closes; WatchEvents awaits it.
func (w *watch) run(ctx context.Context) {
	defer close(w.items)
	defer func() {
		if v := recover(); v != nil {
			w.err = w.guard.panicked(pb.RelayService_WatchEvents_FullMethodName, v)
		}
	}()
	give := func(item *pb.WatchEventsResponse) error {
		select {
		case w.items <- item:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	w.err = w.edge.Watch(ctx, w.options, func(e relay.Event, token string) error {
		return give(&pb.WatchEventsResponse{Item: &pb.WatchEventsResponse_Event{Event: encodeEvent(&e)}, ResumeToken: token})
	}, func(g relay.Gap) error {
		return give(&pb.WatchEventsResponse{Item: &pb.WatchEventsResponse_Gap{Gap: &pb.Gap{FirstSequence: g.From, LastSequence: g.To}}})
	})
}
