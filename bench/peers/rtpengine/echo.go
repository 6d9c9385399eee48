package main

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/onelane/onelane/bench/internal/wire"
)

// otherSource tells the SSRC of what the echo sends from that of what it got.
const otherSource = 0x5a5a5a5a

// echo is the plain RTP end of every call: it sends back what comes, from one port.
type echo struct {
	address   netip.AddrPort
	socket    *wire.Socket
	reflected atomic.Uint64
}

func newEcho(address string) (*echo, error) {
	s, err := wire.Listen(address)
	if err != nil {
		return nil, fmt.Errorf("echo: %w", err)
	}
	local, err := s.Local()
	return &echo{address: local, socket: s}, err
}

// run echoes until the process ends.
func (e *echo) run() {
	runtime.LockOSThread()
	wire.Punctual(true)
	for {
		n := e.socket.Receive()
		filled := 0
		for i := range n {
			b, _ := e.socket.In(i)
			if len(b) < wire.Header || b[1] >= 192 && b[1] < 224 { // RTCP, should it come here
				continue
			}
			out := e.socket.Out(filled, len(b))
			copy(out, b)
			binary.BigEndian.PutUint32(out[8:], binary.BigEndian.Uint32(out[8:])^otherSource)
			e.socket.Back(filled, i)
			filled++
		}
		if filled > 0 {
			e.reflected.Add(uint64(e.socket.Send(filled)))
		}
		if n < wire.Batch/2 {
			wire.Pause(int64(100 * time.Microsecond)) // as often as relaybench looks at its mirror
		}
	}
}
