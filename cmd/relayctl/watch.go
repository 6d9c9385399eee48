package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/onelane/onelane/relay/control/controlpb"
)

// Waits before a lost watch is tried again: the first is short, since most edges are back or were never gone.
const firstWait, longestWait = 200 * time.Millisecond, 5 * time.Second

// watching is one watch over all its connections.
type watching struct {
	app     *app
	request pb.WatchEventsRequest // resume_token follows what was seen
	count   int                   // end after so many events; 0: never
	until   pb.EventKind          // end after one of this kind
	tokens  bool
	seen    int
	begun   bool // the edge has answered at least once
	fresh   bool // something came over the present connection
}

var errEnough = errors.New("all that was asked for has been seen")

func (a *app) watch() *cobra.Command {
	w := &watching{app: a}
	var until string
	c := &cobra.Command{
		Use:   "watch [CALL...]",
		Short: "Print what happens to calls, as it happens",
		Long: `Print what happens to calls, as it happens: to the calls named, or to all. A connection that is lost is made again, and the watch goes on where
it was; events that the edge no longer has are told as a gap. With --json every line is {"event":...} or {"gap":...}, each with its
resume_token. Interrupting it is not a failure.`,
		Example:           `  relayctl watch --json | jq 'select(.event.kind == "EVENT_KIND_CALL_ENDED")'`,
		ValidArgsFunction: a.completeCalls(false),
		RunE: func(c *cobra.Command, args []string) error {
			if until != "" {
				kind, ok := pb.EventKind_value["EVENT_KIND_"+strings.ToUpper(until)]
				if !ok || kind == 0 {
					return usage("--until %s: there is no such event; those there are: %s", until, strings.Join(eventNames(), ", "))
				}
				w.until = pb.EventKind(kind)
			}
			if w.count < 0 {
				return usage("--count %d is negative", w.count)
			}
			w.request.CallIds = args
			return w.run(c.Context())
		},
	}
	f := c.Flags()
	f.StringVar(&w.request.Tenant, "tenant", "", "only events of this tenant's calls")
	f.StringVar(&w.request.ResumeToken, "resume", "", "go on after this resume token; default: from now on")
	f.IntVar(&w.count, "count", 0, "end after so many events; 0: never")
	f.StringVar(&until, "until", "", "end after an event of this kind, such as call_ended")
	f.BoolVar(&w.tokens, "tokens", false, "print resume tokens too")
	_ = c.RegisterFlagCompletionFunc("until", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return eventNames(), cobra.ShellCompDirectiveNoFileComp
	})
	return c
}

func eventNames() []string {
	var out []string
	for n := 1; n < len(pb.EventKind_name); n++ {
		out = append(out, short(pb.EventKind(n)))
	}
	return out
}

// run watches until enough was seen, the context ends, or the edge refuses. An edge that was never reached is a failure; one that was
// lost is waited for.
func (w *watching) run(ctx context.Context) error {
	conn, err := w.app.connect.dial()
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	edge := pb.NewRelayServiceClient(conn)
	wait := firstWait
	for {
		w.fresh = false
		err := w.connection(ctx, edge)
		switch {
		case errors.Is(err, errEnough), ctx.Err() != nil:
			return nil
		case !w.begun, !lost(err):
			return err
		}
		if w.fresh {
			wait = firstWait
		}
		pause := wait/2 + rand.N(wait/2) // spread, so that a thousand watchers do not come back at once
		fmt.Fprintf(w.app.stderr, "relayctl: connection lost (%s); resuming in %v\n",
			clean(cause(status.Convert(err).Message())), pause.Round(time.Millisecond))
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil
		}
		wait = min(2*wait, longestWait)
	}
}

// lost says whether a watch ended because its connection did, or because its edge stopped.
func lost(err error) bool {
	switch status.Code(err) {
	case codes.Unavailable, codes.DeadlineExceeded:
		return true
	case codes.Internal, codes.Unknown: // a stream reset on the way has no details; an edge's own error has
		return len(status.Convert(err).Details()) == 0
	}
	return false
}

// connection watches over one connection, until it ends.
func (w *watching) connection(ctx context.Context, edge pb.RelayServiceClient) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// The first item comes at once. Without one there is an edge that accepts connections and does nothing.
	late := time.AfterFunc(w.app.timeout, cancel)
	defer late.Stop()
	stream, err := edge.WatchEvents(ctx, &w.request)
	if err != nil {
		return err
	}
	for {
		item, err := stream.Recv()
		if err != nil {
			if !w.fresh && ctx.Err() != nil {
				return status.Error(codes.DeadlineExceeded, "no answer in time")
			}
			return err
		}
		late.Stop()
		w.begun, w.fresh = true, true
		if err := w.print(item); err != nil {
			return err
		}
		if item.GetResumeToken() != "" {
			w.request.ResumeToken = item.GetResumeToken()
		}
		if e := item.GetEvent(); e != nil {
			w.seen++
			if w.count > 0 && w.seen >= w.count || w.until != 0 && e.GetKind() == w.until {
				return errEnough
			}
		}
	}
}

func (w *watching) print(item *pb.WatchEventsResponse) error {
	if item.GetKeepalive() != nil {
		return nil
	}
	if w.app.out.json {
		return w.app.out.object(item, nil)
	}
	line := ""
	if g := item.GetGap(); g != nil {
		line = fmt.Sprintf("GAP  events %d to %d are gone; look at the calls themselves", g.GetFirstSequence(), g.GetLastSequence())
	} else {
		line = eventLine(item.GetEvent())
	}
	if w.tokens {
		line += "  " + item.GetResumeToken()
	}
	_, err := fmt.Fprintln(w.app.out.w, clean(line))
	return err
}

func eventLine(e *pb.Event) string {
	out := []string{e.GetTime().AsTime().Format("15:04:05.000"), fmt.Sprintf("%-22s", dash(short(e.GetKind()))), e.GetCallId()}
	m := e.ProtoReflect()
	if detail := m.WhichOneof(m.Descriptor().Oneofs().ByName("detail")); detail != nil {
		out = append(out, words(m.Get(detail).Message())...)
	}
	return strings.Join(out, "  ")
}
