package control

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/onelane/onelane/relay"
)

// Domain is the domain of every google.rpc.ErrorInfo of this API.
const Domain = "onelane.relay"

// statusCodes is the one place where an error of relay gets its gRPC code.
var statusCodes = map[relay.Code]codes.Code{
	relay.InvalidArgument:    codes.InvalidArgument,
	relay.NotFound:           codes.NotFound,
	relay.AlreadyExists:      codes.AlreadyExists,
	relay.FailedPrecondition: codes.FailedPrecondition,
	relay.Exhausted:          codes.ResourceExhausted,
	relay.Unavailable:        codes.Unavailable,
	relay.Internal:           codes.Internal,
}

// fieldNames are the fields that relay and the API call differently.
var fieldNames = map[string]string{"offer": "sdp_offer", "answer": "sdp_answer"}

const (
	// retryAfter is the retry hint of an error that does not know better: a second is about what a call that ends or a port that has
	// rested takes to make room.
	retryAfter = time.Second
	// maxErrorText bounds what goes into an HTTP/2 trailer.
	maxErrorText = 1024
)

// refusal is an error with more details than relay gives.
type refusal struct {
	cause  relay.Error
	fields []*errdetails.BadRequest_FieldViolation // instead of the one of cause.Field
	delay  time.Duration                           // retry hint; 0: retryAfter
}

func (r *refusal) Error() string { return r.cause.Error() }

// toStatus turns an error into a status with its details. An error that nobody foresaw becomes INTERNAL without its text, which
// could quote a request.
func toStatus(err error) error {
	if err == nil {
		return nil
	}
	var r *refusal
	var e *relay.Error
	switch {
	case errors.As(err, &r):
		return r.status()
	case errors.As(err, &e):
		return (&refusal{cause: *e}).status()
	case errors.Is(err, context.Canceled):
		return status.Error(codes.Canceled, "the request was cancelled")
	case errors.Is(err, context.DeadlineExceeded):
		return status.Error(codes.DeadlineExceeded, "the request's deadline has passed")
	}
	if _, ok := status.FromError(err); ok { // of grpc itself: a stream that broke
		return err
	}
	return internal("UNEXPECTED_ERROR")
}

func internal(reason string) error {
	return (&refusal{cause: relay.Error{
		Code: relay.Internal, Reason: reason, Message: "a fault of the edge; only this request failed, and the edge's log has more",
	}}).status()
}

func (r *refusal) status() error {
	if name, ok := fieldNames[r.cause.Field]; ok {
		r.cause.Field = name
	}
	code, ok := statusCodes[r.cause.Code]
	if !ok {
		code = codes.Internal
	}
	info := &errdetails.ErrorInfo{Reason: text(r.cause.Reason), Domain: Domain, Metadata: map[string]string{}}
	if r.cause.Field != "" {
		info.Metadata["field"] = text(r.cause.Field)
	}
	if r.cause.Line > 0 {
		info.Metadata["line"] = strconv.Itoa(r.cause.Line)
	}
	details := []protoadapt.MessageV1{info}
	if code == codes.InvalidArgument {
		if bad := r.badRequest(); bad != nil {
			details = append(details, bad)
		}
	}
	if code == codes.ResourceExhausted || code == codes.Unavailable {
		delay := r.delay
		if delay == 0 {
			delay = retryAfter
		}
		details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(delay)})
	}
	s := status.New(code, text(r.Error()))
	if detailed, err := s.WithDetails(details...); err == nil {
		s = detailed
	}
	return s.Err()
}

func (r *refusal) badRequest() *errdetails.BadRequest {
	if len(r.fields) > 0 {
		return &errdetails.BadRequest{FieldViolations: r.fields}
	}
	if r.cause.Field == "" {
		return nil
	}
	description := r.cause.Message
	if r.cause.Line > 0 {
		description = "line " + strconv.Itoa(r.cause.Line) + ": " + description
	}
	return &errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{{Field: text(r.cause.Field), Description: text(description)}}}
}

// text makes a string fit for the wire: protobuf strings must be UTF-8, and an operating system's error or a quoted line of an SDP
// need not be.
func text(s string) string {
	if len(s) > maxErrorText {
		s = s[:maxErrorText] + "…"
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
