//go:build linux

package farend

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"math"
	"net/netip"
	"sync"
	"time"

	"github.com/pion/stun/v2"
	"golang.org/x/sys/unix"

	"github.com/onelane/onelane/ice"
)

// flights is how many packets of a phone are remembered: at 50 packets a second, what is not back after 5 s is lost.
const flights = 256

// never is the number of the first packet of a phone that is not counted.
const never = math.MaxUint32

// ErrGone: the phone was hung up before it had keys.
var ErrGone = errors.New("the phone was hung up")

// Phone is the far end of one call.
//
// What is above the line is set before the phone is known to the exchange, or guarded by once; the rest belongs to Exchange.run.
type Phone struct {
	exchange   *Exchange
	id         uint32
	ufrag, pwd string
	local      uint32 // our SSRC
	ctx        context.Context
	hangUp     context.CancelFunc

	once    sync.Once
	secured chan struct{} // closed when there are keys, or err
	err     error
	at      time.Time // when

	peer   peer
	media  media
	stream stream
}

// peer is the relay's side of a phone's call, as its SDP and its checks tell.
type peer struct {
	integrity   stun.MessageIntegrity
	fingerprint string
	passive     bool // the relay waits for our ClientHello
	ssrc        uint32
	known       bool // the answer was read
	remote      netip.AddrPort
	conn        *ice.Conn
	heard       chan struct{} // closed at the first packet that authenticates
	listening   bool          // heard is open
}

// media is what is touched for every packet sent.
type media struct {
	send, receive *crypt
	name          unix.RawSockaddrInet4
	base          uint32 // RTP timestamp at period 0
	sequence      uint64 // with the rollovers
	number        uint32 // of the next packet
	first, end    uint32 // numbers that are counted: first <= number < end
	newest        uint32 // number of the newest packet that came back, plus 1
	slot          int    // -1: does not speak
	// flight has the stamp of each packet: positive while it is away, negative when it is back, 0 when it was never sent.
	flight [flights]int64
}

// stream is the judge's memory of what the relay sends.
type stream struct {
	started   bool
	sequence  uint16
	timestamp uint32
	stamp     int64
}

// NewPhone makes a phone. It answers checks from now on: who has made an offer is ready.
func (e *Exchange) NewPhone() *Phone {
	p := &Phone{exchange: e, ufrag: token(12), pwd: token(18), secured: make(chan struct{})}
	p.ctx, p.hangUp = context.WithCancel(e.ctx)
	p.local = binary.BigEndian.Uint32(random(4))
	p.peer.heard, p.peer.listening = make(chan struct{}), true
	p.peer.integrity = stun.NewShortTermIntegrity(p.pwd)
	p.media.slot, p.media.first, p.media.end = -1, never, never
	// Below half of the range, so that no rollover is guessed wrong at the start (RFC 3711 section 3.3.1).
	p.media.sequence = uint64(binary.BigEndian.Uint16(random(2)) & 0x7fff)
	p.media.base = binary.BigEndian.Uint32(random(4))
	e.call(func() {
		p.id = uint32(len(e.phones))
		e.phones = append(e.phones, p)
		e.byUfrag[p.ufrag] = p
	})
	return p
}

// Secured is closed when the handshake is over. Then Err says how.
func (p *Phone) Secured() <-chan struct{} { return p.secured }

// Err is nil when there are keys. Call it when Secured is closed.
func (p *Phone) Err() error { return p.err }

// SecuredAt is when there were keys. Call it when Secured is closed.
func (p *Phone) SecuredAt() time.Time { return p.at }

func (p *Phone) settle(err error) {
	p.once.Do(func() {
		p.err, p.at = err, time.Now()
		close(p.secured)
	})
}

// HangUp takes the phone away. Its packets that are still out count neither as sent nor as lost.
func (p *Phone) HangUp() {
	p.hangUp()
	p.settle(ErrGone)
	e := p.exchange
	e.call(func() { e.remove(p) })
}

func (e *Exchange) remove(p *Phone) {
	if e.phones[p.id] == nil {
		return
	}
	e.mute(p)
	for n := e.oldest(p); n < p.media.number; n++ {
		if p.media.counted(n) && p.media.flight[n%flights] > 0 {
			e.tally.Sent--
		}
	}
	delete(e.byUfrag, p.ufrag)
	if p.peer.remote.IsValid() {
		e.forget(p)
		p.peer.conn.Close()
	}
	e.phones[p.id] = nil
}

// counted says whether a packet belongs to the window.
func (m *media) counted(number uint32) bool { return number >= m.first && number < m.end }

// oldest is the number of the oldest packet that is remembered.
func (e *Exchange) oldest(p *Phone) uint32 {
	if p.media.number < flights {
		return 0
	}
	return p.media.number - flights
}

func token(n int) string { return base64.RawStdEncoding.EncodeToString(random(n)) }

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	return b
}
