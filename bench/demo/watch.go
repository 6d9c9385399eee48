package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"

	pb "github.com/onelane/onelane/relay/control/controlpb"
)

// watch keeps the edge's events: it follows WatchEvents from before the first call until the edge stops.
type watch struct {
	cancel context.CancelFunc
	ready  chan struct{} // closed with the stream's first item
	done   chan struct{}

	mu     sync.Mutex // guards what follows
	events map[string][]*pb.Event
	more   chan struct{} // closed and made anew with every item
	gaps   int
	err    error
	over   bool
}

func newWatch(api pb.RelayServiceClient) (*watch, error) {
	ctx, cancel := context.WithCancel(context.Background())
	stream, err := api.WatchEvents(ctx, &pb.WatchEventsRequest{}, grpc.WaitForReady(true))
	if err != nil {
		cancel()
		return nil, fmt.Errorf("watch events: %w", err)
	}
	w := &watch{
		cancel: cancel, ready: make(chan struct{}), done: make(chan struct{}),
		events: make(map[string][]*pb.Event), more: make(chan struct{}),
	}
	go w.run(stream)
	return w, nil
}

func (w *watch) run(stream grpc.ServerStreamingClient[pb.WatchEventsResponse]) {
	defer close(w.done)
	first := true
	for {
		item, err := stream.Recv()
		w.mu.Lock()
		switch i := item.GetItem().(type) {
		case *pb.WatchEventsResponse_Event:
			id := i.Event.GetCallId()
			w.events[id] = append(w.events[id], i.Event)
		case *pb.WatchEventsResponse_Gap:
			w.gaps++
		}
		if err != nil {
			w.err, w.over = err, true
		}
		close(w.more)
		w.more = make(chan struct{})
		w.mu.Unlock()
		if first {
			first = false
			close(w.ready)
		}
		if err != nil {
			return
		}
	}
}

// close ends the stream.
func (w *watch) close() {
	w.cancel()
	<-w.done
}

// of gives a call's events of one kind.
func (w *watch) of(id string, kind pb.EventKind) []*pb.Event {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.find(id, kind)
}

// find is held under mu.
func (w *watch) find(id string, kind pb.EventKind) []*pb.Event {
	var found []*pb.Event
	for _, e := range w.events[id] {
		if e.GetKind() == kind {
			found = append(found, e)
		}
	}
	return found
}

// await waits for the first event of a kind. The end of the call ends the waiting.
func (w *watch) await(ctx context.Context, id string, kind pb.EventKind) (*pb.Event, error) {
	for {
		w.mu.Lock()
		found, ended := w.find(id, kind), w.find(id, pb.EventKind_EVENT_KIND_CALL_ENDED)
		more, over, err := w.more, w.over, w.err
		w.mu.Unlock()
		switch {
		case len(found) > 0:
			return found[0], nil
		case len(ended) > 0:
			e := ended[0].GetCallEnded()
			return nil, fmt.Errorf("the edge ended the call: %v: %s", e.GetReason(), e.GetMessage())
		case over:
			return nil, fmt.Errorf("the stream of events ended: %w", err)
		}
		select {
		case <-more:
		case <-ctx.Done():
			return nil, fmt.Errorf("no event %v: %w", kind, context.Cause(ctx))
		}
	}
}

// digits are those that the edge heard on a call, with their lengths.
func (w *watch) digits(id string) (digits string, lengths []time.Duration) {
	for _, e := range w.of(id, pb.EventKind_EVENT_KIND_DIGIT_RECEIVED) {
		digits += e.GetDigitReceived().GetDigit()
		lengths = append(lengths, e.GetDigitReceived().GetDuration().AsDuration())
	}
	return digits, lengths
}

// failed lists the attachments that the edge told as failing.
func (w *watch) failed(id string) []string {
	var found []string
	for _, e := range w.of(id, pb.EventKind_EVENT_KIND_ATTACHMENT_FAILED) {
		found = append(found, e.GetAttachmentFailed().GetAttachmentId()+": "+e.GetAttachmentFailed().GetMessage())
	}
	return slices.Compact(found)
}
