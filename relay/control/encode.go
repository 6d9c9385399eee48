package control

import (
	"maps"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/onelane/onelane/relay"
	pb "github.com/onelane/onelane/relay/control/controlpb"
	"github.com/onelane/onelane/relay/sink"
)

// stamp and span keep absent what has not happened or was not measured.
func stamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

func span(d time.Duration) *durationpb.Duration {
	if d == 0 {
		return nil
	}
	return durationpb.New(d)
}

// texts makes a map of free texts fit for the wire.
func texts(m map[string]string) map[string]string {
	if len(m) == 0 {
		return nil
	}
	out := make(map[string]string, len(m))
	for k, v := range m {
		out[text(k)] = strings.ToValidUTF8(v, "\uFFFD")
	}
	return out
}

func encodeCall(v *relay.View) *pb.Call {
	c := &pb.Call{
		CallId: v.ID, Tenant: v.Tenant, Labels: v.Labels,
		Direction: encodeCallDirection(v.Direction), State: encodeState(v.State), GateOpen: v.GateOpen,
		LocalSdp: v.LocalSDP, LocalAddress: v.LocalAddr, RemoteAddress: v.RemoteAddr,
		DtlsRole: encodeRole(v.DTLSRole), SrtpProfile: v.SRTPProfile, Source: v.Source,
		CreateTime: stamp(v.Created), EndTime: stamp(v.Ended),
		EndReason: encodeReason(v.EndReason), EndMessage: text(v.EndMessage),
		Timings: &pb.CallTimings{
			IceConnected: span(v.Timings.ICE), DtlsConnected: span(v.Timings.DTLS), GateOpened: span(v.Timings.Gate),
			FirstPacketSent: span(v.Timings.FirstSent), FirstPacketReceived: span(v.Timings.FirstHeard),
		},
		Attachments: make([]*pb.Attachment, len(v.Attachments)),
		Stats:       encodeStats(&v.Stats),
	}
	if v.State != relay.StateEnded {
		c.LeaseLeft = durationpb.New(max(0, v.LeaseLeft))
	}
	for i := range v.Attachments {
		c.Attachments[i] = encodeAttachment(&v.Attachments[i])
	}
	return c
}

func encodeStats(s *relay.CallStats) *pb.CallStats {
	out := &pb.CallStats{
		PacketsReceived: s.PacketsReceived, BytesReceived: s.BytesReceived,
		PacketsSent: s.PacketsSent, BytesSent: s.BytesSent, SilencePacketsSent: s.SilenceSent,
		PacketsLost: s.PacketsLost, RoundTrip: span(s.RoundTrip), Violations: s.Violations, Drops: maps.Clone(s.Drops),
	}
	if s.PacketsReceived > 1 {
		out.Jitter = durationpb.New(s.Jitter)
	}
	// relay has no flag for "no report yet": a report that has nothing at all to tell counts as none, which is what a careful reader
	// would take it for.
	if s.HasRemote {
		out.Remote = &pb.RemoteReport{
			PacketsLost: s.RemoteLost, Jitter: durationpb.New(s.RemoteJitter), FractionLost: s.RemoteFractionLost,
		}
	}
	return out
}

func encodeAttachment(a *relay.AttachmentView) *pb.Attachment {
	return &pb.Attachment{
		AttachmentId: a.ID, Kind: a.Kind, Direction: encodeAudio(a.Direction), State: encodeAttachmentState(a.State),
		CanSource: a.CanSource, Result: texts(a.Result), Frames: a.Frames, FramesDropped: a.Dropped, Errors: a.Errors,
		LastError: text(a.LastError),
	}
}

func encodeNode(n *relay.Node) *pb.Node {
	out := &pb.Node{
		Version: n.Version, StartTime: stamp(n.Started), Draining: n.Draining,
		Calls: int32(n.Calls), CallsLimit: int32(n.CallsLimit), LimitedBy: encodeLimit(n.LimitedBy), Shards: int32(n.Shards),
		PacketsReceived: n.PacketsIn, PacketsSent: n.PacketsOut, Drops: maps.Clone(n.Drops), Violations: n.Violations,
		Attachments: int32(n.Attachments), Kinds: make([]*pb.Kind, len(n.Kinds)), MediaAddresses: n.MediaAddrs,
		PortMin: int32(n.PortMin), PortMax: int32(n.PortMax), PortsResting: int32(n.PortsResting),
		Process: encodeProcess(&n.Process), MediaPlane: encodeMediaPlane(&n.Media),
	}
	for i, k := range n.Kinds {
		kind := &pb.Kind{Name: k.Name, Doc: text(k.Doc), CanSource: k.CanSource, Params: make([]*pb.KindParameter, len(k.Params))}
		for j, p := range k.Params {
			kind.Params[j] = &pb.KindParameter{Name: p.Name, Doc: text(p.Doc), DefaultValue: p.Default, Required: p.Required}
		}
		out.Kinds[i] = kind
	}
	return out
}

func encodeProcess(p *relay.Process) *pb.Process {
	out := &pb.Process{
		Goroutines: int64(p.Goroutines), HeapBytes: p.Heap, HeapLiveBytes: p.HeapLive, StackBytes: p.Stack, ObjectsAllocated: p.Allocated,
		Descriptors: int32(p.Descriptors), DescriptorsLimit: int32(p.DescriptorsLimit), GcCycles: p.Collections,
		GcPauses: make([]*pb.GcPauses, len(p.Pauses)),
	}
	for i, c := range p.Pauses {
		out.GcPauses[i] = &pb.GcPauses{AtMost: durationpb.New(c.AtMost), Count: c.Count}
		out.GcPauseMax = out.GcPauses[i].AtMost
	}
	return out
}

func encodeMediaPlane(m *relay.MediaPlane) *pb.MediaPlane {
	return &pb.MediaPlane{
		Wakeups: m.Wakeups, SystemCalls: m.Calls, BytesReceived: m.ReceivedBytes, BytesSent: m.SentBytes,
		ReceiveErrors: m.ReceiveErrors, EventsLost: m.EventsLost, Panics: m.Panics,
	}
}

func encodeCallDirection(d relay.CallDirection) pb.CallDirection {
	switch d {
	case relay.UserInitiated:
		return pb.CallDirection_CALL_DIRECTION_USER_INITIATED
	case relay.BusinessInitiated:
		return pb.CallDirection_CALL_DIRECTION_BUSINESS_INITIATED
	}
	return pb.CallDirection_CALL_DIRECTION_UNSPECIFIED
}

func encodeState(s relay.State) pb.CallState {
	switch s {
	case relay.StateDialing:
		return pb.CallState_CALL_STATE_DIALING
	case relay.StateSecuring:
		return pb.CallState_CALL_STATE_SECURING
	case relay.StateGated:
		return pb.CallState_CALL_STATE_GATED
	case relay.StateLive:
		return pb.CallState_CALL_STATE_LIVE
	case relay.StateEnded:
		return pb.CallState_CALL_STATE_ENDED
	}
	return pb.CallState_CALL_STATE_UNSPECIFIED
}

func encodeReason(r relay.EndReason) pb.EndReason {
	switch r {
	case relay.EndRequested:
		return pb.EndReason_END_REASON_REQUESTED
	case relay.EndSetupTimeout:
		return pb.EndReason_END_REASON_SETUP_TIMEOUT
	case relay.EndICEFailed:
		return pb.EndReason_END_REASON_ICE_FAILED
	case relay.EndDTLSFailed:
		return pb.EndReason_END_REASON_DTLS_FAILED
	case relay.EndFingerprintMismatch:
		return pb.EndReason_END_REASON_FINGERPRINT_MISMATCH
	case relay.EndConsentLost:
		return pb.EndReason_END_REASON_CONSENT_LOST
	case relay.EndLeaseExpired:
		return pb.EndReason_END_REASON_LEASE_EXPIRED
	case relay.EndDrained:
		return pb.EndReason_END_REASON_DRAINED
	case relay.EndInternal:
		return pb.EndReason_END_REASON_INTERNAL
	}
	return pb.EndReason_END_REASON_UNSPECIFIED
}

func encodeRole(role string) pb.DtlsRole {
	switch role {
	case "client":
		return pb.DtlsRole_DTLS_ROLE_CLIENT
	case "server":
		return pb.DtlsRole_DTLS_ROLE_SERVER
	}
	return pb.DtlsRole_DTLS_ROLE_UNSPECIFIED
}

func encodeAudio(d sink.Direction) pb.AudioDirection {
	switch d {
	case sink.Caller:
		return pb.AudioDirection_AUDIO_DIRECTION_CALLER
	case sink.Business:
		return pb.AudioDirection_AUDIO_DIRECTION_BUSINESS
	case sink.Both:
		return pb.AudioDirection_AUDIO_DIRECTION_BOTH
	}
	return pb.AudioDirection_AUDIO_DIRECTION_UNSPECIFIED
}

func encodeAttachmentState(s relay.AttachmentState) pb.AttachmentState {
	switch s {
	case relay.AttachmentActive:
		return pb.AttachmentState_ATTACHMENT_STATE_ACTIVE
	case relay.AttachmentFailing:
		return pb.AttachmentState_ATTACHMENT_STATE_FAILING
	case relay.AttachmentDone:
		return pb.AttachmentState_ATTACHMENT_STATE_DONE
	}
	return pb.AttachmentState_ATTACHMENT_STATE_UNSPECIFIED
}

func encodeLimit(by string) pb.CapacityLimit {
	switch by {
	case "ports":
		return pb.CapacityLimit_CAPACITY_LIMIT_PORTS
	case "descriptors":
		return pb.CapacityLimit_CAPACITY_LIMIT_DESCRIPTORS
	case "config":
		return pb.CapacityLimit_CAPACITY_LIMIT_CONFIG
	}
	return pb.CapacityLimit_CAPACITY_LIMIT_UNSPECIFIED
}
