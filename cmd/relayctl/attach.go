package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/onelane/onelane/relay/control/controlpb"
)

func (a *app) attach() *cobra.Command {
	var id, direction string
	c := &cobra.Command{
		Use:   "attach CALL KIND [NAME=VALUE...]",
		Short: "Put a sink or a source on a call: a recording, a leg, a player",
		Long: `Put a sink or a source on a call. "relayctl node" lists the kinds and their parameters. A source is not heard before "relayctl source"
selects it.`,
		Example: `  relayctl attach wacid.HBgL recording
  relayctl attach wacid.HBgL player file=welcome.opus --id greeting && relayctl source wacid.HBgL greeting`,
		Args:              cobra.MinimumNArgs(2),
		ValidArgsFunction: a.completeCalls(false),
		RunE: func(c *cobra.Command, args []string) error {
			params, err := assignments(args[2:])
			if err != nil {
				return err
			}
			r := &pb.AttachRequest{CallId: args[0], Kind: args[1], AttachmentId: id, Params: params}
			if direction != "" {
				n, ok := pb.AudioDirection_value["AUDIO_DIRECTION_"+strings.ToUpper(direction)]
				if !ok || n == 0 {
					return usage("--direction %s: there are caller, business and both", direction)
				}
				r.Direction = pb.AudioDirection(n)
			}
			return a.request(c, func(ctx context.Context, edge pb.RelayServiceClient) error {
				out, err := edge.Attach(ctx, r)
				if err != nil {
					return err
				}
				return a.showAttachment(out.GetAttachment())
			})
		},
	}
	c.Flags().StringVar(&id, "id", "", "the attachment's name within the call; default: the edge chooses")
	c.Flags().StringVar(&direction, "direction", "", "whose voice: caller, business or both; default: the kind's")
	return c
}

func (a *app) detach() *cobra.Command {
	return &cobra.Command{
		Use:               "detach CALL ATTACHMENT",
		Short:             "Take an attachment off a call",
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: a.completeCalls(false),
		RunE: func(c *cobra.Command, args []string) error {
			return a.request(c, func(ctx context.Context, edge pb.RelayServiceClient) error {
				out, err := edge.Detach(ctx, &pb.DetachRequest{CallId: args[0], AttachmentId: args[1]})
				if err != nil {
					return err
				}
				return a.showAttachment(out.GetAttachment())
			})
		},
	}
}

func (a *app) source() *cobra.Command {
	return &cobra.Command{
		Use:               "source CALL ATTACHMENT|silence",
		Short:             "Choose what the phone hears",
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: a.completeCalls(false),
		RunE: func(c *cobra.Command, args []string) error {
			return a.request(c, func(ctx context.Context, edge pb.RelayServiceClient) error {
				out, err := edge.SelectSource(ctx, &pb.SelectSourceRequest{CallId: args[0], Source: args[1]})
				if err != nil {
					return err
				}
				return a.showCall(out.GetCall(), "")
			})
		},
	}
}

func (a *app) dtmf() *cobra.Command {
	var tone, gap time.Duration
	c := &cobra.Command{
		Use:               "dtmf CALL DIGITS",
		Short:             "Send digits to the phone: 0-9 * # A-D",
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: a.completeCalls(false),
		RunE: func(c *cobra.Command, args []string) error {
			r := &pb.SendDTMFRequest{CallId: args[0], Digits: args[1]}
			if c.Flags().Changed("tone") {
				r.Tone = durationpb.New(tone)
			}
			if c.Flags().Changed("gap") {
				r.Gap = durationpb.New(gap)
			}
			return a.request(c, func(ctx context.Context, edge pb.RelayServiceClient) error {
				out, err := edge.SendDTMF(ctx, r)
				if err != nil {
					return err
				}
				return a.out.object(out, func(t *table) { t.row(fmt.Sprintf("%d digits are on their way", len(args[1]))) })
			})
		},
	}
	c.Flags().DurationVar(&tone, "tone", 0, "length of a digit, 40ms to 5s; default: 100ms")
	c.Flags().DurationVar(&gap, "gap", 0, "silence between digits, 40ms to 5s; default: 60ms")
	return c
}

func (a *app) showAttachment(at *pb.Attachment) error {
	return a.out.object(at, func(t *table) {
		t.row("attachment", at.GetAttachmentId())
		t.field("kind", at.GetKind())
		t.field("direction", short(at.GetDirection()))
		t.field("state", short(at.GetState()))
		t.field("result", pairs(at.GetResult()))
		t.row("frames", frames(at))
		t.field("last error", at.GetLastError())
	})
}

func frames(at *pb.Attachment) string {
	return fmt.Sprintf("%d, %d dropped, %d errors", at.GetFrames(), at.GetFramesDropped(), at.GetErrors())
}

func attachmentLine(at *pb.Attachment) string {
	line := fmt.Sprintf("%s: %s, %s, %s, frames %s", at.GetAttachmentId(), at.GetKind(), short(at.GetDirection()), short(at.GetState()), frames(at))
	if len(at.GetResult()) > 0 {
		line += ", " + pairs(at.GetResult())
	}
	if at.GetLastError() != "" {
		line += ": " + at.GetLastError()
	}
	return line
}
