package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

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

func hint(p *pb.KindParameter) string {
	switch {
	case p.GetRequired():
		return " (required)"
	case p.GetDefaultValue() != "":
		return " (default " + p.GetDefaultValue() + ")"
	}
	return ""
}
