//go:build linux

package farend

import (
	"context"
	"errors"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/stun/v2"
	"golang.org/x/sys/unix"

	"github.com/onelane/onelane/cmd/relaybench/internal/proc"
	"github.com/onelane/onelane/ice/secure"
)

// Options of an Exchange.
type Options struct {
	Local    netip.AddrPort // IPv4; port 0 takes a free one
	Profile  secure.Profile
	Payload  int           // bytes, MinPayload to MaxPayload
	Period   time.Duration // between two packets of a phone: 20 ms, or a multiple
	Slot     time.Duration // phones are spread over the period in slots of this length
	Realtime bool          // run before everything else on this host, where that is allowed
	// Mirror is where plain RTP is sent back to where it came from: IPv4, port 0 takes a free one. Invalid: nowhere.
	Mirror netip.AddrPort
}

// frameTime and frameSamples are one packet of speech, at RTP's 48 kHz.
const (
	frameTime    = 20 * time.Millisecond
	frameSamples = 960
)

// Exchange is the far end of many calls. Use New.
type Exchange struct {
	options     Options
	socket      *socket
	mirror      *socket // nil without Options.Mirror
	certificate *secure.Certificate
	ctx         context.Context
	stop        context.CancelFunc
	handshakes  sync.WaitGroup
	ended       chan struct{} // closed when run has returned

	mailbox mailbox
	thread  atomic.Int64 // of run, while it is real-time; 0 when it is not

	// What follows belongs to run.

	phones []*Phone // by id; nil when hung up
	directory
	clock   clock
	pending [batchSize]outgoing // what the out batch of socket has
	filled  int
	window
	question, reply stun.Message
}

// directory finds the phone of a datagram.
type directory struct {
	byUfrag map[string]*Phone
	byPort  [1 << 16]*Phone           // by the port of the remote address
	others  map[netip.AddrPort]*Phone // whose port is taken in byPort by another address
}

// window is where packets are counted now.
type window struct {
	tally *Tally
	began int64 // stamp
	since uint64
}

// mailbox holds functions for run.
type mailbox struct {
	mu      sync.Mutex
	waiting []func()
	closed  bool
	some    atomic.Bool
}

// New opens the sockets and starts the exchange.
func New(o Options) (*Exchange, error) {
	if o.Payload < MinPayload || o.Payload > MaxPayload {
		return nil, errors.New("the payload is too short for its mark, or too long for a packet")
	}
	if o.Period < frameTime || o.Period%frameTime != 0 || o.Slot <= 0 || o.Slot > o.Period {
		return nil, errors.New("the period must be a multiple of 20 ms, and a slot shorter than it")
	}
	certificate, err := secure.NewCertificate()
	if err != nil {
		return nil, err
	}
	e := &Exchange{
		options: o, certificate: certificate, ended: make(chan struct{}),
		window: window{tally: &Tally{}},
	}
	e.byUfrag, e.others = map[string]*Phone{}, map[netip.AddrPort]*Phone{}
	if e.socket, err = listen(o.Local); err != nil {
		return nil, err
	}
	if o.Mirror.IsValid() {
		if e.mirror, err = listen(o.Mirror); err != nil {
			e.socket.close()
			return nil, err
		}
	}
	e.ctx, e.stop = context.WithCancel(context.Background())
	e.clock = newClock(o)
	go e.run()
	return e, nil
}

// Address is where the phones are.
func (e *Exchange) Address() netip.AddrPort { return e.socket.local }

// Mirror is where plain RTP is sent back; invalid without Options.Mirror.
func (e *Exchange) Mirror() netip.AddrPort {
	if e.mirror == nil {
		return netip.AddrPort{}
	}
	return e.mirror.local
}

// ReceiveBuffer is what the kernel granted, in bytes of its own accounting.
func (e *Exchange) ReceiveBuffer() int { return e.socket.granted }

// Thread is the one that the phones run on, when it runs before everything else on this host; 0 when it does not.
func (e *Exchange) Thread() int { return int(e.thread.Load()) }

// Close ends every phone without a farewell, and waits.
func (e *Exchange) Close() {
	e.stop()
	<-e.ended
	e.handshakes.Wait()
	e.socket.close()
	if e.mirror != nil {
		e.mirror.close()
	}
}

// post has run call f. Nothing happens after Close.
func (e *Exchange) post(f func()) bool {
	b := &e.mailbox
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return false
	}
	b.waiting = append(b.waiting, f)
	b.some.Store(true)
	return true
}

// call is post that waits.
func (e *Exchange) call(f func()) {
	done := make(chan struct{})
	if e.post(func() { f(); close(done) }) {
		<-done
	}
}

func (e *Exchange) mail() {
	b := &e.mailbox
	if !b.some.Load() || !b.mu.TryLock() { // who has the lock may not run just now; the phones do not wait
		return
	}
	waiting := b.waiting
	b.waiting = nil
	b.some.Store(false)
	b.mu.Unlock()
	for _, f := range waiting {
		f()
	}
}

// run owns everything of the exchange but its mailbox, on a thread of its own.
func (e *Exchange) run() {
	defer close(e.ended)
	runtime.LockOSThread() // never unlocked: the thread, with its timer slack, ends with the goroutine
	punctual()
	if e.options.Realtime {
		if proc.Realtime(0, true) == nil {
			e.thread.Store(int64(unix.Gettid()))
		}
	}
	for e.ctx.Err() == nil {
		e.mail()
		e.receive()
		e.reflect()
		wait := e.transmit(time.Now())
		pause(wait)
	}
	b := &e.mailbox
	b.mu.Lock()
	b.closed = true
	waiting := b.waiting
	b.mu.Unlock()
	for _, f := range waiting { // nobody waits for ever
		f()
	}
	for _, p := range e.phones {
		if p != nil {
			e.remove(p)
			p.settle(ErrGone)
		}
	}
}

// find gives the phone whose remote address this is.
func (e *Exchange) find(a netip.AddrPort) *Phone {
	if p := e.byPort[a.Port()]; p != nil && p.peer.remote == a {
		return p
	}
	return e.others[a]
}

func (e *Exchange) remember(p *Phone) {
	if at := &e.byPort[p.peer.remote.Port()]; *at == nil {
		*at = p
		return
	}
	e.others[p.peer.remote] = p
}

func (e *Exchange) forget(p *Phone) {
	if at := &e.byPort[p.peer.remote.Port()]; *at == p {
		*at = nil
		return
	}
	delete(e.others, p.peer.remote)
}
