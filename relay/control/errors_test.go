package control

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/onelane/onelane/relay"
	pb "github.com/onelane/onelane/relay/control/controlpb"
	"github.com/onelane/onelane/relay/control/controltest"
)

// details takes an error's typed details apart.
func details(err error) (info *errdetails.ErrorInfo, bad *errdetails.BadRequest, retry *errdetails.RetryInfo) {
	for _, d := range status.Convert(err).Details() {
		switch d := d.(type) {
		case *errdetails.ErrorInfo:
			info = d
		case *errdetails.BadRequest:
			bad = d
		case *errdetails.RetryInfo:
			retry = d
		}
	}
	return info, bad, retry
}

func TestErrorsOfTheEdgeBecomeTypedStatuses(t *testing.T) {
	for _, c := range []struct {
		code  relay.Code
		want  codes.Code
		retry bool
	}{
		{relay.InvalidArgument, codes.InvalidArgument, false},
		{relay.NotFound, codes.NotFound, false},
		{relay.AlreadyExists, codes.AlreadyExists, false},
		{relay.FailedPrecondition, codes.FailedPrecondition, false},
		{relay.Exhausted, codes.ResourceExhausted, true},
		{relay.Unavailable, codes.Unavailable, true},
		{relay.Internal, codes.Internal, false},
	} {
		t.Run(c.want.String(), func(t *testing.T) {
			edge, client := client(t)
			edge.Hook = func(string) error {
				return fmt.Errorf("get: %w", &relay.Error{Code: c.code, Reason: "SOME_REASON", Message: "what to do"})
			}
			_, err := client.GetCall(within(t), &pb.GetCallRequest{CallId: "a"})
			info, _, retry := details(err)
			if status.Code(err) != c.want || status.Convert(err).Message() != "what to do" {
				t.Errorf("status: %v", err)
			}
			if info.GetReason() != "SOME_REASON" || info.GetDomain() != "onelane.relay" {
				t.Errorf("info: %v", info)
			}
			if (retry != nil) != c.retry || c.retry && retry.GetRetryDelay().AsDuration() <= 0 {
				t.Errorf("retry: %v", retry)
			}
		})
	}
}

func TestEveryCodeOfTheEdgeIsInTheTable(t *testing.T) {
	for c := relay.InvalidArgument; c <= relay.Internal; c++ {
		if _, ok := statusCodes[c]; !ok {
			t.Errorf("code %d has no gRPC code", c)
		}
	}
}

func TestABadSDPNamesFieldAndLine(t *testing.T) {
	edge, c := client(t)
	edge.Hook = func(string) error {
		return &relay.Error{Code: relay.InvalidArgument, Reason: "SDP_REFUSED", Field: "offer", Line: 17, Message: "exactly one sha-256 fingerprint is needed"}
	}
	_, err := c.CreateCall(within(t), &pb.CreateCallRequest{CallId: "a", SdpOffer: "v=0"})
	info, bad, _ := details(err)
	if info.GetMetadata()["line"] != "17" || info.GetMetadata()["field"] != "sdp_offer" {
		t.Errorf("info: %v", info)
	}
	if m := status.Convert(err).Message(); !strings.HasPrefix(m, "sdp_offer: line 17: ") {
		t.Errorf("message: %s", m)
	}
	v := bad.GetFieldViolations()
	if len(v) != 1 || v[0].GetField() != "sdp_offer" || v[0].GetDescription() != "line 17: exactly one sha-256 fingerprint is needed" {
		t.Errorf("violations: %v", v)
	}
}

func TestAnUnforeseenErrorKeepsItsTextToItself(t *testing.T) {
	edge, c := client(t)
	edge.Hook = func(string) error { return errors.New("open /secret/wacid.canary") }
	_, err := c.GetCall(within(t), &pb.GetCallRequest{CallId: "a"})
	info, _, _ := details(err)
	if status.Code(err) != codes.Internal || info.GetReason() != "UNEXPECTED_ERROR" || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v", err)
	}
}

func TestAnErrorsTextIsMadeFitForTheWire(t *testing.T) {
	edge, c := client(t)
	edge.Hook = func(string) error {
		return &relay.Error{Code: relay.NotFound, Reason: "R", Message: "odd \xff byte " + strings.Repeat("x", 1<<20)}
	}
	_, err := c.GetCall(within(t), &pb.GetCallRequest{CallId: "a"})
	info, _, _ := details(err)
	if info.GetReason() != "R" || len(status.Convert(err).Message()) > 2*maxErrorText {
		t.Errorf("got %.200v", err)
	}
}

func TestAllFaultsOfARequestAreToldAtOnce(t *testing.T) {
	edge, c := client(t)
	edge.Hook = func(m string) error { t.Errorf("%s was called", m); return nil }
	ctx := within(t)
	_, err := c.CreateCall(ctx, &pb.CreateCallRequest{
		CallId: strings.Repeat("x", 257), Tenant: strings.Repeat("t", 65), Direction: pb.CallDirection_CALL_DIRECTION_USER_INITIATED,
		Labels: map[string]string{"k": strings.Repeat("v", 257)}, Lease: durationpb.New(-time.Second),
	})
	info, bad, _ := details(err)
	var fields []string
	for _, v := range bad.GetFieldViolations() {
		fields = append(fields, v.GetField())
	}
	if got := strings.Join(fields, " "); got != "call_id tenant labels lease sdp_offer" || info.GetReason() != "INVALID_REQUEST" {
		t.Errorf("%v: %v", got, err)
	}
}

func TestRequestsOutOfBoundsAreRefused(t *testing.T) {
	edge, c := client(t)
	edge.Hook = func(m string) error { t.Errorf("%s was called", m); return nil }
	ctx := within(t)
	many := map[string]string{}
	for i := range 33 {
		many[fmt.Sprint(i)] = ""
	}
	long := strings.Repeat("x", 5000)
	for name, call := range map[string]func() error{
		"no call id":      func() error { _, err := c.GetCall(ctx, &pb.GetCallRequest{}); return err },
		"open without id": func() error { _, err := c.OpenMedia(ctx, &pb.OpenMediaRequest{}); return err },
		"no answer":       func() error { _, err := c.ApplyAnswer(ctx, &pb.ApplyAnswerRequest{CallId: "a"}); return err },
		"offer of business": func() error {
			_, err := c.CreateCall(ctx, &pb.CreateCallRequest{CallId: "a", SdpOffer: "v", Direction: 2})
			return err
		},
		"direction 9": func() error {
			_, err := c.CreateCall(ctx, &pb.CreateCallRequest{CallId: "a", Direction: 9})
			return err
		},
		"33 labels": func() error {
			_, err := c.CreateCall(ctx, &pb.CreateCallRequest{CallId: "a", Labels: many})
			return err
		},
		"lease of zero": func() error {
			_, err := c.CreateCall(ctx, &pb.CreateCallRequest{CallId: "a", Lease: &durationpb.Duration{}})
			return err
		},
		"page of 1001": func() error { _, err := c.ListCalls(ctx, &pb.ListCallsRequest{PageSize: 1001}); return err },
		"page of -1":   func() error { _, err := c.ListCalls(ctx, &pb.ListCallsRequest{PageSize: -1}); return err },
		"state 77":     func() error { _, err := c.ListCalls(ctx, &pb.ListCallsRequest{States: []pb.CallState{77}}); return err },
		"many states": func() error {
			_, err := c.ListCalls(ctx, &pb.ListCallsRequest{States: make([]pb.CallState, 50)})
			return err
		},
		"long message": func() error { _, err := c.EndCall(ctx, &pb.EndCallRequest{CallId: "a", Message: long}); return err },
		"no kind":      func() error { _, err := c.Attach(ctx, &pb.AttachRequest{CallId: "a"}); return err },
		"long param": func() error {
			_, err := c.Attach(ctx, &pb.AttachRequest{CallId: "a", Kind: "k", Params: map[string]string{"a": long}})
			return err
		},
		"nameless param": func() error {
			_, err := c.Attach(ctx, &pb.AttachRequest{CallId: "a", Kind: "k", Params: map[string]string{"": "b"}})
			return err
		},
		"audio 9": func() error {
			_, err := c.Attach(ctx, &pb.AttachRequest{CallId: "a", Kind: "k", Direction: 9})
			return err
		},
		"detach nothing": func() error { _, err := c.Detach(ctx, &pb.DetachRequest{CallId: "a"}); return err },
		"select nothing": func() error { _, err := c.SelectSource(ctx, &pb.SelectSourceRequest{CallId: "a"}); return err },
		"no digits":      func() error { _, err := c.SendDTMF(ctx, &pb.SendDTMFRequest{CallId: "a"}); return err },
		"65 digits": func() error {
			_, err := c.SendDTMF(ctx, &pb.SendDTMFRequest{CallId: "a", Digits: strings.Repeat("1", 65)})
			return err
		},
		"1001 watched": func() error {
			return firstError(c.WatchEvents(ctx, &pb.WatchEventsRequest{CallIds: make([]string, 1001)}))
		},
		"nameless watch": func() error {
			return firstError(c.WatchEvents(ctx, &pb.WatchEventsRequest{CallIds: make([]string, 1000)}))
		},
		"long token": func() error { return firstError(c.WatchEvents(ctx, &pb.WatchEventsRequest{ResumeToken: long})) },
	} {
		err := call()
		if _, bad, _ := details(err); status.Code(err) != codes.InvalidArgument || len(bad.GetFieldViolations()) == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func firstError(stream pb.RelayService_WatchEventsClient, err error) error {
	if err == nil {
		_, err = stream.Recv()
	}
	return err
}

func TestARequestThatDoesNotDecodeIsTheClientsFault(t *testing.T) {
	edge := controltest.New()
	edge.Hook = func(m string) error { t.Errorf("%s was called", m); return nil }
	_, conn := inMemory(t, edge, &journal{})
	for _, c := range []struct {
		name, request, reason, field, line string
	}{
		{"SDP that is not UTF-8", "\x0a\x01a\x2a\x0ev=0\r\ns=-\r\no=\xff\xfe", "INVALID_UTF8", "sdp_offer", "3"},
		{"call id that is not UTF-8", "\x0a\x01\xff", "INVALID_UTF8", "call_id", "1"},
		{"lease that is no Duration", "\x0a\x01a\x32\x02\x0a\xff", "MALFORMED_REQUEST", "", ""},
		{"label that is not UTF-8", "\x1a\x06\x0a\x01\xff\x12\x01a", "MALFORMED_REQUEST", "", ""},
	} {
		var raw emptypb.Empty // its unknown fields go out as they are
		raw.ProtoReflect().SetUnknown([]byte(c.request))
		err := conn.Invoke(within(t), pb.RelayService_CreateCall_FullMethodName, &raw, &emptypb.Empty{})
		info, _, _ := details(err)
		if status.Code(err) != codes.InvalidArgument || info.GetReason() != c.reason || info.GetMetadata()["field"] != c.field || info.GetMetadata()["line"] != c.line {
			t.Errorf("%s: %v %v", c.name, err, info)
		}
	}
}

func TestAHugeRequestIsRefusedInMilliseconds(t *testing.T) {
	edge, c := client(t)
	edge.Hook = func(m string) error { t.Errorf("%s was called", m); return nil }
	_, err := c.CreateCall(within(t), &pb.CreateCallRequest{CallId: "a", SdpOffer: strings.Repeat("a=x\r\n", 2<<20)})
	if status.Code(err) != codes.ResourceExhausted {
		t.Errorf("got %.200v", err)
	}
}

const canary = "wacid.CANARY49170555000111"

func TestAPanicEndsOnlyItsRequest(t *testing.T) {
	for name, panics := range map[string]func(){
		"of a value":  func() { panic("while working on " + canary) },
		"of an error": func() { panic(errors.New(canary)) },
		"of the run time": func() {
			var none []string
			none[len(canary)] = canary
		},
	} {
		t.Run(name, func(t *testing.T) {
			edge, log := controltest.New(), &journal{}
			edge.Hook = func(method string) error {
				if method != "List" {
					panics()
				}
				return nil
			}
			_, conn := inMemory(t, edge, log)
			c := pb.NewRelayServiceClient(conn)
			ctx := within(t)
			_, unary := c.CreateCall(ctx, &pb.CreateCallRequest{CallId: canary, SdpOffer: "a=ice-pwd:" + canary, Tenant: canary})
			stream := firstEventOrError(c.WatchEvents(ctx, &pb.WatchEventsRequest{CallIds: []string{canary}}))
			for _, err := range []error{unary, stream} {
				info, _, _ := details(err)
				if status.Code(err) != codes.Internal || info.GetReason() != "PANIC" || strings.Contains(err.Error(), "CANARY") {
					t.Errorf("got %v", err)
				}
			}
			if _, err := c.ListCalls(ctx, &pb.ListCallsRequest{}); err != nil {
				t.Errorf("the next request: %v", err)
			}
			if s := log.String(); strings.Count(s, "panic in an RPC") != 2 || !strings.Contains(s, "errors_test.go") || strings.Contains(s, "CANARY") {
				t.Errorf("log: %s", s)
			}
		})
	}
}

func firstEventOrError(stream pb.RelayService_WatchEventsClient, err error) error {
	for err == nil {
		var item *pb.WatchEventsResponse
		if item, err = stream.Recv(); item.GetEvent() != nil {
			return nil
		}
	}
	return err
}

func TestNothingOfARequestIsLogged(t *testing.T) {
	log := &journal{}
	_, conn := inMemory(t, controltest.New(), log)
	c := pb.NewRelayServiceClient(conn)
	ctx := within(t)
	labels := map[string]string{canary: canary}
	for range 2 {
		_, _ = c.CreateCall(ctx, &pb.CreateCallRequest{CallId: canary, SdpOffer: canary, Tenant: canary, Labels: labels})
		_, _ = c.CreateCall(ctx, &pb.CreateCallRequest{CallId: canary, Tenant: canary, Labels: labels})
		_, _ = c.ApplyAnswer(ctx, &pb.ApplyAnswerRequest{CallId: canary, SdpAnswer: canary})
		_, _ = c.Attach(ctx, &pb.AttachRequest{CallId: canary, Kind: canary, Params: labels})
		_, _ = c.SelectSource(ctx, &pb.SelectSourceRequest{CallId: canary, Source: canary})
		_, _ = c.SendDTMF(ctx, &pb.SendDTMFRequest{CallId: canary, Digits: "4917"})
		_, _ = c.EndCall(ctx, &pb.EndCallRequest{CallId: canary, Message: canary})
		_, _ = c.GetCall(ctx, &pb.GetCallRequest{CallId: canary + "2"})
	}
	if s := log.String(); strings.Contains(s, "CANARY") {
		t.Errorf("log: %s", s)
	}
}

func TestADeadlineThatPassesIsNotAFaultOfTheEdge(t *testing.T) {
	edge, c := client(t)
	edge.Hook = func(string) error { return context.DeadlineExceeded }
	if _, err := c.GetCall(within(t), &pb.GetCallRequest{CallId: "a"}); status.Code(err) != codes.DeadlineExceeded {
		t.Error(err)
	}
	edge.Hook = func(string) error { return fmt.Errorf("wait: %w", context.Canceled) }
	if _, err := c.GetCall(within(t), &pb.GetCallRequest{CallId: "a"}); status.Code(err) != codes.Canceled {
		t.Error(err)
	}
}
