package relay

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/onelane/onelane/ice/secure"
	"github.com/onelane/onelane/ice/udp"
	"github.com/onelane/onelane/relay/config"
	"github.com/onelane/onelane/relay/sdp"
	"github.com/onelane/onelane/relay/shard"
)

// Options are what a Server is made from. Config, Kinds, Log and NewPorts are needed.
type Options struct {
	Config  config.Config
	Kinds   map[string]Kind
	Log     *slog.Logger
	Version string
	// NewPorts makes the sockets of one shard: udp.New, or a network in memory.
	NewPorts func() (udp.Ports, error)
	// Thread, if not nil, runs once on each shard's thread.
	Thread func()
	// Descriptors is how many sockets the process may open; 0: not known.
	Descriptors int
}

// descriptorReserve is what the process needs besides its calls: listeners, epoll sets, logs, API connections, recordings being renamed.
const descriptorReserve = 128

// endedKept bounds how many ended calls stay readable, whatever calls.keep says.
const endedKept = 10000

// Server is the edge: the calls, the shards they live on, and the events they make. Safe for concurrent use.
type Server struct {
	config   config.Config
	kinds    map[string]Kind
	log      *slog.Logger
	version  string
	origin   time.Time
	certs    *secure.Certificate
	salt     [16]byte // of the names that calls have in files and logs
	allow    func(netip.Addr) error
	shards   []*shard.Shard
	journal  *eventLog
	capacity capacity
	turns    turns          // of handshakes
	sessions sync.WaitGroup // every goroutine of a call
	stop     chan struct{}
	stopped  chan struct{}
	inbox    inbox
	closing  sync.Once
	closed   error // of closing

	table
}

// table is what all calls of an edge share.
type table struct {
	mu       sync.Mutex // guards what follows
	calls    map[string]*Call
	bySerial map[uint64]*Call // those that live
	ranges   []*portRange     // one a shard
	load     []int            // live calls, one a shard
	live     int
	serial   uint64
	draining bool
	ended    []endedCall // oldest first
	watches  map[*WatchOptions]struct{}
}

// New starts a Server: its shards run when it returns.
func New(o Options) (*Server, error) {
	shards := o.Config.Media.Shards
	if shards == 0 {
		shards = max(1, runtime.NumCPU()/2)
	}
	ranges, err := splitPorts(o.Config.Media.PortMin, o.Config.Media.PortMax, shards, o.Config.Media.PortRest)
	if err != nil {
		return nil, err
	}
	cert, err := secure.NewCertificate()
	if err != nil {
		return nil, fmt.Errorf("make the DTLS certificate: %w", err)
	}
	s := &Server{
		config:  o.Config,
		kinds:   o.Kinds,
		log:     o.Log,
		version: o.Version,
		origin:  time.Now(),
		certs:   cert,
		journal: newEventLog(),
		turns:   newTurns(),
		stop:    make(chan struct{}),
		stopped: make(chan struct{}),
		inbox:   inbox{ready: make(chan struct{}, 1)},
		table: table{
			calls:    make(map[string]*Call),
			bySerial: make(map[uint64]*Call),
			ranges:   ranges,
			load:     make([]int, shards),
			watches:  make(map[*WatchOptions]struct{}),
		},
	}
	rand.Read(s.salt[:])
	var own []netip.Addr
	for _, a := range o.Config.Media.Addresses {
		own = append(own, a.Local, a.Public)
	}
	s.allow = sdp.AllowPublic(o.Config.Media.AllowNetworks, own...)
	s.capacity.descriptors = o.Descriptors
	s.capacity.calls, s.capacity.by = Capacity(o.Config, o.Descriptors)
	for range shards {
		ports, err := o.NewPorts()
		if err != nil {
			s.closeShards()
			return nil, fmt.Errorf("open the sockets of a shard: %w", err)
		}
		s.shards = append(s.shards, shard.New(ports, s.origin, s.inbox.add, o.Thread))
	}
	go s.run()
	return s, nil
}

// capacity is how many calls fit and what bounds that, as Capacity says, and how many descriptors the process may have.
type capacity struct {
	calls       int
	by          string
	descriptors int
}

// Capacity is how many calls fit, and what bounds it: "config", "ports" or "descriptors". descriptors is how many sockets the process may
// open; 0: not known.
func Capacity(c config.Config, descriptors int) (calls int, by string) {
	calls, by = c.Calls.Max, "config"
	if ports := int(c.Media.PortMax) - int(c.Media.PortMin) + 1; ports < calls {
		calls, by = ports, "ports"
	}
	if descriptors > 0 {
		// A call has a socket on every address while it is set up and one afterwards; a recording or an RTP leg takes one more.
		n := max(0, descriptors-descriptorReserve) / (len(c.Media.Addresses) + 1)
		if n < calls {
			calls, by = n, "descriptors"
		}
	}
	return calls, by
}

// now is the time since the process's origin; monotonic.
func (s *Server) now() time.Duration { return time.Since(s.origin) }

// wall is the wall clock at now.
func (s *Server) wall(now time.Duration) time.Time { return s.origin.Add(now).Round(0) }

// event appends an event about a call.
func (s *Server) event(c *Call, e Event) {
	if e.Time.IsZero() {
		e.Time = s.wall(s.now())
	}
	e.CallID, e.Tenant = c.id, c.tenant
	s.journal.append(e)
}

// run does what has to be done for many calls: it takes the events of the shards, and looks once a second for leases, stalls and calls
// that have been over for long enough.
func (s *Server) run() {
	defer close(s.stopped)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-s.inbox.ready:
			for _, e := range s.inbox.take() {
				s.told(e)
			}
		case <-tick.C:
			s.sweep(s.now())
		}
	}
}

// inbox carries events from the shards' goroutines to Server.run. It is bounded by what the shards can say in the time it takes to read
// it: a few events a call and second.
type inbox struct {
	mu     sync.Mutex
	events []shard.Event
	ready  chan struct{}
}

func (b *inbox) add(e []shard.Event) {
	b.mu.Lock()
	b.events = append(b.events, e...)
	b.mu.Unlock()
	select {
	case b.ready <- struct{}{}:
	default:
	}
}

func (b *inbox) take() []shard.Event {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.events
	b.events = nil
	return e
}

// sweep renews the leases of watched calls, ends those whose lease is over, and forgets calls that ended long ago.
func (s *Server) sweep(now time.Duration) {
	s.mu.Lock()
	live := make([]*Call, 0, s.live)
	for _, c := range s.bySerial {
		live = append(live, c)
	}
	watches := make([]*WatchOptions, 0, len(s.watches))
	for w := range s.watches {
		watches = append(watches, w)
	}
	for len(s.ended) > 0 && (now-s.ended[0].at > s.config.Calls.Keep || len(s.ended) > endedKept) {
		delete(s.calls, s.ended[0].id)
		s.ended = s.ended[1:]
	}
	for _, r := range s.ranges {
		r.wake(now)
	}
	s.mu.Unlock()
	for _, c := range live {
		watched := slices.ContainsFunc(watches, func(w *WatchOptions) bool { return w.covers(c.tenant, c.id) })
		if c.sweep(now, watched) {
			c.end(EndLeaseExpired, "no controller asked for this call or watched it for as long as its lease")
		}
	}
}

// endedCall is a call that is over and stays readable for a while.
type endedCall struct {
	id string
	at time.Duration
}

// find gives a call by its id and renews its lease.
func (s *Server) find(ctx context.Context, id string) (*Call, error) {
	s.mu.Lock()
	c := s.calls[id]
	s.mu.Unlock()
	if c == nil {
		return nil, fail(NotFound, "CALL_UNKNOWN", "call_id", "no such call on this edge: it was never created here, or it ended over %v ago", s.config.Calls.Keep)
	}
	select {
	case <-c.made:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if c.failed != nil {
		return nil, fail(NotFound, "CALL_UNKNOWN", "call_id", "creating this call failed: %v", c.failed)
	}
	c.renew(s.now())
	return c, nil
}

// Watch gives the events from now on, or from a resume token, until ctx ends. While it runs, it renews the lease of every call it covers.
func (s *Server) Watch(ctx context.Context, o WatchOptions, each func(Event, string) error, gap func(Gap) error) error {
	s.mu.Lock()
	s.watches[&o] = struct{}{}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.watches, &o)
		s.mu.Unlock()
	}()
	return s.journal.watch(ctx, o, each, gap)
}

// Position is the resume token of the newest event.
func (s *Server) Position() string {
	s.journal.mu.Lock()
	defer s.journal.mu.Unlock()
	return s.journal.token(s.journal.last)
}

// key is the name of a call in files and logs: a salted hash, because call ids contain phone numbers.
func (s *Server) key(serial uint64) string {
	return fmt.Sprintf("%s%04x", hex.EncodeToString(s.salt[:3]), serial)
}

// Drain refuses new calls and waits until the live ones have ended, or until ctx does: then it ends them.
func (s *Server) Drain(ctx context.Context) {
	s.mu.Lock()
	s.draining = true
	s.mu.Unlock()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for s.lives() > 0 {
		select {
		case <-ctx.Done():
			s.endAll()
			return
		case <-tick.C:
		}
	}
}

func (s *Server) lives() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.live
}

func (s *Server) endAll() {
	s.mu.Lock()
	live := make([]*Call, 0, s.live)
	for _, c := range s.bySerial {
		live = append(live, c)
	}
	s.mu.Unlock()
	for _, c := range live {
		c.end(EndDrained, "the edge shuts down")
	}
}

// Close ends every call, waits for what they have open, and stops the shards. Closing again does nothing.
func (s *Server) Close() error {
	s.closing.Do(func() { s.closed = s.close() })
	return s.closed
}

func (s *Server) close() error {
	s.mu.Lock()
	s.draining = true
	s.mu.Unlock()
	s.endAll()
	s.sessions.Wait()
	close(s.stop)
	<-s.stopped
	s.journal.close()
	return s.closeShards()
}

func (s *Server) closeShards() error {
	var first error
	for _, sh := range s.shards {
		if err := sh.Close(); err != nil && first == nil {
			first = err
		}
	}
	return first
}

// random gives n random bytes as a number.
func random32() uint32 {
	var b [4]byte
	rand.Read(b[:])
	return binary.BigEndian.Uint32(b[:])
}
