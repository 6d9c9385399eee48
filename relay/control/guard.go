package control

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"

	"golang.org/x/time/rate"
	"google.golang.org/grpc"
)

// guard stands around every RPC: errors become statuses, and a panic is INTERNAL for that RPC alone.
type guard struct {
	log *slog.Logger
	// stacks limits how many panics are logged: a client can repeat the request that causes one.
	stacks rate.Sometimes
}

func (g *guard) unary(ctx context.Context, req any, i *grpc.UnaryServerInfo, next grpc.UnaryHandler) (resp any, err error) {
	defer func() {
		if v := recover(); v != nil {
			resp, err = nil, g.panicked(i.FullMethod, v)
		}
	}()
	resp, err = next(ctx, req)
	return resp, toStatus(err)
}

func (g *guard) stream(srv any, stream grpc.ServerStream, i *grpc.StreamServerInfo, next grpc.StreamHandler) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = g.panicked(i.FullMethod, v)
		}
	}()
	return toStatus(next(srv, &strictStream{stream}))
}

// panicked logs a panic and gives the RPC's error. A panic's value may quote the request, so it is logged only where it cannot: as a
// runtime error; else by its type. A stack has no content either, only addresses.
func (g *guard) panicked(method string, v any) error {
	g.stacks.Do(func() {
		what := fmt.Sprintf("%T", v)
		if e, ok := v.(runtime.Error); ok {
			what = e.Error()
		}
		g.log.Error("panic in an RPC", "method", method, "panic", what, "stack", string(debug.Stack()))
	})
	return internal("PANIC")
}
