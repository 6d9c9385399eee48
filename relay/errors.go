package relay

import "fmt"

// Code is the class of an error. relay/control maps it to a gRPC status; nothing else does.
type Code uint8

const (
	// InvalidArgument: the request itself is wrong; repeating it is useless.
	InvalidArgument Code = 1 + iota
	// NotFound: no such call, attachment or kind.
	NotFound
	// AlreadyExists: the id is taken by something different.
	AlreadyExists
	// FailedPrecondition: not in this state of the call.
	FailedPrecondition
	// Exhausted: ports, descriptors or a configured limit are used up; try later or elsewhere.
	Exhausted
	// Unavailable: the edge is draining or not ready.
	Unavailable
	// Internal: a fault of ours.
	Internal
)

// Error is what every method of Server returns when it fails.
type Error struct {
	Code    Code
	Reason  string // stable, UPPER_SNAKE_CASE: what a program tests (google.rpc.ErrorInfo.reason)
	Field   string // the request field at fault, "" if none
	Line    int    // line of the SDP at fault, from 1; 0 if none
	Message string // what was wrong and what to do, for people; never has a secret or a call id in it
}

func (e *Error) Error() string {
	s := e.Message
	if e.Line > 0 {
		s = fmt.Sprintf("line %d: %s", e.Line, s)
	}
	if e.Field != "" {
		s = e.Field + ": " + s
	}
	return s
}

func fail(c Code, reason, field, format string, args ...any) *Error {
	return &Error{Code: c, Reason: reason, Field: field, Message: fmt.Sprintf(format, args...)}
}
