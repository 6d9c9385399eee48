package control

import (
	"context"
	"strings"
	"unicode/utf8"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/onelane/onelane/relay"
)

// Requests are decoded here and not by grpc-go, which answers a request that does not decode with INTERNAL and its own text. An SDP
// that is not UTF-8 is the client's fault and deserves a field and a line.
//
// The trick: any message decodes as Empty, and its bytes are then Empty's unknown fields, unchanged. What is no protobuf at all does
// not even do that, and is left to grpc-go.

// strict gives a copy of a service's description in which every unary method decodes strictly.
func strict(d *grpc.ServiceDesc) *grpc.ServiceDesc {
	out := *d
	out.Methods = make([]grpc.MethodDesc, len(d.Methods))
	for i, m := range d.Methods {
		lax := m.Handler
		m.Handler = func(srv any, ctx context.Context, dec func(any) error, chain grpc.UnaryServerInterceptor) (any, error) {
			return lax(srv, ctx, func(v any) error { return decodeStrictly(v, dec) }, chain)
		}
		out.Methods[i] = m
	}
	return &out
}

// strictStream decodes the request of a stream strictly.
type strictStream struct{ grpc.ServerStream }

func (s *strictStream) RecvMsg(v any) error { return decodeStrictly(v, s.ServerStream.RecvMsg) }

func decodeStrictly(v any, dec func(any) error) error {
	m, ok := v.(proto.Message)
	if !ok || !ours(m) {
		return dec(v)
	}
	var raw emptypb.Empty
	if err := dec(&raw); err != nil {
		return err
	}
	b := raw.ProtoReflect().GetUnknown()
	if err := proto.Unmarshal(b, m); err != nil {
		return toStatus(undecodable(b, m.ProtoReflect().Descriptor()))
	}
	return nil
}

// ours leaves health and reflection to grpc-go.
func ours(m proto.Message) bool {
	return strings.HasPrefix(string(m.ProtoReflect().Descriptor().FullName()), "onelane.")
}

// undecodable finds out why a request does not decode: the first string that is not UTF-8, with its line, or something deeper.
func undecodable(b []byte, d protoreflect.MessageDescriptor) error {
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			break
		}
		b = b[n:]
		if n = protowire.ConsumeFieldValue(number, kind, b); n < 0 {
			break
		}
		field := d.Fields().ByNumber(number)
		if kind == protowire.BytesType && field != nil && field.Kind() == protoreflect.StringKind {
			if s, _ := protowire.ConsumeBytes(b); !utf8.Valid(s) {
				return &relay.Error{
					Code: relay.InvalidArgument, Reason: "INVALID_UTF8", Field: string(field.Name()), Line: badLine(s),
					Message: "is not valid UTF-8",
				}
			}
		}
		b = b[n:]
	}
	return &relay.Error{
		Code: relay.InvalidArgument, Reason: "MALFORMED_REQUEST",
		Message: "the request is not a valid " + string(d.Name()) + ": it was damaged, was made from another proto file, or has a text that is not UTF-8",
	}
}

// badLine is the line, from 1, of the first byte that is not UTF-8.
func badLine(s []byte) int {
	line := 1
	for len(s) > 0 {
		r, n := utf8.DecodeRune(s)
		if r == utf8.RuneError && n == 1 {
			break
		}
		if r == '\n' {
			line++
		}
		s = s[n:]
	}
	return line
}
