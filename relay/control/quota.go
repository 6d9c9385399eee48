package control

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net"
	"sync"
	"time"

	"golang.org/x/time/rate"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"

	"github.com/onelane/onelane/relay"
)

const (
	// defaultCreates is what one edge host can set up in a second, more or less: a client that asks for more only builds a queue.
	defaultCreates = 200
	// defaultBurst lets a controller put a full edge's calls on it at once, after a restart.
	defaultBurst = 1000
	// maxIdentities bounds the memory of the quota. Clients beyond it share one bucket.
	maxIdentities = 4096
)

// quota bounds the creates of each client, so that one that runs wild leaves the others and the live calls alone.
type quota struct {
	perSecond rate.Limit
	burst     int

	mu      sync.Mutex
	clients map[string]*rate.Limiter
	rest    *rate.Limiter
	swept   time.Time // when idle clients were last looked for: a look is long, and new clients must not be able to cause one each
}

func newQuota(perSecond, burst int) *quota {
	if perSecond <= 0 {
		perSecond = defaultCreates
	}
	if burst <= 0 {
		burst = defaultBurst
	}
	q := &quota{perSecond: rate.Limit(perSecond), burst: burst, clients: make(map[string]*rate.Limiter)}
	q.rest = rate.NewLimiter(q.perSecond, q.burst)
	return q
}

// take takes one create from a client's bucket, or says how long to wait.
func (q *quota) take(client string) error {
	reservation := q.bucket(client).Reserve()
	delay := reservation.Delay()
	if delay == 0 {
		return nil
	}
	reservation.Cancel()
	return &refusal{
		cause: relay.Error{
			Code: relay.Exhausted, Reason: "QUOTA_EXCEEDED",
			Message: fmt.Sprintf("more than %v creates a second from one client; try again later or use another edge", q.perSecond),
		},
		delay: max(delay, time.Millisecond),
	}
}

func (q *quota) bucket(client string) *rate.Limiter {
	q.mu.Lock()
	defer q.mu.Unlock()
	if b := q.clients[client]; b != nil {
		return b
	}
	if len(q.clients) >= maxIdentities && time.Since(q.swept) >= time.Second {
		q.swept = time.Now()
		for id, b := range q.clients {
			if b.Tokens() >= float64(q.burst) { // idle: a new bucket would be the same
				delete(q.clients, id)
			}
		}
	}
	if len(q.clients) >= maxIdentities {
		return q.rest
	}
	b := rate.NewLimiter(q.perSecond, q.burst)
	q.clients[client] = b
	return b
}

// identity names the client of a request: by its verified certificate or, without one, by its address.
func identity(ctx context.Context) string {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return ""
	}
	if info, ok := p.AuthInfo.(credentials.TLSInfo); ok && len(info.State.VerifiedChains) > 0 {
		leaf := info.State.VerifiedChains[0][0]
		switch {
		case len(leaf.URIs) > 0:
			return "uri " + leaf.URIs[0].String()
		case len(leaf.DNSNames) > 0:
			return "dns " + leaf.DNSNames[0]
		case leaf.Subject.CommonName != "":
			return "cn " + leaf.Subject.CommonName
		}
		return fmt.Sprintf("key %x", sha256.Sum256(leaf.RawSubjectPublicKeyInfo))
	}
	if host, _, err := net.SplitHostPort(p.Addr.String()); err == nil {
		return "ip " + host
	}
	return p.Addr.String()
}
