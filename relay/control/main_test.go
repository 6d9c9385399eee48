package control

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	pb "github.com/onelane/onelane/relay/control/controlpb"
	"github.com/onelane/onelane/relay/control/controltest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// journal is a log that tests read.
type journal struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.String()
}

func (j *journal) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(j, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// serve serves until the test ends.
func serve(t *testing.T, o Options, l net.Listener) *Server {
	t.Helper()
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s
}

// inMemory serves an edge without a socket.
func inMemory(t *testing.T, edge Edge, j *journal) (*Server, *grpc.ClientConn) {
	t.Helper()
	l := bufconn.Listen(1 << 20)
	s := serve(t, Options{Edge: edge, Log: j.logger(), AllowPlaintext: true}, l)
	return s, dialMemory(t, l)
}

func dialMemory(t *testing.T, l *bufconn.Listener) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///memory", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func client(t *testing.T) (*controltest.Edge, pb.RelayServiceClient) {
	t.Helper()
	edge := controltest.New()
	_, conn := inMemory(t, edge, &journal{})
	return edge, pb.NewRelayServiceClient(conn)
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

var _ Edge = (*controltest.Edge)(nil)
var _ Positioner = (*controltest.Edge)(nil)
