package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Exit codes, as relayctl --help says.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitNotFound    = 3
	exitRefused     = 4
	exitUnavailable = 5
)

// exitCodes is the one place where a status gets its exit code; what is missing is exitFailed.
var exitCodes = map[codes.Code]int{
	codes.InvalidArgument:    exitUsage,
	codes.OutOfRange:         exitUsage,
	codes.NotFound:           exitNotFound,
	codes.FailedPrecondition: exitRefused,
	codes.AlreadyExists:      exitRefused,
	codes.Aborted:            exitRefused,
	codes.Unavailable:        exitUnavailable,
	codes.ResourceExhausted:  exitUnavailable,
	codes.DeadlineExceeded:   exitUnavailable,
}

// failure is an error as a person, or a program, wants it.
type failure struct {
	Code    string   `json:"code"`
	Reason  string   `json:"reason,omitempty"`
	Message string   `json:"message"`
	Fields  []string `json:"fields,omitempty"`
	Line    string   `json:"line,omitempty"`
	Retry   string   `json:"retry,omitempty"`
	exit    int
}

// report tells an error and gives the exit code.
func (a *app) report(err error) int {
	if err == nil {
		return exitDone
	}
	f := a.failureOf(err)
	if a.out.json {
		line, _ := json.Marshal(f) // strings only: it cannot fail
		fmt.Fprintln(a.stderr, string(line))
		return f.exit
	}
	for line := range strings.SplitSeq(f.Message, "\n") { // several files can each have failed
		fmt.Fprintln(a.stderr, "relayctl:", clean(line))
	}
	for _, field := range f.Fields {
		fmt.Fprintln(a.stderr, "  -", clean(field))
	}
	switch {
	case f.Reason != "" && f.Retry != "":
		fmt.Fprintf(a.stderr, "  reason %s; try again after %s\n", clean(f.Reason), f.Retry)
	case f.Reason != "":
		fmt.Fprintf(a.stderr, "  reason %s\n", clean(f.Reason))
	}
	if f.Code == "USAGE" {
		fmt.Fprintln(a.stderr, "  relayctl --help, or --help after a command, says more")
	}
	return f.exit
}

func (a *app) failureOf(err error) failure {
	var u usageError
	switch {
	case errors.As(err, &u):
		return failure{Code: "USAGE", Message: err.Error(), exit: exitUsage}
	case errors.Is(err, fs.ErrNotExist):
		return failure{Code: "NOT_FOUND", Message: err.Error(), exit: exitNotFound}
	case errors.Is(err, context.Canceled):
		return failure{Code: "CANCELLED", Message: "interrupted", exit: exitFailed}
	}
	s, ok := status.FromError(err)
	if !ok {
		return failure{Code: "FAILED", Message: err.Error(), exit: exitFailed}
	}
	f := failure{Code: codeName(s.Code()), Message: s.Message(), exit: exitFailed}
	if exit, ok := exitCodes[s.Code()]; ok {
		f.exit = exit
	}
	f.details(s)
	if f.Reason == "" {
		a.explain(&f, s)
	}
	return f
}

// details takes in what the edge says beside the message.
func (f *failure) details(s *status.Status) {
	for _, d := range s.Details() {
		switch d := d.(type) {
		case *errdetails.ErrorInfo:
			f.Reason, f.Line = d.GetReason(), d.GetMetadata()["line"]
		case *errdetails.BadRequest:
			if v := d.GetFieldViolations(); len(v) > 1 { // one alone is the message
				for _, field := range v {
					f.Fields = append(f.Fields, field.GetField()+" "+field.GetDescription())
				}
				f.Message = "the request is wrong in several fields"
			}
		case *errdetails.RetryInfo:
			f.Retry = d.GetRetryDelay().AsDuration().Round(time.Millisecond).String()
		}
	}
}

// explain words an error that is not the edge's but gRPC's own.
func (a *app) explain(f *failure, s *status.Status) {
	switch s.Code() {
	case codes.Unavailable:
		f.Message = fmt.Sprintf("cannot reach the edge at %s: %s", a.connect.addr, cause(s.Message()))
		f.Message += a.remedy(s.Message())
	case codes.DeadlineExceeded:
		f.Message = fmt.Sprintf("no answer from the edge at %s within %v (--timeout)", a.connect.addr, a.timeout)
	case codes.Canceled:
		f.Message = "interrupted"
	case codes.Unimplemented:
		f.Message = fmt.Sprintf("the server at %s does not know this request: it is no edge, or an older one", a.connect.addr)
	}
}

func (a *app) remedy(message string) string {
	switch {
	case strings.Contains(message, "connection refused"):
		return "; does relayd run there? --addr or ONELANE_ADDR says where"
	case strings.Contains(message, "first record does not look like a TLS handshake"):
		return "; it serves no TLS: leave out --tls, or use --plaintext"
	case strings.Contains(message, "unknown authority"), strings.Contains(message, "certificate is not"), strings.Contains(message, "certificate is valid for"):
		return "; --ca names the authority and --server-name the name to expect"
	case strings.Contains(message, "certificate required"), strings.Contains(message, "bad certificate"):
		return "; it wants a certificate of ours: --cert and --key"
	case !a.connect.secure():
		return "; if it serves TLS, use --tls or --ca"
	}
	return ""
}

// cause takes gRPC's wrapping off the error of a connection.
func cause(message string) string {
	if i := strings.LastIndex(message, `desc = "`); i >= 0 {
		message = strings.TrimSuffix(message[i+len(`desc = "`):], `"`)
	}
	for _, prefix := range []string{"transport: ", "Error while dialing: ", "authentication handshake failed: ", "connection error: "} {
		message = strings.TrimPrefix(message, prefix)
	}
	return message
}

// codeName gives a code as in google.rpc.Code.
func codeName(c codes.Code) string {
	var b strings.Builder
	for i, r := range c.String() {
		if i > 0 && r >= 'A' && r <= 'Z' {
			b.WriteByte('_')
		}
		b.WriteRune(r)
	}
	if c == codes.Canceled {
		return "CANCELLED"
	}
	return strings.ToUpper(b.String())
}
