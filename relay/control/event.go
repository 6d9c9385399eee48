package control

import (
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/onelane/onelane/relay"
	pb "github.com/onelane/onelane/relay/control/controlpb"
)

// encodeEvent gives an event its kind and its typed detail. A kind that this file does not know yet goes out unspecified and without
// detail rather than not at all: its sequence number is part of the count.
func encodeEvent(e *relay.Event) *pb.Event {
	out := &pb.Event{Sequence: e.Seq, Time: stamp(e.Time), CallId: e.CallID, Tenant: e.Tenant}
	since := durationpb.New(e.Since)
	message := text(e.Message)
	switch e.Kind {
	case relay.EventCallCreated:
		out.Kind = pb.EventKind_EVENT_KIND_CALL_CREATED
		out.Detail = &pb.Event_CallCreated{CallCreated: &pb.CallCreated{}}
	case relay.EventICEConnected:
		out.Kind = pb.EventKind_EVENT_KIND_ICE_CONNECTED
		out.Detail = &pb.Event_IceConnected{IceConnected: &pb.IceConnected{SinceStart: since}}
	case relay.EventDTLSConnected:
		out.Kind = pb.EventKind_EVENT_KIND_DTLS_CONNECTED
		out.Detail = &pb.Event_DtlsConnected{DtlsConnected: &pb.DtlsConnected{SinceStart: since}}
	case relay.EventGateOpened:
		out.Kind = pb.EventKind_EVENT_KIND_GATE_OPENED
		out.Detail = &pb.Event_GateOpened{GateOpened: &pb.GateOpened{SinceStart: since}}
	case relay.EventFirstPacketSent:
		out.Kind = pb.EventKind_EVENT_KIND_FIRST_PACKET_SENT
		out.Detail = &pb.Event_FirstPacketSent{FirstPacketSent: &pb.FirstPacketSent{SinceStart: since}}
	case relay.EventFirstPacketReceived:
		out.Kind = pb.EventKind_EVENT_KIND_FIRST_PACKET_RECEIVED
		out.Detail = &pb.Event_FirstPacketReceived{FirstPacketReceived: &pb.FirstPacketReceived{SinceStart: since}}
	case relay.EventDigit:
		out.Kind = pb.EventKind_EVENT_KIND_DIGIT_RECEIVED
		out.Detail = &pb.Event_DigitReceived{DigitReceived: &pb.DigitReceived{Digit: e.Digit, Duration: durationpb.New(e.Duration)}}
	case relay.EventDigitsSent:
		out.Kind = pb.EventKind_EVENT_KIND_DIGITS_SENT
		out.Detail = &pb.Event_DigitsSent{DigitsSent: &pb.DigitsSent{Count: int32(e.Digits)}}
	case relay.EventSSRCChanged:
		out.Kind = pb.EventKind_EVENT_KIND_SSRC_CHANGED
		out.Detail = &pb.Event_SsrcChanged{SsrcChanged: &pb.SsrcChanged{Message: message}}
	case relay.EventSRTPDesync:
		out.Kind = pb.EventKind_EVENT_KIND_SRTP_DESYNC
		out.Detail = &pb.Event_SrtpDesync{SrtpDesync: &pb.SrtpDesync{Message: message}}
	case relay.EventQuality:
		out.Kind = pb.EventKind_EVENT_KIND_QUALITY_MEASURED
		quality := &pb.QualityMeasured{}
		if e.Quality != nil {
			quality.Stats = encodeStats(e.Quality)
		}
		out.Detail = &pb.Event_QualityMeasured{QualityMeasured: quality}
	case relay.EventConsentLost:
		out.Kind = pb.EventKind_EVENT_KIND_CONSENT_LOST
		out.Detail = &pb.Event_ConsentLost{ConsentLost: &pb.ConsentLost{Message: message}}
	case relay.EventCallEnded:
		out.Kind = pb.EventKind_EVENT_KIND_CALL_ENDED
		out.Detail = &pb.Event_CallEnded{CallEnded: &pb.CallEnded{Reason: encodeReason(e.Reason), Message: message}}
	default:
		encodeAttachmentEvent(e, out)
	}
	return out
}

// encodeAttachmentEvent is encodeEvent for what happens to sinks and sources.
func encodeAttachmentEvent(e *relay.Event, out *pb.Event) {
	id := e.Attachment
	switch e.Kind {
	case relay.EventSourceSwitched:
		out.Kind = pb.EventKind_EVENT_KIND_SOURCE_SWITCHED
		out.Detail = &pb.Event_SourceSwitched{SourceSwitched: &pb.SourceSwitched{Source: id}}
	case relay.EventSourceEnded:
		out.Kind = pb.EventKind_EVENT_KIND_SOURCE_ENDED
		out.Detail = &pb.Event_SourceEnded{SourceEnded: &pb.SourceEnded{AttachmentId: id, Sent: durationpb.New(e.Duration)}}
	case relay.EventAttached:
		out.Kind = pb.EventKind_EVENT_KIND_ATTACHED
		out.Detail = &pb.Event_Attached{Attached: &pb.Attached{AttachmentId: id, Result: texts(e.Result)}}
	case relay.EventAttachmentFailed:
		out.Kind = pb.EventKind_EVENT_KIND_ATTACHMENT_FAILED
		out.Detail = &pb.Event_AttachmentFailed{AttachmentFailed: &pb.AttachmentFailed{AttachmentId: id, Message: text(e.Message)}}
	case relay.EventAttachmentRecovered:
		out.Kind = pb.EventKind_EVENT_KIND_ATTACHMENT_RECOVERED
		out.Detail = &pb.Event_AttachmentRecovered{AttachmentRecovered: &pb.AttachmentRecovered{AttachmentId: id}}
	case relay.EventDetached:
		out.Kind = pb.EventKind_EVENT_KIND_DETACHED
		out.Detail = &pb.Event_Detached{Detached: &pb.Detached{AttachmentId: id, Result: texts(e.Result)}}
	}
}
