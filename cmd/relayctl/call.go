package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/onelane/onelane/relay/control/controlpb"
)

func (a *app) call() *cobra.Command {
	c := group(&cobra.Command{Use: "call", Short: "Create, open, look at and end calls"})
	c.AddCommand(a.callCreate(), a.callAnswer(), a.callOpen(), a.callGet(), a.callList(), a.callEnd())
	return c
}

func (a *app) callCreate() *cobra.Command {
	var r pb.CreateCallRequest
	var labels []string
	var offer, sdpOut string
	var lease time.Duration
	c := &cobra.Command{
		Use:   "create CALL",
		Short: "Put a call on the edge: with Meta's offer it gives our answer, without one our offer",
		Long: `Put a call on the edge. With --offer the user calls, and the SDP that comes back is our answer; without it the business calls, the SDP is
our offer, and "call answer" follows. Repeating it with the same call id gives the same call and the same SDP.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			var err error
			r.CallId = args[0]
			if r.Labels, err = assignments(labels); err != nil {
				return err
			}
			if offer != "" {
				if r.SdpOffer, err = a.readSDP(offer); err != nil {
					return err
				}
			}
			if c.Flags().Changed("lease") {
				r.Lease = durationpb.New(lease)
			}
			return a.request(c, func(ctx context.Context, edge pb.RelayServiceClient) error {
				out, err := edge.CreateCall(ctx, &r)
				if err != nil {
					return err
				}
				return a.showCall(out.GetCall(), sdpOut)
			})
		},
	}
	f := c.Flags()
	f.StringVar(&offer, "offer", "", "Meta's SDP offer: a `file`, or - for standard input")
	f.StringVar(&r.Tenant, "tenant", "", "the tenant that the call is for")
	f.StringArrayVar(&labels, "label", nil, "a label, `name=value`; repeat it for more")
	f.DurationVar(&lease, "lease", 0, "how long the call lives without a controller; default: the edge's")
	sdpOutFlag(c, &sdpOut)
	return c
}

func sdpOutFlag(c *cobra.Command, name *string) {
	c.Flags().StringVar(name, "sdp-out", "", "write our SDP to this `file`; - prints it and nothing else")
}

func (a *app) callAnswer() *cobra.Command {
	return &cobra.Command{
		Use:               "answer CALL FILE",
		Short:             "Give a business-initiated call Meta's SDP answer, from a file or - for standard input",
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: a.completeCalls(true),
		RunE: func(c *cobra.Command, args []string) error {
			sdp, err := a.readSDP(args[1])
			if err != nil {
				return err
			}
			return a.request(c, func(ctx context.Context, edge pb.RelayServiceClient) error {
				out, err := edge.ApplyAnswer(ctx, &pb.ApplyAnswerRequest{CallId: args[0], SdpAnswer: sdp})
				if err != nil {
					return err
				}
				return a.showCall(out.GetCall(), "")
			})
		},
	}
}

func (a *app) callOpen() *cobra.Command {
	return &cobra.Command{
		Use:               "open CALL",
		Short:             "Open the media gate: Meta's accept has returned 200, or the user has picked up",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeCalls(false),
		RunE: func(c *cobra.Command, args []string) error {
			return a.request(c, func(ctx context.Context, edge pb.RelayServiceClient) error {
				out, err := edge.OpenMedia(ctx, &pb.OpenMediaRequest{CallId: args[0]})
				if err != nil {
					return err
				}
				return a.showCall(out.GetCall(), "")
			})
		},
	}
}

func (a *app) callGet() *cobra.Command {
	var sdpOut string
	c := &cobra.Command{
		Use:               "get CALL",
		Short:             "Show a call, also for a while after it has ended",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeCalls(false),
		RunE: func(c *cobra.Command, args []string) error {
			return a.request(c, func(ctx context.Context, edge pb.RelayServiceClient) error {
				out, err := edge.GetCall(ctx, &pb.GetCallRequest{CallId: args[0]})
				if err != nil {
					return err
				}
				return a.showCall(out.GetCall(), sdpOut)
			})
		},
	}
	sdpOutFlag(c, &sdpOut)
	return c
}

func (a *app) callEnd() *cobra.Command {
	var message string
	c := &cobra.Command{
		Use:               "end CALL",
		Short:             "End a call on the edge; Meta has to be told separately",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeCalls(false),
		RunE: func(c *cobra.Command, args []string) error {
			return a.request(c, func(ctx context.Context, edge pb.RelayServiceClient) error {
				out, err := edge.EndCall(ctx, &pb.EndCallRequest{CallId: args[0], Message: message})
				if err != nil {
					return err
				}
				return a.showCall(out.GetCall(), "")
			})
		},
	}
	c.Flags().StringVar(&message, "message", "", "why, for people")
	return c
}

func (a *app) callList() *cobra.Command {
	var r pb.ListCallsRequest
	var labels, states []string
	var limit int
	c := &cobra.Command{
		Use:   "list",
		Short: "List calls",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var err error
			if r.Labels, err = assignments(labels); err != nil {
				return err
			}
			for _, s := range states {
				n, ok := pb.CallState_value["CALL_STATE_"+strings.ToUpper(s)]
				if !ok || n == 0 {
					return usage("--state %s: there are dialing, securing, gated, live and ended", s)
				}
				r.States = append(r.States, pb.CallState(n))
			}
			if limit < 0 {
				return usage("--limit %d is negative", limit)
			}
			return a.request(c, func(ctx context.Context, edge pb.RelayServiceClient) error {
				calls, err := listCalls(ctx, edge, &r, limit)
				if err != nil {
					return err
				}
				return a.showCalls(calls)
			})
		},
	}
	f := c.Flags()
	f.StringVar(&r.Tenant, "tenant", "", "only calls of this tenant")
	f.StringSliceVar(&states, "state", nil, "only calls in these states: dialing, securing, gated, live, ended")
	f.StringArrayVar(&labels, "label", nil, "only calls with this label, `name=value`; repeat it for more")
	f.IntVar(&limit, "limit", 0, "at most so many; 0: all")
	return c
}

// listCalls turns the pages.
func listCalls(ctx context.Context, edge pb.RelayServiceClient, r *pb.ListCallsRequest, limit int) ([]*pb.Call, error) {
	var calls []*pb.Call
	for {
		r.PageSize = 1000
		if limit > 0 {
			r.PageSize = int32(min(1000, limit-len(calls)))
		}
		page, err := edge.ListCalls(ctx, r)
		if err != nil {
			return nil, err
		}
		calls = append(calls, page.GetCalls()...)
		if r.PageToken = page.GetNextPageToken(); r.PageToken == "" || limit > 0 && len(calls) >= limit {
			return calls, nil
		}
	}
}

func (a *app) showCalls(calls []*pb.Call) error {
	if a.out.json {
		for _, call := range calls {
			if err := a.out.object(call, nil); err != nil {
				return err
			}
		}
		return nil
	}
	return a.out.object(nil, func(t *table) {
		t.row("CALL", "STATE", "TENANT", "SOURCE", "CREATED", "LEASE", "END", "LABELS")
		for _, c := range calls {
			t.row(c.GetCallId(), short(c.GetState()), dash(c.GetTenant()), c.GetSource(), stamp(c.GetCreateTime()),
				dash(span(c.GetLeaseLeft())), dash(short(c.GetEndReason())), pairs(c.GetLabels()))
		}
	})
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// showCall prints a call, or writes its SDP.
func (a *app) showCall(c *pb.Call, sdpOut string) error {
	if err := a.writeSDP(sdpOut, c.GetLocalSdp()); err != nil || sdpOut == "-" {
		return err
	}
	return a.out.object(c, func(t *table) {
		t.row("call", c.GetCallId())
		t.field("state", short(c.GetState())+gate(c))
		t.field("direction", short(c.GetDirection()))
		t.field("tenant", c.GetTenant())
		t.field("labels", pairs(c.GetLabels()))
		t.field("created", stamp(c.GetCreateTime()))
		t.field("ended", stamp(c.GetEndTime()))
		t.field("end reason", short(c.GetEndReason()))
		t.field("end message", c.GetEndMessage())
		t.field("lease left", span(c.GetLeaseLeft()))
		t.field("local", c.GetLocalAddress())
		t.field("remote", c.GetRemoteAddress())
		t.field("security", strings.TrimSpace(c.GetSrtpProfile()+" "+role(c)))
		t.field("source", c.GetSource())
		t.field("timings", strings.Join(words(c.GetTimings().ProtoReflect()), " "))
		showStats(t, c.GetStats())
		for _, at := range c.GetAttachments() {
			t.row("attachment", attachmentLine(at))
		}
	})
}

func gate(c *pb.Call) string {
	if c.GetState() == pb.CallState_CALL_STATE_ENDED {
		return ""
	}
	if c.GetGateOpen() {
		return ", gate open"
	}
	return ", gate closed"
}

func role(c *pb.Call) string {
	if r := short(c.GetDtlsRole()); r != "" {
		return "(DTLS " + r + ")"
	}
	return ""
}

func showStats(t *table, s *pb.CallStats) {
	if s == nil {
		return
	}
	received := fmt.Sprintf("%d packets, %d bytes, %d lost", s.GetPacketsReceived(), s.GetBytesReceived(), s.GetPacketsLost())
	if s.GetJitter() != nil {
		received += ", jitter " + span(s.GetJitter())
	}
	t.row("received", received)
	t.row("sent", fmt.Sprintf("%d packets, %d bytes, %d of them silence", s.GetPacketsSent(), s.GetBytesSent(), s.GetSilencePacketsSent()))
	t.field("round trip", span(s.GetRoundTrip()))
	if r := s.GetRemote(); r != nil {
		t.row("peer reports", fmt.Sprintf("%d lost, jitter %s, %.1f %% lost lately", r.GetPacketsLost(), span(r.GetJitter()), 100*r.GetFractionLost()))
	}
	if s.GetViolations() > 0 {
		t.row("VIOLATIONS", strconv.FormatUint(s.GetViolations(), 10))
	}
	t.field("drops", counts(s.GetDrops()))
}

// assignments reads name=value.
func assignments(list []string) (map[string]string, error) {
	out := make(map[string]string, len(list))
	for _, s := range list {
		name, value, ok := strings.Cut(s, "=")
		if !ok || name == "" {
			return nil, usage("%q is not name=value", s)
		}
		if _, twice := out[name]; twice {
			return nil, usage("%s is given twice", name)
		}
		out[name] = value
	}
	return out, nil
}

// completeCalls completes call ids from the edge, if it answers at once; file: a file name follows.
func (a *app) completeCalls(file bool) cobra.CompletionFunc {
	return func(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			if file && len(args) == 1 {
				return nil, cobra.ShellCompDirectiveDefault
			}
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ids := map[string]bool{}
		a.timeout = min(a.timeout, time.Second)
		_ = a.request(c, func(ctx context.Context, edge pb.RelayServiceClient) error {
			calls, err := listCalls(ctx, edge, &pb.ListCallsRequest{}, 100)
			for _, call := range calls {
				ids[call.GetCallId()] = true
			}
			return err
		})
		return slices.Sorted(maps.Keys(ids)), cobra.ShellCompDirectiveNoFileComp
	}
}
