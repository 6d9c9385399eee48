package control

import (
	"fmt"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/onelane/onelane/relay"
	pb "github.com/onelane/onelane/relay/control/controlpb"
	"github.com/onelane/onelane/relay/sink"
)

// Sizes that a request may have. They bound what a call can make the edge keep; what the values mean is checked by relay.
const (
	maxID      = 256 // call id: WhatsApp's are about 100 bytes
	maxName    = 64  // tenant, attachment id, kind, label and parameter names
	maxText    = 256 // label values, end message, tokens
	maxParam   = 4096
	maxLabels  = 32
	maxParams  = 32
	maxDigits  = 64
	maxPage    = 1000
	maxWatched = 1000
)

// faults collects what is wrong with a request, so that a client is told everything at once. The zero value is ready.
type faults []*errdetails.BadRequest_FieldViolation

// fault adds a violation. The message must not quote the request: it may end up in a client's log.
func (f *faults) fault(field, format string, args ...any) {
	*f = append(*f, &errdetails.BadRequest_FieldViolation{Field: field, Description: fmt.Sprintf(format, args...)})
}

func (f *faults) check(ok bool, field, message string) {
	if !ok {
		f.fault(field, "%s", message)
	}
}

func (f *faults) length(field, s string, least, most int) {
	switch {
	case s == "" && least > 0:
		f.fault(field, "is required")
	case len(s) > most:
		f.fault(field, "has %d bytes; at most %d are allowed", len(s), most)
	}
}

func (f *faults) callID(id string) { f.length("call_id", id, 1, maxID) }

func (f *faults) entries(field string, m map[string]string, most, value int) {
	if len(m) > most {
		f.fault(field, "has %d entries; at most %d are allowed", len(m), most)
		return
	}
	for k, v := range m {
		if k == "" || len(k) > maxName {
			f.fault(field, "has a key of %d bytes; 1 to %d are allowed", len(k), maxName)
		}
		if len(v) > value {
			f.fault(field, "has a value of %d bytes; at most %d are allowed", len(v), value)
		}
	}
}

// duration gives 0 for an absent one, which everywhere means the default; so a zero that is given is refused.
func (f *faults) duration(field string, d *durationpb.Duration) time.Duration {
	if d == nil {
		return 0
	}
	if d.CheckValid() != nil || d.AsDuration() <= 0 {
		f.fault(field, "is not a positive duration; leave it out for the default")
		return 0
	}
	return d.AsDuration()
}

func (f faults) err() error {
	if len(f) == 0 {
		return nil
	}
	return &refusal{
		cause:  relay.Error{Code: relay.InvalidArgument, Reason: "INVALID_REQUEST", Field: f[0].Field, Message: f[0].Description},
		fields: f,
	}
}

func checkCallID(id string) error {
	var f faults
	f.callID(id)
	return f.err()
}

func decodeCreate(r *pb.CreateCallRequest) (relay.NewCall, error) {
	var f faults
	f.callID(r.GetCallId())
	f.length("tenant", r.GetTenant(), 0, maxName)
	f.entries("labels", r.GetLabels(), maxLabels, maxText)
	n := relay.NewCall{
		ID: r.GetCallId(), Tenant: r.GetTenant(), Labels: r.GetLabels(), Offer: r.GetSdpOffer(),
		Lease: f.duration("lease", r.GetLease()),
	}
	switch r.GetDirection() {
	case pb.CallDirection_CALL_DIRECTION_UNSPECIFIED:
		n.Direction = relay.UserInitiated
		if n.Offer == "" {
			n.Direction = relay.BusinessInitiated
		}
	case pb.CallDirection_CALL_DIRECTION_USER_INITIATED:
		n.Direction = relay.UserInitiated
		f.check(n.Offer != "", "sdp_offer", "is required in a user-initiated call: give Meta's SDP offer as it came")
	case pb.CallDirection_CALL_DIRECTION_BUSINESS_INITIATED:
		n.Direction = relay.BusinessInitiated
		f.check(n.Offer == "", "sdp_offer", "is refused in a business-initiated call: the edge makes the offer, and ApplyAnswer takes Meta's answer")
	default:
		f.fault("direction", "is %d, which is none that this edge knows", r.GetDirection())
	}
	return n, f.err()
}

func decodeList(r *pb.ListCallsRequest) (relay.ListFilter, error) {
	var f faults
	f.length("tenant", r.GetTenant(), 0, maxName)
	f.entries("labels", r.GetLabels(), maxLabels, maxText)
	f.length("page_token", r.GetPageToken(), 0, maxID+maxText)
	f.check(r.GetPageSize() >= 0 && r.GetPageSize() <= maxPage, "page_size", fmt.Sprintf("is not 0 to %d", maxPage))
	filter := relay.ListFilter{Tenant: r.GetTenant(), Labels: r.GetLabels(), Limit: int(r.GetPageSize()), Token: r.GetPageToken()}
	if len(r.GetStates()) > len(pb.CallState_name) {
		f.fault("states", "has %d entries; name each state once", len(r.GetStates()))
		return filter, f.err()
	}
	for _, s := range r.GetStates() {
		state, ok := decodeState(s)
		if !ok {
			f.fault("states", "has %d, which is none that this edge knows", s)
			continue
		}
		filter.States = append(filter.States, state)
	}
	return filter, f.err()
}

func decodeState(s pb.CallState) (relay.State, bool) {
	switch s {
	case pb.CallState_CALL_STATE_DIALING:
		return relay.StateDialing, true
	case pb.CallState_CALL_STATE_SECURING:
		return relay.StateSecuring, true
	case pb.CallState_CALL_STATE_GATED:
		return relay.StateGated, true
	case pb.CallState_CALL_STATE_LIVE:
		return relay.StateLive, true
	case pb.CallState_CALL_STATE_ENDED:
		return relay.StateEnded, true
	}
	return 0, false
}

func decodeAttach(r *pb.AttachRequest) (relay.NewAttachment, error) {
	var f faults
	f.callID(r.GetCallId())
	f.length("attachment_id", r.GetAttachmentId(), 0, maxName)
	f.length("kind", r.GetKind(), 1, maxName)
	f.entries("params", r.GetParams(), maxParams, maxParam)
	n := relay.NewAttachment{ID: r.GetAttachmentId(), Kind: r.GetKind(), Params: r.GetParams()}
	switch r.GetDirection() {
	case pb.AudioDirection_AUDIO_DIRECTION_UNSPECIFIED:
	case pb.AudioDirection_AUDIO_DIRECTION_CALLER:
		n.Direction = sink.Caller
	case pb.AudioDirection_AUDIO_DIRECTION_BUSINESS:
		n.Direction = sink.Business
	case pb.AudioDirection_AUDIO_DIRECTION_BOTH:
		n.Direction = sink.Both
	default:
		f.fault("direction", "is %d, which is none that this edge knows", r.GetDirection())
	}
	return n, f.err()
}

func decodeWatch(r *pb.WatchEventsRequest) (relay.WatchOptions, error) {
	var f faults
	f.length("resume_token", r.GetResumeToken(), 0, maxText)
	f.length("tenant", r.GetTenant(), 0, maxName)
	if n := len(r.GetCallIds()); n > maxWatched {
		f.fault("call_ids", "has %d entries; at most %d are allowed: leave it empty for all calls", n, maxWatched)
		return relay.WatchOptions{}, f.err()
	}
	for _, id := range r.GetCallIds() {
		f.length("call_ids", id, 1, maxID)
	}
	if len(f) > maxParams { // a thousand times the same is no more help than a few
		f = f[:maxParams]
	}
	return relay.WatchOptions{Resume: r.GetResumeToken(), Tenant: r.GetTenant(), CallIDs: r.GetCallIds()}, f.err()
}
