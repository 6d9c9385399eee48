package secure

import (
	"bytes"
	"net"
	"testing"
	"time"

	"github.com/pion/dtls/v2/pkg/protocol/handshake"
)

// deafLink swallows what is written and never has anything to read.
type deafLink struct{}

func (deafLink) Read([]byte) (int, error)         { return 0, net.ErrClosed }
func (deafLink) Write(b []byte) (int, error)      { return len(b), nil }
func (deafLink) Close() error                     { return nil }
func (deafLink) LocalAddr() net.Addr              { return nil }
func (deafLink) RemoteAddr() net.Addr             { return nil }
func (deafLink) SetDeadline(time.Time) error      { return nil }
func (deafLink) SetReadDeadline(time.Time) error  { return nil }
func (deafLink) SetWriteDeadline(time.Time) error { return nil }

// FuzzGuard feeds datagrams, cut out of the input by a length byte each, to both guards. What they let through must be whole records
// in plaintext order, and what they keep must stay within bounds.
func FuzzGuard(f *testing.F) {
	hello := append([]byte{22, 0xFE, 0xFD, 0, 0, 0, 0, 0, 0, 0, 0, 0, 70}, append([]byte{1, 0, 0, 58, 0, 0, 0, 0, 0, 0, 0, 58}, make([]byte, 58)...)...)
	f.Add(append([]byte{byte(len(hello))}, hello...))
	f.Add([]byte{15, 21, 0xFE, 0xFD, 0, 0, 0, 0, 0, 0, 0, 1, 0, 2, 2, 40})
	f.Add([]byte{14, 20, 0xFE, 0xFD, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 1, 3, 22, 0xFE, 0xFD})
	f.Add(append([]byte{25}, []byte{22, 0xFE, 0xFD, 0, 0, 0, 0, 0, 0, 0, 0, 0, 12, 14, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0}...))
	f.Add(append([]byte{28}, []byte{22, 0xFE, 0xFD, 0, 0, 0, 0, 0, 0, 0, 0, 0, 15, 3, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 3, 0xFE, 0xFD, 0}...))
	profiles := []Profile{AEAD_AES_128_GCM, AES128_CM_HMAC_SHA1_80}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, role := range []Role{Client, Server} {
			g := newGuard(role, deafLink{}, "", profiles)
			if role == Client {
				_, _ = g.Write(hello)
			}
			for rest := data; len(rest) > 0; {
				n := min(int(rest[0]), len(rest)-1)
				g.take(rest[1 : 1+n])
				rest = rest[1+n:]
				if g.in.kept > maxFragments || len(g.in.parts) > maxParts || len(g.in.early) > maxRecords {
					t.Fatalf("keeps %d bytes, %d parts, %d records", g.in.kept, len(g.in.parts), len(g.in.early))
				}
			}
			b := make([]byte, readBuffer)
			for n := g.pack(b); n > 0; n = g.pack(b) {
				for r := b[:n]; len(r) > 0; {
					size := recordHeader + int(r[11])<<8 + int(r[12])
					if len(r) < recordHeader || size > len(r) || r[0] == contentAlert && r[4] == 0 {
						t.Fatalf("let through %x", r)
					}
					r = r[size:]
				}
			}
		}
	})
}

// FuzzSaneMessage: what the guard calls sane does not make pion panic. Hellos, cookies and requests reach pion without a signature.
func FuzzSaneMessage(f *testing.F) {
	f.Add(byte(typeHelloVerify), []byte{0xFE, 0xFD, 2, 1, 2})
	f.Add(byte(typeRequest), []byte{1, 64, 0, 2, 4, 3, 0, 0})
	f.Add(byte(typeClientHello), append(append([]byte{0xFE, 0xFD}, make([]byte, 32)...),
		0, 0, 0, 2, 0xC0, 0x2B, 1, 0, 0, 13, 0, 23, 0, 0, 0, 14, 0, 5, 0, 2, 0, 7, 0))
	f.Add(byte(typeServerHello), append(append([]byte{0xFE, 0xFD}, make([]byte, 32)...),
		0, 0xC0, 0x2B, 0, 0, 13, 0, 23, 0, 0, 0, 14, 0, 5, 0, 2, 0, 7, 0))
	f.Fuzz(func(t *testing.T, kind byte, body []byte) {
		if len(body) > maxMessage {
			return
		}
		in := inbound{profiles: []Profile{AEAD_AES_128_GCM}}
		raw := append([]byte{kind, 0, byte(len(body) >> 8), byte(len(body)), 0, 0, 0, 0, 0, 0, byte(len(body) >> 8), byte(len(body))}, body...)
		if !in.sane(whole{kind: kind, raw: raw}) {
			return
		}
		const ecdhe = 4 // of a type that pion keeps to itself
		_ = (&handshake.Handshake{KeyExchangeAlgorithm: ecdhe}).Unmarshal(raw)
	})
}

// FuzzOpen: no packet makes the Opener panic, and none that was not sealed opens.
func FuzzOpen(f *testing.F) {
	f.Add([]byte{0x80, 111, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2, 3, 4, 5})
	f.Add(append([]byte{0x9F, 111, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2, 0xBE, 0xDE, 0xFF, 0xFF}, make([]byte, 60)...))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, p := range []Profile{AEAD_AES_128_GCM, AES128_CM_HMAC_SHA1_80} {
			_, salt, _ := p.lengths()
			o, err := NewOpener(Keys{Profile: p, RemoteKey: make([]byte, 16), RemoteSalt: make([]byte, salt)})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := o.Open(bytes.Clone(data)); err == nil {
				t.Fatal("opened")
			}
			if _, err := o.OpenRTCP(bytes.Clone(data)); err == nil {
				t.Fatal("opened")
			}
		}
	})
}
