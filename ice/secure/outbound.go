package secure

import (
	"encoding/binary"
	"net"
	"time"
)

// Write sends what pion writes.
func (g *guard) Write(b []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return 0, net.ErrClosed
	}
	if g.muted {
		return len(b), nil
	}
	b = append([]byte(nil), b...)
	g.remember(b)
	g.number(b)
	return g.link.Write(b)
}

// number gives the plaintext records of a datagram their numbers.
func (g *guard) number(b []byte) {
	for len(b) >= recordHeader {
		if binary.BigEndian.Uint16(b[3:]) == 0 {
			putUint48(b[5:], g.next)
			g.next++
		}
		b = b[min(len(b), recordHeader+int(binary.BigEndian.Uint16(b[11:]))):]
	}
}

// remember keeps the datagrams of the flight that is being sent, and shows inbound what we say in plaintext.
func (g *guard) remember(b []byte) {
	if len(b) < recordHeader || b[0] == contentAlert {
		return
	}
	if g.begins(b) {
		g.flight = nil
	}
	g.in.sent(b)
	if len(g.flight) < maxFlight {
		g.flight = append(g.flight, b)
	}
}

// begins tells whether a datagram is the first of a flight, for the first time or again.
func (g *guard) begins(b []byte) bool {
	if b[0] == contentChangeCipherSpec {
		return g.role == Server
	}
	if b[0] != contentHandshake || binary.BigEndian.Uint16(b[3:]) != 0 || len(b) < recordHeader+messageHeader ||
		uint24(b[recordHeader+6:]) != 0 {
		return false
	}
	kind := b[recordHeader]
	switch {
	case g.role == Server && kind == typeServerHello,
		g.role == Client && (kind == typeClientHello || kind == typeCertificate),
		g.role == Client && kind == typeClientKeyExchange && g.kind != typeCertificate:
		g.kind = kind
		return true
	}
	return false
}

// kick sends the last flight once more.
func (g *guard) kick() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.muted || g.closed {
		return
	}
	for _, b := range g.flight {
		again := append([]byte(nil), b...)
		g.number(again)
		_, _ = g.link.Write(again)
	}
}

// sayFailed tells a peer that is in the middle of a handshake which we give up, so that it takes the next ClientHello for a new one.
func (g *guard) sayFailed() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.alert()
}

func (g *guard) alert() {
	const fatal, handshakeFailure = 2, 40
	g.told = time.Now()
	b := []byte{contentAlert, 0xFE, 0xFD, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, fatal, handshakeFailure}
	g.number(b)
	_, _ = g.link.Write(b)
}
