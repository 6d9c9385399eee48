package control

import (
	"bytes"
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	pb "github.com/onelane/onelane/relay/control/controlpb"
	"github.com/onelane/onelane/relay/control/controltest"
)

// rawConn is an HTTP/2 client that follows no rule.
type rawConn struct {
	net.Conn
	*http2.Framer
}

func rawDial(t *testing.T, addr string) *rawConn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	r := &rawConn{Conn: c, Framer: http2.NewFramer(c, c)}
	if err := r.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	return r
}

// request gives the header block of a request for GetCall.
func request(t *testing.T, method string) []byte {
	t.Helper()
	var b bytes.Buffer
	e := hpack.NewEncoder(&b)
	for _, f := range [][2]string{
		{":method", "POST"}, {":scheme", "http"}, {":path", method}, {":authority", "edge"}, {"content-type", "application/grpc"}, {"te", "trailers"},
	} {
		if err := e.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]}); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

// stillServes fails the test when another client is not answered.
func stillServes(t *testing.T, addr string) {
	t.Helper()
	if _, err := pb.NewRelayServiceClient(dial(t, addr, insecure.NewCredentials())).GetNode(within(t), &pb.GetNodeRequest{}); err != nil {
		t.Errorf("another client: %v", err)
	}
}

func TestAPingFloodIsCutOff(t *testing.T) {
	l := loopback(t)
	serve(t, Options{Edge: controltest.New()}, l)
	c := rawDial(t, l.Addr().String())
	go func() {
		for range 1000 {
			if c.WritePing(false, [8]byte{1}) != nil {
				return
			}
		}
	}()
	for {
		f, err := c.ReadFrame()
		if err != nil {
			t.Fatalf("closed without a word: %v", err)
		}
		if g, ok := f.(*http2.GoAwayFrame); ok {
			if g.ErrCode != http2.ErrCodeEnhanceYourCalm {
				t.Errorf("goaway %v", g.ErrCode)
			}
			break
		}
	}
	stillServes(t, l.Addr().String())
}

func TestARapidResetRunsNoMoreThanTheStreamLimit(t *testing.T) {
	edge := controltest.New()
	running, release := make(chan struct{}, 5000), make(chan struct{})
	edge.Hook = func(string) error {
		running <- struct{}{}
		<-release // a handler that ignores its context
		return nil
	}
	l := loopback(t)
	serve(t, Options{Edge: edge}, l)
	c := rawDial(t, l.Addr().String())
	body := []byte{0, 0, 0, 0, 3, 0x0a, 1, 'a'}
	block := request(t, pb.RelayService_GetCall_FullMethodName)
	const lag = 100 // so that a stream is reset when its handler runs, not before
	for i := range uint32(3000) {
		if c.WriteHeaders(http2.HeadersFrameParam{StreamID: 2*i + 1, BlockFragment: block, EndHeaders: true}) != nil || c.WriteData(2*i+1, true, body) != nil {
			break // cut off: fine
		}
		if i >= lag && c.WriteRSTStream(2*(i-lag)+1, http2.ErrCodeCancel) != nil {
			break
		}
	}
	for n := range maxStreams {
		select {
		case <-running:
		case <-time.After(10 * time.Second):
			t.Fatalf("only %d requests ran: the flood did not reach the limit", n)
		}
	}
	stillServes(t, l.Addr().String())
	select {
	case <-running:
		t.Errorf("more than %d requests run at once", maxStreams)
	case <-time.After(200 * time.Millisecond):
	}
	_ = c.Close()
	close(release)
}

func TestHugeHeadersAreRefused(t *testing.T) {
	l := loopback(t)
	serve(t, Options{Edge: controltest.New()}, l)
	c := pb.NewRelayServiceClient(dial(t, l.Addr().String(), insecure.NewCredentials()))
	for _, kb := range []int{17, 1024} {
		ctx := metadata.AppendToOutgoingContext(within(t), "x-huge", strings.Repeat("x", kb<<10))
		if _, err := c.GetNode(ctx, &pb.GetNodeRequest{}); err == nil || status.Code(err) == codes.OK {
			t.Errorf("%d KiB of headers: %v", kb, err)
		}
	}
	stillServes(t, l.Addr().String())
}

func TestACutOffServeSaysSo(t *testing.T) {
	edge := controltest.New()
	entered := make(chan struct{})
	release := make(chan struct{})
	edge.Hook = func(string) error { close(entered); <-release; return nil }
	s, err := New(Options{Edge: edge, Log: (&journal{}).logger()})
	if err != nil {
		t.Fatal(err)
	}
	s.grace = 100 * time.Millisecond
	l := loopback(t)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	conn := dial(t, l.Addr().String(), insecure.NewCredentials())
	answered := make(chan error, 1)
	go func() {
		_, err := pb.NewRelayServiceClient(conn).GetCall(within(t), &pb.GetCallRequest{CallId: "a"})
		answered <- err
	}()
	<-entered
	cancel()
	start := time.Now()
	if err := <-done; err == nil || time.Since(start) > 10*time.Second {
		t.Errorf("Serve ended after %v with %v", time.Since(start), err)
	}
	if err := <-answered; err == nil {
		t.Error("the request was answered")
	}
	close(release)
}
