// Package control is the gRPC control API: decode a request, call the edge, encode its answer. It decides nothing about calls.
//
// What it does decide is what a client may do to the process: message and header sizes, connections, streams, pings, creates a
// second. Every limit is a constant below with its reason. Nothing from a request is ever logged: call ids contain phone numbers
// and SDPs contain passwords.
//
// Errors become statuses in errors.go and nowhere else.
package control

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"golang.org/x/net/netutil"
	"golang.org/x/time/rate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"

	"github.com/onelane/onelane/relay"
	"github.com/onelane/onelane/relay/control/controlpb"
)

const (
	// maxMessage is the longest request: an SDP of 64 KiB, the most that relay takes, with room for labels and parameters.
	maxMessage = 256 << 10
	// maxHeaders bounds the metadata of a request; ours needs a few hundred bytes.
	maxHeaders = 16 << 10
	// maxStreams bounds the requests that one connection runs at a time, watches among them. grpc-go counts a reset stream until its
	// handler has returned, so this also bounds what a rapid reset (CVE-2023-44487) can start.
	maxStreams = 256
	// maxConnections keeps clients from using up the descriptors that calls need.
	maxConnections = 1024
	// handshakeTimeout ends connections that do not finish TLS and HTTP/2 set-up.
	handshakeTimeout = 10 * time.Second
	// A client that is silent this long is pinged, and cut off when it does not answer: a half-open connection must not go on
	// renewing the leases of the calls it watches for longer than a lease lasts.
	pingAfter, pingTimeout = 30 * time.Second, 10 * time.Second
	// minPing is how often a client may ping; more is a flood and is cut off with ENHANCE_YOUR_CALM.
	minPing = 10 * time.Second
	// keepaliveInterval is how often a quiet watch says that it is alive.
	keepaliveInterval = 15 * time.Second
	// stopTimeout is how long requests that run may go on when the server stops.
	stopTimeout = 5 * time.Second
)

// Edge is what the API controls: *relay.Server. Every error it returns is a *relay.Error or a context's error.
type Edge interface {
	Create(ctx context.Context, n relay.NewCall) (relay.View, error)
	ApplyAnswer(ctx context.Context, id, sdp string) (relay.View, error)
	OpenMedia(ctx context.Context, id string) (relay.View, error)
	Get(ctx context.Context, id string) (relay.View, error)
	List(ctx context.Context, f relay.ListFilter) (views []relay.View, next string, err error)
	End(ctx context.Context, id, message string) (relay.View, error)
	Attach(ctx context.Context, id string, n relay.NewAttachment) (relay.AttachmentView, error)
	Detach(ctx context.Context, id, attachmentID string) (relay.AttachmentView, error)
	Select(ctx context.Context, id, source string) (relay.View, error)
	SendTones(ctx context.Context, id string, t relay.Tones) error
	// Watch blocks and calls each and gap from its own goroutine, one at a time, until ctx ends, one of them fails, or the edge
	// closes.
	Watch(ctx context.Context, o relay.WatchOptions, each func(e relay.Event, token string) error, gap func(relay.Gap) error) error
	Node() relay.Node
}

// Positioner is what an Edge also is when it can name the place in its events that is now. A watch that starts from now on then has
// a resume token before its first event, so that a connection lost before that event loses nothing.
type Positioner interface {
	// Position is the resume token that goes on after the newest event.
	Position() string
}

// Options say how to serve. The zero value of a field is its default; Edge and Log are required.
type Options struct {
	Edge Edge
	Log  *slog.Logger
	// TLS: empty means plaintext, which is refused on anything but loopback unless AllowPlaintext.
	TLS            Files
	AllowPlaintext bool
	// Creates is how many CreateCalls one client may do a second, CreateBurst how many at once. A client is known by its certificate
	// or, without one, by its IP address. 0: 200 and 1000.
	Creates, CreateBurst int
}

// Server serves the control API. Its methods may be called from any goroutine; Serve once.
type Server struct {
	grpc      *grpc.Server
	health    *health.Server
	stopping  chan struct{} // closed when Serve begins to stop: watches end
	stop      sync.Once
	grace     time.Duration // stopTimeout; tests have less patience
	plaintext bool
	allow     bool
}

// New makes a Server. It fails when the TLS files cannot be used.
func New(o Options) (*Server, error) {
	if o.Edge == nil || o.Log == nil {
		return nil, errors.New("control: Edge and Log are required")
	}
	s := &Server{health: health.NewServer(), stopping: make(chan struct{}), grace: stopTimeout, plaintext: o.TLS == Files{}, allow: o.AllowPlaintext}
	guard := &guard{log: o.Log, stacks: rate.Sometimes{First: 10, Interval: 10 * time.Second}}
	opts := []grpc.ServerOption{
		grpc.MaxRecvMsgSize(maxMessage),
		grpc.MaxHeaderListSize(maxHeaders),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.ConnectionTimeout(handshakeTimeout),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: pingAfter, Timeout: pingTimeout}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: minPing, PermitWithoutStream: true}),
		grpc.UnaryInterceptor(guard.unary),
		grpc.StreamInterceptor(guard.stream),
		grpc.WaitForHandlers(true),
	}
	if !s.plaintext {
		config, err := o.TLS.config(o.Log)
		if err != nil {
			return nil, err
		}
		opts = append(opts, grpc.Creds(credentials.NewTLS(config)))
	}
	s.grpc = grpc.NewServer(opts...)
	s.grpc.RegisterService(strict(&controlpb.RelayService_ServiceDesc), &service{
		edge: o.Edge, guard: guard, quota: newQuota(o.Creates, o.CreateBurst), stopping: s.stopping,
	})
	grpc_health_v1.RegisterHealthServer(s.grpc, s.health)
	reflection.Register(s.grpc)
	s.SetReady(true)
	return s, nil
}

// SetReady sets what the health service says, for the whole server and for the service: SERVING or NOT_SERVING. A draining edge
// is not ready and goes on serving.
func (s *Server) SetReady(ready bool) {
	status := grpc_health_v1.HealthCheckResponse_NOT_SERVING
	if ready {
		status = grpc_health_v1.HealthCheckResponse_SERVING
	}
	s.health.SetServingStatus("", status)
	s.health.SetServingStatus(controlpb.RelayService_ServiceDesc.ServiceName, status)
}

// Serve serves l until ctx ends, then stops: not ready, no new requests, watches end with UNAVAILABLE, and running requests have
// stopTimeout to finish. It closes l. It returns nil after a stop in which all of them did.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	if s.plaintext {
		if err := CheckPlaintext(l.Addr(), s.allow); err != nil {
			_ = l.Close()
			return err
		}
	}
	served := make(chan error, 1)
	go func() { served <- s.grpc.Serve(netutil.LimitListener(l, maxConnections)) }()
	select {
	case err := <-served:
		s.shutdown()
		return fmt.Errorf("serve the control API: %w", err)
	case <-ctx.Done():
	}
	if !s.shutdown() { // served may never come: grpc.Serve waits for every handler
		return fmt.Errorf("stop the control API: requests still ran after %v and were cut off", s.grace)
	}
	<-served
	return nil
}

// shutdown stops the server and says whether all requests finished in time.
func (s *Server) shutdown() bool {
	s.health.Shutdown() // every health watch is told
	s.stop.Do(func() { close(s.stopping) })
	graceful := make(chan struct{})
	go func() {
		s.grpc.GracefulStop()
		close(graceful)
	}()
	timer := time.NewTimer(s.grace)
	defer timer.Stop()
	select {
	case <-graceful:
		return true
	case <-timer.C:
	}
	// Stop cancels every request's context. It waits for the handlers to return, which an edge that ignores its context may never
	// let happen: not our wait.
	go s.grpc.Stop()
	timer.Reset(s.grace)
	select {
	case <-graceful:
	case <-timer.C:
	}
	return false
}

// CheckPlaintext decides whether the API may be served without TLS on an address: on loopback and on Unix sockets always, elsewhere
// only when the operator says so, because requests carry passwords of media sessions and phone numbers.
func CheckPlaintext(addr net.Addr, allow bool) error {
	switch a := addr.(type) {
	case *net.TCPAddr:
		if a.IP.IsLoopback() { // no IP is every interface, and not loopback
			return nil
		}
	case *net.UnixAddr:
		return nil
	}
	if allow {
		return nil
	}
	return fmt.Errorf("refusing to serve the control API without TLS on %v: configure a TLS certificate and key, listen on a loopback address, or allow plaintext", addr)
}
