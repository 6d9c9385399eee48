package control

import (
	"context"

	"github.com/onelane/onelane/relay"
	pb "github.com/onelane/onelane/relay/control/controlpb"
)

// service implements the RPCs. Errors are returned as they are: guard turns them into statuses.
type service struct {
	pb.UnimplementedRelayServiceServer
	edge     Edge
	guard    *guard
	quota    *quota
	stopping <-chan struct{}
}

func (s *service) CreateCall(ctx context.Context, r *pb.CreateCallRequest) (*pb.CreateCallResponse, error) {
	if err := s.quota.take(identity(ctx)); err != nil {
		return nil, err
	}
	n, err := decodeCreate(r)
	if err != nil {
		return nil, err
	}
	v, err := s.edge.Create(ctx, n)
	if err != nil {
		return nil, err
	}
	return &pb.CreateCallResponse{Call: encodeCall(&v)}, nil
}

func (s *service) ApplyAnswer(ctx context.Context, r *pb.ApplyAnswerRequest) (*pb.ApplyAnswerResponse, error) {
	var f faults
	f.callID(r.GetCallId())
	f.check(r.GetSdpAnswer() != "", "sdp_answer", "is required: give Meta's SDP answer as it came")
	if err := f.err(); err != nil {
		return nil, err
	}
	v, err := s.edge.ApplyAnswer(ctx, r.GetCallId(), r.GetSdpAnswer())
	if err != nil {
		return nil, err
	}
	return &pb.ApplyAnswerResponse{Call: encodeCall(&v)}, nil
}

func (s *service) OpenMedia(ctx context.Context, r *pb.OpenMediaRequest) (*pb.OpenMediaResponse, error) {
	if err := checkCallID(r.GetCallId()); err != nil {
		return nil, err
	}
	v, err := s.edge.OpenMedia(ctx, r.GetCallId())
	if err != nil {
		return nil, err
	}
	return &pb.OpenMediaResponse{Call: encodeCall(&v)}, nil
}

func (s *service) GetCall(ctx context.Context, r *pb.GetCallRequest) (*pb.GetCallResponse, error) {
	if err := checkCallID(r.GetCallId()); err != nil {
		return nil, err
	}
	v, err := s.edge.Get(ctx, r.GetCallId())
	if err != nil {
		return nil, err
	}
	return &pb.GetCallResponse{Call: encodeCall(&v)}, nil
}

func (s *service) ListCalls(ctx context.Context, r *pb.ListCallsRequest) (*pb.ListCallsResponse, error) {
	filter, err := decodeList(r)
	if err != nil {
		return nil, err
	}
	views, next, err := s.edge.List(ctx, filter)
	if err != nil {
		return nil, err
	}
	out := &pb.ListCallsResponse{Calls: make([]*pb.Call, len(views)), NextPageToken: next}
	for i := range views {
		out.Calls[i] = encodeCall(&views[i])
		out.Calls[i].LocalSdp = "" // a page of a thousand SDPs, each with its password, is more than a list is for
	}
	return out, nil
}

func (s *service) EndCall(ctx context.Context, r *pb.EndCallRequest) (*pb.EndCallResponse, error) {
	var f faults
	f.callID(r.GetCallId())
	f.length("message", r.GetMessage(), 0, maxText)
	if err := f.err(); err != nil {
		return nil, err
	}
	v, err := s.edge.End(ctx, r.GetCallId(), r.GetMessage())
	if err != nil {
		return nil, err
	}
	return &pb.EndCallResponse{Call: encodeCall(&v)}, nil
}

func (s *service) Attach(ctx context.Context, r *pb.AttachRequest) (*pb.AttachResponse, error) {
	n, err := decodeAttach(r)
	if err != nil {
		return nil, err
	}
	a, err := s.edge.Attach(ctx, r.GetCallId(), n)
	if err != nil {
		return nil, err
	}
	return &pb.AttachResponse{Attachment: encodeAttachment(&a)}, nil
}

func (s *service) Detach(ctx context.Context, r *pb.DetachRequest) (*pb.DetachResponse, error) {
	var f faults
	f.callID(r.GetCallId())
	f.length("attachment_id", r.GetAttachmentId(), 1, maxName)
	if err := f.err(); err != nil {
		return nil, err
	}
	a, err := s.edge.Detach(ctx, r.GetCallId(), r.GetAttachmentId())
	if err != nil {
		return nil, err
	}
	return &pb.DetachResponse{Attachment: encodeAttachment(&a)}, nil
}

func (s *service) SelectSource(ctx context.Context, r *pb.SelectSourceRequest) (*pb.SelectSourceResponse, error) {
	var f faults
	f.callID(r.GetCallId())
	f.length("source", r.GetSource(), 1, maxName)
	if err := f.err(); err != nil {
		return nil, err
	}
	v, err := s.edge.Select(ctx, r.GetCallId(), r.GetSource())
	if err != nil {
		return nil, err
	}
	return &pb.SelectSourceResponse{Call: encodeCall(&v)}, nil
}

func (s *service) SendDTMF(ctx context.Context, r *pb.SendDTMFRequest) (*pb.SendDTMFResponse, error) {
	var f faults
	f.callID(r.GetCallId())
	f.length("digits", r.GetDigits(), 1, maxDigits)
	t := relay.Tones{Digits: r.GetDigits(), Tone: f.duration("tone", r.GetTone()), Gap: f.duration("gap", r.GetGap())}
	if err := f.err(); err != nil {
		return nil, err
	}
	if err := s.edge.SendTones(ctx, r.GetCallId(), t); err != nil {
		return nil, err
	}
	return &pb.SendDTMFResponse{}, nil
}

func (s *service) GetNode(context.Context, *pb.GetNodeRequest) (*pb.GetNodeResponse, error) {
	n := s.edge.Node()
	return &pb.GetNodeResponse{Node: encodeNode(&n)}, nil
}
