package icetest

import (
	"net"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"
)

// keyed is a call that sends to itself: one set of keys both ways, as if ICE and DTLS were done.
func keyed(tb testing.TB) (*Server, *Call) {
	tb.Helper()
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	check(err)
	s := must(NewServer([]net.PacketConn{conn}, Options{}))
	tb.Cleanup(func() { _ = s.Close() })
	c := must(s.NewCall(CallOptions{}))
	p := Pair{0, s.sockets[0].local}
	key, salt, profile := make([]byte, 16), make([]byte, 12), srtp.ProtectionProfileAeadAes128Gcm
	k := &keying{pair: p, profile: AEADAES128GCM}
	k.recv = must(srtp.CreateContext(key, salt, profile, srtp.SRTPReplayProtection(replayWindow)))
	k.send = must(srtp.CreateContext(key, salt, profile))
	c.keys.Store(k)
	s.claim(c, p)
	return s, c
}

func TestMediaAllocatesNothing(t *testing.T) {
	_, c := keyed(t)
	heard := make(chan struct{}, 1)
	c.OnRTP(func(_ time.Duration, _ *rtp.Header, _ []byte) { heard <- struct{}{} })
	h := rtp.Header{Version: 2, PayloadType: OpusPT, SSRC: 1}
	payload := make([]byte, 80)
	send := func() {
		h.SequenceNumber++
		check(c.SendRTP(&h, payload))
		<-heard
	}
	send()
	if n := testing.AllocsPerRun(1000, send); n > 0 {
		t.Fatalf("%v allocations a packet sent and received", n)
	}
}

// BenchmarkPacket is one packet sealed, sent, received and opened over a real socket, in this process.
func BenchmarkPacket(b *testing.B) {
	_, c := keyed(b)
	heard := make(chan struct{}, 64)
	c.OnRTP(func(_ time.Duration, _ *rtp.Header, _ []byte) { heard <- struct{}{} })
	h := rtp.Header{Version: 2, PayloadType: OpusPT, SSRC: 1}
	payload := make([]byte, 80)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		h.SequenceNumber++
		check(c.SendRTP(&h, payload))
		if i >= 32 {
			<-heard
		}
	}
}
