package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	pb "github.com/onelane/onelane/relay/control/controlpb"
)

func (a *app) node() *cobra.Command {
	return &cobra.Command{
		Use:   "node",
		Short: "Show the edge: version, capacity, load, and what can be attached",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.request(c, func(ctx context.Context, edge pb.RelayServiceClient) error {
				out, err := edge.GetNode(ctx, &pb.GetNodeRequest{})
				if err != nil {
					return err
				}
				return a.out.object(out.GetNode(), func(t *table) { showNode(t, out.GetNode()) })
			})
		},
	}
}

func showNode(t *table, n *pb.Node) {
	t.row("version", n.GetVersion())
	t.row("started", stamp(n.GetStartTime()))
	if n.GetDraining() {
		t.row("draining", "yes: no new calls")
	}
	t.row("calls", fmt.Sprintf("%d of %d (limited by %s)", n.GetCalls(), n.GetCallsLimit(), short(n.GetLimitedBy())))
	t.row("attachments", strconv.Itoa(int(n.GetAttachments())))
	t.row("shards", strconv.Itoa(int(n.GetShards())))
	t.row("media", fmt.Sprintf("%s, ports %d to %d, %d resting", strings.Join(n.GetMediaAddresses(), " "), n.GetPortMin(), n.GetPortMax(), n.GetPortsResting()))
	t.row("packets", fmt.Sprintf("%d received, %d sent", n.GetPacketsReceived(), n.GetPacketsSent()))
	if n.GetViolations() > 0 {
		t.row("VIOLATIONS", strconv.FormatUint(n.GetViolations(), 10))
	}
	t.field("drops", counts(n.GetDrops()))
	showProcess(t, n)
	for _, k := range n.GetKinds() {
		t.row("", "")
		source := ""
		if k.GetCanSource() {
			source = " (a source)"
		}
		t.row("kind "+k.GetName(), k.GetDoc()+source)
		for _, p := range k.GetParams() {
			t.row("  "+p.GetName()+"=", p.GetDoc()+hint(p))
		}
	}
}

// showProcess tells what the edge's process holds and what its media loops did; an older edge does not say.
func showProcess(t *table, n *pb.Node) {
	if p := n.GetProcess(); p != nil {
		pause := "never stood still"
		if p.GetGcPauseMax() != nil {
			pause = "longest pause at most " + p.GetGcPauseMax().AsDuration().Round(time.Microsecond).String()
		}
		t.row("process", fmt.Sprintf("%d goroutines, heap %s (%s alive), stacks %s, %d of %d descriptors",
			p.GetGoroutines(), megabytes(p.GetHeapBytes()), megabytes(p.GetHeapLiveBytes()), megabytes(p.GetStackBytes()), p.GetDescriptors(), p.GetDescriptorsLimit()))
		t.row("collector", fmt.Sprintf("%d cycles, %s", p.GetGcCycles(), pause))
	}
	if m := n.GetMediaPlane(); m != nil {
		t.row("sockets", fmt.Sprintf("%d wake-ups, %d system calls, %s received, %s sent, receive errors %d",
			m.GetWakeups(), m.GetSystemCalls(), megabytes(m.GetBytesReceived()), megabytes(m.GetBytesSent()), m.GetReceiveErrors()))
		if m.GetEventsLost() > 0 {
			t.row("EVENTS LOST", strconv.FormatUint(m.GetEventsLost(), 10))
		}
		if m.GetPanics() > 0 {
			t.row("PANICS", strconv.FormatUint(m.GetPanics(), 10))
		}
	}
}

func megabytes(n uint64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }

func hint(p *pb.KindParameter) string {
	switch {
	case p.GetRequired():
		return " (required)"
	case p.GetDefaultValue() != "":
		return " (default " + p.GetDefaultValue() + ")"
	}
	return ""
}
