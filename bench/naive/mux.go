package main

import (
	"net"
	"time"

	"github.com/pion/transport/v3/packetio"
)

// buffered is how many bytes may wait for one reader.
const buffered = 1000 * 1000

// mux splits what comes over one conn by its first byte (RFC 7983), each kind into a buffer of its own.
type mux struct {
	conn              net.Conn
	dtls, srtp, srtcp *endpoint
}

func newMux(conn net.Conn) *mux {
	return &mux{conn: conn, dtls: newEndpoint(conn), srtp: newEndpoint(conn), srtcp: newEndpoint(conn)}
}

// run reads until the conn is closed.
func (m *mux) run() {
	defer func() {
		for _, e := range []*endpoint{m.dtls, m.srtp, m.srtcp} {
			_ = e.buffer.Close()
		}
	}()
	b := make([]byte, 8192)
	for {
		n, err := m.conn.Read(b)
		if err != nil {
			return
		}
		if e := m.of(b[:n]); e != nil {
			_, _ = e.buffer.Write(b[:n]) // a full buffer drops
		}
	}
}

// of is the endpoint of a packet, or nil.
func (m *mux) of(b []byte) *endpoint {
	switch {
	case len(b) < 2:
		return nil
	case b[0] >= 20 && b[0] <= 63:
		return m.dtls
	case b[0] < 128 || b[0] > 191:
		return nil
	case b[1] >= 192 && b[1] <= 223:
		return m.srtcp
	}
	return m.srtp
}

// endpoint is one kind of packets as a net.Conn.
type endpoint struct {
	net.Conn
	buffer *packetio.Buffer
}

func newEndpoint(conn net.Conn) *endpoint {
	e := &endpoint{Conn: conn, buffer: packetio.NewBuffer()}
	e.buffer.SetLimitSize(buffered)
	return e
}

func (e *endpoint) Read(b []byte) (int, error) { return e.buffer.Read(b) }

// Close leaves the conn to the others.
func (e *endpoint) Close() error { return e.buffer.Close() }

func (e *endpoint) SetDeadline(t time.Time) error     { return e.buffer.SetReadDeadline(t) }
func (e *endpoint) SetReadDeadline(t time.Time) error { return e.buffer.SetReadDeadline(t) }
func (e *endpoint) SetWriteDeadline(time.Time) error  { return nil }
