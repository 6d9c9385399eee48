// Package udp reads many local UDP ports as one.
//
// A call has a local UDP port of its own, because Meta's relay address is shared by many calls: the local port is the only thing
// in a media packet that tells two calls apart. Thousands of ports are therefore read by one epoll set a shard, not by a goroutine
// each.
//
// Words used here:
//
//   - port: an open local UDP socket, named by a [Port], a small dense number that is reused after Close. A reader keeps what
//     belongs to a port in a slice indexed by it.
//   - batch: a caller-owned slice of [Datagram] that one call fills or sends.
//   - slab: the memory that received bytes live in. It belongs to Ports and is overwritten by the next Receive.
package udp

import (
	"errors"
	"net/netip"
	"time"
)

// MaxDatagram is the most bytes of one datagram that are kept. No valid SRTP, DTLS or STUN packet of a call is longer than an
// Ethernet frame; a longer datagram is dropped and counted, never delivered cut.
const MaxDatagram = 1500

// slack is how far the capacity of a received datagram reaches past its bytes at least: room for an SRTP tag and index, so that a
// packet can be sealed again where it lies.
const slack = 64

// Port names an open local UDP port.
type Port uint32

// NoPort is no port. A slice indexed by Port never reaches it.
const NoPort Port = ^Port(0)

// Datagram is one UDP datagram. Remote is the source of a received one and the destination of a sent one; an IPv4 address is never
// in its IPv6-mapped form.
type Datagram struct {
	Port   Port
	Remote netip.AddrPort
	Data   []byte
}

var (
	// ErrInUse: the address is bound by somebody else. Try another port number.
	ErrInUse = errors.New("address in use")
	// ErrExhausted: the process has no descriptor or the kernel no memory left. Refuse new calls; live ones are not affected.
	ErrExhausted = errors.New("out of descriptors")
	// ErrClosed: Shutdown was called.
	ErrClosed = errors.New("closed")
)

// Counters count what Ports dropped and did. They belong to the goroutine that owns the Ports.
type Counters struct {
	Received, Sent           uint64 // datagrams
	ReceivedBytes, SentBytes uint64
	Wakeups                  uint64 // returns from the kernel's wait
	Calls                    uint64 // system calls for datagrams: waits, receives and sends, failed ones too; 0 where they are not seen
	TooLong                  uint64 // received datagrams longer than MaxDatagram
	ReceiveErrors            uint64 // ICMP errors and the like; never fatal
	SendAgain                uint64 // socket buffer full (EAGAIN, ENOBUFS)
	SendUnreachable          uint64 // ENETUNREACH, EHOSTUNREACH, ECONNREFUSED, EPERM
	SendErrors               uint64 // anything else, and ports that are not open
}

// Options are what New may be told. The zero value is ready.
type Options struct {
	// ReceiveBuffer and SendBuffer are SO_RCVBUF and SO_SNDBUF of every port in bytes; 0 leaves the kernel's default. The kernel
	// caps them at net.core.rmem_max and wmem_max without a word.
	ReceiveBuffer, SendBuffer int
}

// Ports is a set of local UDP ports that are read and written as one. One goroutine owns a Ports and is the only one that calls its
// methods, but for Wake, which anybody may call at any time.
type Ports interface {
	// Open binds a port to a concrete address. The error wraps ErrInUse, ErrExhausted or ErrClosed where those are the cause, and
	// names the address. The number of a closed port is given out again, but not before the next Receive: what is left of a batch
	// in hand never seems to belong to a port that was opened since.
	Open(local netip.AddrPort) (Port, error)
	// Local is the address a port is bound to. Port number 0 given to Open is resolved here.
	Local(Port) netip.AddrPort
	// Connect says that a port exchanges datagrams with remote alone from now on: everything sent on it has to be for remote. It saves
	// the kernel a route look-up a datagram. What others send may or may not be delivered after it; the owner goes on checking. The
	// port works as before when it fails.
	Connect(p Port, remote netip.AddrPort) error
	// Close closes a port. Datagrams of a closed port are not delivered, also when they were already in the kernel's queue. Closing
	// what is not open does nothing.
	Close(Port)
	// Receive fills batch with what has arrived and returns how many. It waits for at most wait for the first one (negative: without
	// limit, zero: not at all) and returns 0 when the time is up or Wake was called; it may return 0 earlier (a signal), so the
	// caller looks at its own clock. Every port with something to read gets a turn before any port gets many: a flood on one port
	// does not starve the others. Data is valid until the next Receive and may be changed in place; its capacity reaches at least
	// 64 bytes past its end, for a tag. Errors of one port (ICMP) are counted and never returned: an error means that nothing will
	// ever be received again.
	Receive(batch []Datagram, wait time.Duration) (int, error)
	// Send sends a batch in order. It never blocks and never fails: what the kernel refuses, and what names a port that is not open,
	// is dropped and counted.
	Send(batch []Datagram)
	// Wake makes the current or the next Receive return early. Many calls before that Receive count as one. After Shutdown it does
	// nothing.
	Wake()
	// Bell gives the bell of these Ports, always the same one.
	Bell() Bell
	// Counters copies the counters.
	Counters() Counters
	// Shutdown closes every port, ends the bell and frees what Ports holds.
	Shutdown() error
}

// Bell is how the owner of Ports lets one other goroutine go on. Unlike a channel it leaves that to the kernel where it can: the goroutine
// goes on wherever a thread is free, and not on the owner's own, which has packets to move.
type Bell interface {
	// Ring makes the current or the next Wait return. Many rings before that Wait count as one. It never blocks, and is for the owner of
	// the Ports alone.
	Ring()
	// Wait waits for a ring. It returns false after Shutdown, and may return true without a ring. It is for one goroutine.
	Wait() bool
}
