package relay

import (
	"net"
	"os"
	"runtime"
	"sync"
	"time"
)

// DTLS handshakes run on the goroutines of their calls, never on a shard's thread; and only so many work at once, so that a thousand calls
// that come together do not make every processor sign and verify at the same time. A handshake is mostly waiting for its peer, so what is
// limited is not its length but its work: from a datagram of the peer to the flight that answers it.

const (
	// turnsPerCPU is how many handshakes may work for each processor: enough that one which is held up does not idle it.
	turnsPerCPU = 4
	// turnLength is the longest that one may keep its turn: fifty times what a flight's signatures take. A peer that sends half a flight
	// and no more cannot keep others waiting, and neither can one that never answers, for it never has a turn.
	turnLength = 20 * time.Millisecond
)

// turns are given out to handshakes.
type turns chan struct{}

func newTurns() turns { return make(turns, turnsPerCPU*runtime.NumCPU()) }

// turnstile is a handshake's link, on which it waits for its turn before it sees what its peer has sent. Write may be called beside Read.
type turnstile struct {
	net.Conn
	turns   turns
	expired chan struct{} // a read deadline in the past was set, or the link closed

	mu   sync.Mutex
	held int // odd while it has a turn; one more at each beginning and each end
	end  *time.Timer
}

func newTurnstile(c net.Conn, t turns) *turnstile {
	return &turnstile{Conn: c, turns: t, expired: make(chan struct{}, 1)}
}

// Read waits for a datagram and then for a turn, if it has none.
func (s *turnstile) Read(b []byte) (int, error) {
	n, err := s.Conn.Read(b)
	if err != nil || s.working() {
		return n, err
	}
	select {
	case s.turns <- struct{}{}:
		s.begin()
		return n, nil
	case <-s.expired:
		return 0, os.ErrDeadlineExceeded // the datagram is lost, as any may be
	}
}

// Write sends; with it the work on what was read is done.
func (s *turnstile) Write(b []byte) (int, error) {
	s.done()
	return s.Conn.Write(b)
}

// Close ends also a Read that waits for its turn.
func (s *turnstile) Close() error {
	s.expire()
	return s.Conn.Close()
}

// expire ends a Read that waits for its turn.
func (s *turnstile) expire() {
	select {
	case s.expired <- struct{}{}:
	default: // another caller was faster
	}
}

// SetReadDeadline ends also a Read that waits for its turn.
func (s *turnstile) SetReadDeadline(t time.Time) error {
	select {
	case <-s.expired:
	default:
	}
	if !t.IsZero() && !t.After(time.Now()) {
		s.expire()
	}
	return s.Conn.SetReadDeadline(t)
}

func (s *turnstile) working() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held%2 == 1
}

func (s *turnstile) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held++
	turn := s.held
	s.end = time.AfterFunc(turnLength, func() { s.giveBack(turn) })
}

// done gives the turn back, if there is one.
func (s *turnstile) done() {
	s.mu.Lock()
	turn := s.held
	s.mu.Unlock()
	s.giveBack(turn)
}

// giveBack ends a turn, once.
func (s *turnstile) giveBack(turn int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held != turn || turn%2 == 0 {
		return
	}
	s.held++
	s.end.Stop()
	<-s.turns
}
