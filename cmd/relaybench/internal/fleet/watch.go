//go:build linux

package fleet

import (
	"context"
	"fmt"
	"net"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/onelane/onelane/relay/control/controlpb"
)

// quota is how many calls one controller sets up at once: fewer than the relay allows.
const quota = 500

// portTries is how often a set-up is asked for again that found no port.
const portTries = 100

// rewatch is how long to wait before a broken event stream is opened again.
const rewatch = time.Second

// watch reads the events of the fleet's calls until ctx ends.
func (f *Fleet) watch(ctx context.Context) {
	defer close(f.watched)
	var token string
	for ctx.Err() == nil {
		stream, err := f.relays[0].WatchEvents(ctx, &controlpb.WatchEventsRequest{Tenant: f.options.Tenant, ResumeToken: token})
		for err == nil {
			var item *controlpb.WatchEventsResponse
			if item, err = stream.Recv(); err != nil {
				break
			}
			if t := item.GetResumeToken(); t != "" {
				token = t
			}
			if e := item.GetEvent(); e.GetKind() == controlpb.EventKind_EVENT_KIND_CALL_ENDED {
				f.over(e)
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(rewatch):
		}
	}
}

// over takes the end of a call.
func (f *Fleet) over(e *controlpb.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ending[e.GetCallId()] {
		delete(f.ending, e.GetCallId())
		return
	}
	reason := strings.ToLower(strings.TrimPrefix(e.GetCallEnded().GetReason().String(), "END_REASON_"))
	f.ended[reason]++
}

// portDelay is how long to wait after the relay has met ports that somebody else has: it has left those behind and goes on with the next.
const portDelay = 5 * time.Millisecond

// retry says how long to wait before a refused set-up is asked for again: when the relay's quota of set-ups is used up, and a few times
// when it found no port.
func retry(err error, tries int) (time.Duration, bool) {
	var delay time.Duration
	reason := ""
	for _, d := range status.Convert(err).Details() {
		switch d := d.(type) {
		case *errdetails.ErrorInfo:
			reason = d.GetReason()
		case *errdetails.RetryInfo:
			delay = d.GetRetryDelay().AsDuration()
		}
	}
	switch reason {
	case "QUOTA_EXCEEDED":
		return delay, true
	case "PORTS_EXHAUSTED":
		return portDelay, tries < portTries
	}
	return 0, false
}

// Dial connects n controllers to a relay. The relay gives each client, which it knows by its address, a quota of set-ups; on loopback each
// controller has an address of its own.
//
// With n 0 there are enough for a number of calls at once, where that is possible.
func Dial(address string, n, calls int) ([]*grpc.ClientConn, error) {
	if n == 0 {
		n = 1
		if host, _, err := net.SplitHostPort(address); err == nil && net.ParseIP(host).IsLoopback() {
			n = min(1+calls/quota, 200)
		}
	}
	var conns []*grpc.ClientConn
	for i := range n {
		options := []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}
		if host, _, err := net.SplitHostPort(address); err == nil && i > 0 {
			ip := net.ParseIP(host).To4()
			if ip == nil || !ip.IsLoopback() || i > 200 {
				closeAll(conns)
				return nil, fmt.Errorf("%d controllers: more than one needs a relay on an address of 127.0.0.0/8, and 200 are the most", n)
			}
			dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(i))}}
			options = append(options, grpc.WithContextDialer(func(ctx context.Context, a string) (net.Conn, error) {
				return dialer.DialContext(ctx, "tcp", a)
			}))
		}
		c, err := grpc.NewClient("passthrough:///"+address, options...)
		if err != nil {
			closeAll(conns)
			return nil, fmt.Errorf("connect to %s: %w", address, err)
		}
		conns = append(conns, c)
	}
	return conns, nil
}

func closeAll(conns []*grpc.ClientConn) {
	for _, c := range conns {
		c.Close()
	}
}
