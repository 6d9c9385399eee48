package control

import (
	"testing"
	"time"

	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/onelane/onelane/relay/control/controlpb"
	"github.com/onelane/onelane/relay/control/controltest"
)

func TestACallFromOfferToEnd(t *testing.T) {
	_, c := client(t)
	ctx := within(t)
	created, err := c.CreateCall(ctx, &pb.CreateCallRequest{
		CallId: "a", Tenant: "acme", Labels: map[string]string{"queue": "sales"}, SdpOffer: "v=0\r\n", Lease: durationpb.New(30 * time.Second),
	})
	if err != nil {
		t.Fatal(err)
	}
	call := created.GetCall()
	if call.GetDirection() != pb.CallDirection_CALL_DIRECTION_USER_INITIATED || call.GetState() != pb.CallState_CALL_STATE_DIALING ||
		call.GetLocalSdp() == "" || call.GetLeaseLeft().AsDuration() != 30*time.Second || call.GetLabels()["queue"] != "sales" {
		t.Errorf("created: %v", call)
	}
	if call.GetTimings().GetIceConnected() != nil || call.GetEndTime() != nil || call.GetStats().GetJitter() != nil || call.GetStats().GetRemote() != nil {
		t.Errorf("what has not happened is there: %v", call)
	}
	again, err := c.CreateCall(ctx, &pb.CreateCallRequest{CallId: "a", Tenant: "acme", SdpOffer: "v=0\r\n"})
	if err != nil || again.GetCall().GetLocalSdp() != call.GetLocalSdp() {
		t.Errorf("repeated create: %v, %v", again, err)
	}
	opened, err := c.OpenMedia(ctx, &pb.OpenMediaRequest{CallId: "a"})
	if err != nil {
		t.Fatal(err)
	}
	if call = opened.GetCall(); !call.GetGateOpen() || call.GetState() != pb.CallState_CALL_STATE_LIVE || call.GetDtlsRole() != pb.DtlsRole_DTLS_ROLE_CLIENT ||
		call.GetTimings().GetDtlsConnected().AsDuration() != 97*time.Millisecond || call.GetStats().GetRoundTrip().AsDuration() != 25*time.Millisecond {
		t.Errorf("opened: %v", call)
	}
	attached, err := c.Attach(ctx, &pb.AttachRequest{CallId: "a", Kind: "player", AttachmentId: "greeting", Params: map[string]string{"file": "hi.opus"}})
	if err != nil || !attached.GetAttachment().GetCanSource() || attached.GetAttachment().GetDirection() != pb.AudioDirection_AUDIO_DIRECTION_BOTH {
		t.Fatalf("attached: %v, %v", attached, err)
	}
	selected, err := c.SelectSource(ctx, &pb.SelectSourceRequest{CallId: "a", Source: "greeting"})
	if err != nil || selected.GetCall().GetSource() != "greeting" {
		t.Errorf("selected: %v, %v", selected, err)
	}
	if _, err := c.SendDTMF(ctx, &pb.SendDTMFRequest{CallId: "a", Digits: "12#"}); err != nil {
		t.Error(err)
	}
	detached, err := c.Detach(ctx, &pb.DetachRequest{CallId: "a", AttachmentId: "greeting"})
	if err != nil || detached.GetAttachment().GetState() != pb.AttachmentState_ATTACHMENT_STATE_DONE {
		t.Errorf("detached: %v, %v", detached, err)
	}
	ended, err := c.EndCall(ctx, &pb.EndCallRequest{CallId: "a", Message: "caller hung up"})
	if err != nil {
		t.Fatal(err)
	}
	if call = ended.GetCall(); call.GetEndReason() != pb.EndReason_END_REASON_REQUESTED || call.GetEndMessage() != "caller hung up" ||
		call.GetEndTime() == nil || call.GetLeaseLeft() != nil {
		t.Errorf("ended: %v", call)
	}
	got, err := c.GetCall(ctx, &pb.GetCallRequest{CallId: "a"})
	if err != nil || got.GetCall().GetState() != pb.CallState_CALL_STATE_ENDED || len(got.GetCall().GetAttachments()) != 1 {
		t.Errorf("got: %v, %v", got, err)
	}
}

func TestWithoutAnOfferTheEdgeOffers(t *testing.T) {
	_, c := client(t)
	ctx := within(t)
	created, err := c.CreateCall(ctx, &pb.CreateCallRequest{CallId: "b"})
	if err != nil || created.GetCall().GetDirection() != pb.CallDirection_CALL_DIRECTION_BUSINESS_INITIATED {
		t.Fatalf("%v, %v", created, err)
	}
	if _, err := c.ApplyAnswer(ctx, &pb.ApplyAnswerRequest{CallId: "b", SdpAnswer: "v=0\r\n"}); err != nil {
		t.Error(err)
	}
}

func TestListPagesAndFiltersWithoutSDPs(t *testing.T) {
	_, c := client(t)
	ctx := within(t)
	for _, id := range []string{"1", "2", "3", "4", "5"} {
		tenant := "acme"
		if id == "3" {
			tenant = "other"
		}
		if _, err := c.CreateCall(ctx, &pb.CreateCallRequest{CallId: id, Tenant: tenant}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.EndCall(ctx, &pb.EndCallRequest{CallId: "5"}); err != nil {
		t.Fatal(err)
	}
	var ids []string
	r := &pb.ListCallsRequest{Tenant: "acme", States: []pb.CallState{pb.CallState_CALL_STATE_DIALING}, PageSize: 2}
	for {
		page, err := c.ListCalls(ctx, r)
		if err != nil {
			t.Fatal(err)
		}
		for _, call := range page.GetCalls() {
			if call.GetLocalSdp() != "" {
				t.Error("a list has an SDP in it")
			}
			ids = append(ids, call.GetCallId())
		}
		if r.PageToken = page.GetNextPageToken(); r.PageToken == "" {
			break
		}
	}
	if len(ids) != 3 || ids[0] != "1" || ids[1] != "2" || ids[2] != "4" {
		t.Errorf("listed %v", ids)
	}
}

func TestNodeListsWhatCanBeAttached(t *testing.T) {
	_, c := client(t)
	r, err := c.GetNode(within(t), &pb.GetNodeRequest{})
	if err != nil {
		t.Fatal(err)
	}
	n := r.GetNode()
	if n.GetLimitedBy() != pb.CapacityLimit_CAPACITY_LIMIT_PORTS || n.GetCallsLimit() != 500 || len(n.GetKinds()) != 2 ||
		!n.GetKinds()[0].GetParams()[0].GetRequired() || n.GetKinds()[0].GetParams()[1].GetDefaultValue() != "1" || n.GetDrops()["replay"] != 3 {
		t.Errorf("node: %v", n)
	}
}

func TestNodeTellsItsProcessAndItsMediaPlane(t *testing.T) {
	_, c := client(t)
	r, err := c.GetNode(within(t), &pb.GetNodeRequest{})
	if err != nil {
		t.Fatal(err)
	}
	want := &pb.Node{
		Process: &pb.Process{
			Goroutines: 27, HeapBytes: 30 << 20, HeapLiveBytes: 20 << 20, StackBytes: 1 << 20, ObjectsAllocated: 5000, Descriptors: 61,
			DescriptorsLimit: 20000, GcCycles: 4, GcPauseMax: durationpb.New(320 * time.Microsecond),
			GcPauses: []*pb.GcPauses{{AtMost: durationpb.New(80 * time.Microsecond), Count: 7}, {AtMost: durationpb.New(320 * time.Microsecond), Count: 1}},
		},
		MediaPlane: &pb.MediaPlane{Wakeups: 700, SystemCalls: 3400, BytesReceived: 92000, BytesSent: 91080, ReceiveErrors: 1},
	}
	got := &pb.Node{Process: r.GetNode().GetProcess(), MediaPlane: r.GetNode().GetMediaPlane()}
	if !proto.Equal(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
}

func TestHealthFollowsReadiness(t *testing.T) {
	s, conn := inMemory(t, controltest.New(), &journal{})
	c := grpc_health_v1.NewHealthClient(conn)
	for _, ready := range []bool{true, false, true} {
		s.SetReady(ready)
		for _, service := range []string{"", "onelane.relay.v1.RelayService"} {
			r, err := c.Check(within(t), &grpc_health_v1.HealthCheckRequest{Service: service})
			if err != nil || (r.GetStatus() == grpc_health_v1.HealthCheckResponse_SERVING) != ready {
				t.Errorf("ready %v, service %q: %v, %v", ready, service, r, err)
			}
		}
	}
}

func TestReflectionFindsTheServiceAndItsFile(t *testing.T) {
	_, conn := inMemory(t, controltest.New(), &journal{})
	stream, err := grpc_reflection_v1.NewServerReflectionClient(conn).ServerReflectionInfo(within(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&grpc_reflection_v1.ServerReflectionRequest{
		MessageRequest: &grpc_reflection_v1.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: "onelane.relay.v1.RelayService"},
	}); err != nil {
		t.Fatal(err)
	}
	r, err := stream.Recv()
	if err != nil || len(r.GetFileDescriptorResponse().GetFileDescriptorProto()) == 0 {
		t.Errorf("%v, %v", r, err)
	}
}
