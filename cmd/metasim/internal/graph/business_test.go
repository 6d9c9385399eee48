package graph

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/pion/dtls/v2"
	"github.com/pion/dtls/v2/pkg/crypto/selfsign"
	"github.com/pion/ice/v3"
	"github.com/pion/logging"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"

	"github.com/onelane/onelane/ice/icetest"
)

const businessSSRC = 987654

// business is an edge that keeps every rule: a full agent on pion/ice, DTLS and SRTP.
type business struct {
	agent       *ice.Agent
	mux         *ice.UDPMuxDefault
	addr        netip.AddrPort
	certificate tls.Certificate
	dtls        *dtls.Conn
	conn        *split
	send        *srtp.Context
	recv        *srtp.Context
	header      rtp.Header
	sent        int
	next        time.Time

	mu    sync.Mutex
	heard []rtp.Header
}

// split is the agent's connection as DTLS sees it: what is not DTLS goes elsewhere.
type split struct {
	*ice.Conn
	media func(b []byte)
}

func (s *split) Read(b []byte) (int, error) {
	for {
		n, err := s.Conn.Read(b)
		if err != nil || b[0] < 64 {
			return n, err
		}
		s.media(b[:n])
	}
}

func newBusiness(c net.PacketConn) *business {
	b := &business{certificate: must(selfsign.GenerateSelfSigned()), addr: must(netip.ParseAddrPort(c.LocalAddr().String()))}
	quiet := logging.NewDefaultLoggerFactory()
	quiet.DefaultLogLevel = logging.LogLevelDisabled
	b.mux = ice.NewUDPMuxDefault(ice.UDPMuxParams{UDPConn: c, Logger: quiet.NewLogger("ice")})
	zero, interval, many := time.Duration(0), 50*time.Millisecond, uint16(200)
	b.agent = must(ice.NewAgent(&ice.AgentConfig{
		NetworkTypes: []ice.NetworkType{ice.NetworkTypeUDP4}, CandidateTypes: []ice.CandidateType{ice.CandidateTypeHost},
		MulticastDNSMode: ice.MulticastDNSModeDisabled, UDPMux: b.mux, LoggerFactory: quiet,
		CheckInterval: &interval, MaxBindingRequests: &many, HostAcceptanceMinWait: &zero, PrflxAcceptanceMinWait: &zero,
	}))
	gathered := make(chan struct{})
	check(b.agent.OnCandidate(func(c ice.Candidate) {
		if c == nil {
			close(gathered)
		}
	}))
	check(b.agent.GatherCandidates())
	<-gathered
	b.header = rtp.Header{Version: 2, PayloadType: 111, SSRC: businessSSRC, SequenceNumber: 65530, Timestamp: 12345}
	return b
}

func (b *business) sdp(setup string) string {
	ufrag, pwd, err := b.agent.GetLocalUserCredentials()
	check(err)
	sum := sha256.Sum256(b.certificate.Certificate[0])
	hex := strings.ReplaceAll(fmt.Sprintf("% X", sum[:]), " ", ":")
	return strings.ReplaceAll(fmt.Sprintf(`v=0
o=- 1 1 IN IP4 %[1]s
s=-
t=0 0
a=group:BUNDLE audio
m=audio %[2]d UDP/TLS/RTP/SAVPF 111 126
c=IN IP4 %[1]s
a=candidate:1 1 udp 2130706431 %[1]s %[2]d typ host
a=ice-ufrag:%[3]s
a=ice-pwd:%[4]s
a=fingerprint:sha-256 %[5]s
a=setup:%[6]s
a=mid:audio
a=sendrecv
a=rtcp-mux
a=rtpmap:111 opus/48000/2
a=rtpmap:126 telephone-event/8000
a=maxptime:20
a=ptime:20
a=ssrc:%[7]d cname:onelane
`, b.addr.Addr(), b.addr.Port(), ufrag, pwd, hex, setup, businessSSRC), "\n", "\r\n")
}

// connect runs ICE and DTLS as client.
func (b *business) connect(remote string) error {
	peer := must(icetest.ReadSDP(remote))
	for _, a := range peer.Candidates {
		c := must(ice.NewCandidateHost(&ice.CandidateHostConfig{Network: "udp", Address: a.Addr().String(), Port: int(a.Port()), Component: 1}))
		check(b.agent.AddRemoteCandidate(c))
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	conn, err := b.agent.Dial(ctx, peer.Ufrag, peer.Pwd)
	if err != nil {
		return err
	}
	b.conn = &split{conn, b.media}
	config := &dtls.Config{
		Certificates: []tls.Certificate{b.certificate}, InsecureSkipVerify: true, ClientAuth: dtls.RequireAnyClientCert,
		SRTPProtectionProfiles: []dtls.SRTPProtectionProfile{dtls.SRTP_AEAD_AES_128_GCM},
	}
	if peer.Setup == "active" {
		b.dtls, err = dtls.ServerWithContext(ctx, b.conn, config)
	} else {
		b.dtls, err = dtls.ClientWithContext(ctx, b.conn, config)
	}
	if err != nil {
		return err
	}
	state := b.dtls.ConnectionState()
	k := srtp.Config{Profile: srtp.ProtectionProfileAeadAes128Gcm}
	check(k.ExtractSessionKeysFromDTLS(&state, peer.Setup != "active"))
	b.send = must(srtp.CreateContext(k.Keys.LocalMasterKey, k.Keys.LocalMasterSalt, k.Profile))
	b.mu.Lock()
	defer b.mu.Unlock()
	b.recv = must(srtp.CreateContext(k.Keys.RemoteMasterKey, k.Keys.RemoteMasterSalt, k.Profile))
	return nil
}

func (b *business) media(p []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var h rtp.Header
	if b.recv == nil || p[1] >= 192 && p[1] < 224 {
		return
	}
	if _, err := b.recv.DecryptRTP(nil, p, &h); err == nil {
		b.heard = append(b.heard, h)
	}
}

// packet sends one RTP packet as it is.
func (b *business) packet(h rtp.Header, payload []byte) {
	raw := must(h.Marshal())
	_, _ = b.conn.Write(must(b.send.EncryptRTP(nil, append(raw, payload...), nil))) // fails when the call was ended under us
}

// pace waits for the next 20 ms of fake time and reports when that is due.
func (b *business) pace() {
	if b.sent == 0 {
		b.next = time.Now()
	}
	if b.sent%200 == 0 {
		raw := must(rtcp.Marshal([]rtcp.Packet{&rtcp.SenderReport{SSRC: businessSSRC}, rtcp.NewCNAMESourceDescription(businessSSRC, "onelane")}))
		_, _ = b.conn.Write(must(b.send.EncryptRTCP(nil, raw, nil)))
	}
	b.sent++
	b.next = b.next.Add(20 * time.Millisecond)
	<-time.After(time.Until(b.next))
}

// speak sends n packets of 20 ms.
func (b *business) speak(n int) {
	for range n {
		b.packet(b.header, []byte{0xf8, 0xff, 0xfe})
		b.header.SequenceNumber++
		b.header.Timestamp += 960
		b.pace()
	}
}

// press sends a digit of 100 ms.
func (b *business) press(code byte) {
	h := b.header
	h.PayloadType, h.Marker = 126, true
	for i := 1; i <= 5; i++ {
		times, end := 1, byte(0)
		if i == 5 {
			times, end = 3, 0x80
		}
		for range times {
			b.packet(h, []byte{code, end | 10, byte(i * 160 >> 8), byte(i * 160)})
			h.SequenceNumber++
			h.Marker = false
		}
		b.pace()
	}
	b.header.SequenceNumber = h.SequenceNumber
	b.header.Timestamp += 5 * 960
}

func (b *business) close() {
	if b.dtls != nil {
		_ = b.dtls.Close()
	}
	_ = b.agent.Close()
	_ = b.mux.Close()
}

func must[T any](v T, err error) T {
	check(err)
	return v
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
