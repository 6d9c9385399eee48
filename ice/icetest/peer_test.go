package icetest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/pion/dtls/v2"
	"github.com/pion/dtls/v2/pkg/crypto/selfsign"
	"github.com/pion/ice/v3"
	"github.com/pion/logging"
	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"
)

// fullPeer is a full, controlling agent on pion/ice, as the edge would be.
type fullPeer struct {
	t           *testing.T
	mux         *ice.UDPMuxDefault
	agent       *ice.Agent
	certificate tls.Certificate
	remote      *Peer
	conn        *ice.Conn
	dtls        *dtls.Conn
	link        *link
	profile     Profile
	send, recv  *srtp.Context
	heard       chan rtp.Header
	run         sync.WaitGroup
}

func newFullPeer(t *testing.T, c net.PacketConn) *fullPeer {
	t.Helper()
	p := &fullPeer{t: t, heard: make(chan rtp.Header, 1000)}
	p.certificate = must(selfsign.GenerateSelfSigned())
	quiet := logging.NewDefaultLoggerFactory()
	quiet.DefaultLogLevel = logging.LogLevelDisabled
	p.mux = ice.NewUDPMuxDefault(ice.UDPMuxParams{UDPConn: c, Logger: quiet.NewLogger("ice")})
	zero, interval, many := time.Duration(0), 50*time.Millisecond, uint16(200)
	p.agent = must(ice.NewAgent(&ice.AgentConfig{
		NetworkTypes:          []ice.NetworkType{ice.NetworkTypeUDP4, ice.NetworkTypeUDP6},
		CandidateTypes:        []ice.CandidateType{ice.CandidateTypeHost},
		MulticastDNSMode:      ice.MulticastDNSModeDisabled,
		UDPMux:                p.mux,
		LoggerFactory:         quiet,
		IncludeLoopback:       true,
		CheckInterval:         &interval,
		MaxBindingRequests:    &many,
		HostAcceptanceMinWait: &zero, PrflxAcceptanceMinWait: &zero,
	}))
	gathered := make(chan struct{})
	check(p.agent.OnCandidate(func(c ice.Candidate) {
		if c == nil {
			close(gathered)
		}
	}))
	check(p.agent.GatherCandidates())
	<-gathered
	return p
}

func (p *fullPeer) sdp(setup string) string {
	ufrag, pwd, err := p.agent.GetLocalUserCredentials()
	check(err)
	return fmt.Sprintf("v=0\r\na=ice-ufrag:%s\r\na=ice-pwd:%s\r\na=fingerprint:sha-256 %s\r\na=setup:%s\r\na=mid:audio\r\n"+
		"a=rtpmap:111 opus/48000/2\r\na=rtpmap:126 telephone-event/8000\r\na=ssrc:77 cname:x\r\n",
		ufrag, pwd, fingerprintOf(p.certificate.Certificate[0]), setup)
}

// connect runs ICE and DTLS.
func (p *fullPeer) connect(ctx context.Context, remote string, client bool) error {
	p.remote = must(ReadSDP(remote))
	for _, a := range p.remote.Candidates {
		c, err := ice.NewCandidateHost(&ice.CandidateHostConfig{Network: "udp", Address: a.Addr().String(), Port: int(a.Port()), Component: 1})
		check(err)
		check(p.agent.AddRemoteCandidate(c))
	}
	conn, err := p.agent.Dial(ctx, p.remote.Ufrag, p.remote.Pwd)
	if err != nil {
		return err
	}
	p.conn = conn
	none := netip.MustParseAddrPort("0.0.0.0:0")
	p.link = newLink(none, none, func(b []byte) { _, _ = conn.Write(b) })
	p.run.Add(1)
	go p.read()
	config := &dtls.Config{
		Certificates: []tls.Certificate{p.certificate},
		SRTPProtectionProfiles: []dtls.SRTPProtectionProfile{
			dtls.SRTP_AEAD_AES_128_GCM, dtls.SRTP_AES128_CM_HMAC_SHA1_80,
		},
		ClientAuth:           dtls.RequireAnyClientCert,
		ExtendedMasterSecret: dtls.RequireExtendedMasterSecret,
		InsecureSkipVerify:   true,
		FlightInterval:       100 * time.Millisecond,
		VerifyPeerCertificate: func(raw [][]byte, _ [][]*x509.Certificate) error {
			if fingerprintOf(raw[0]) != p.remote.Fingerprint() {
				return ErrFingerprint
			}
			return nil
		},
	}
	if client {
		p.dtls, err = dtls.ClientWithContext(ctx, p.link, config)
	} else {
		p.dtls, err = dtls.ServerWithContext(ctx, p.link, config)
	}
	if err != nil {
		return err
	}
	number, _ := p.dtls.SelectedSRTPProtectionProfile()
	p.profile = Profile(number)
	state := p.dtls.ConnectionState()
	keys := srtp.Config{Profile: srtp.ProtectionProfile(number)}
	check(keys.ExtractSessionKeysFromDTLS(&state, client))
	p.send = must(srtp.CreateContext(keys.Keys.LocalMasterKey, keys.Keys.LocalMasterSalt, keys.Profile))
	p.recv = must(srtp.CreateContext(keys.Keys.RemoteMasterKey, keys.Keys.RemoteMasterSalt, keys.Profile))
	return nil
}

func (p *fullPeer) read() {
	defer p.run.Done()
	b := make([]byte, maxDatagram)
	for {
		n, err := p.conn.Read(b)
		if err != nil {
			return
		}
		if b[0] < 64 {
			p.link.deliver(b[:n])
			continue
		}
		var h rtp.Header
		if p.recv != nil && b[1] < 192 {
			if _, err := p.recv.DecryptRTP(nil, b[:n], &h); err == nil {
				p.heard <- h
			}
		}
	}
}

func (p *fullPeer) sendRTP(h rtp.Header, payload []byte) {
	h.Version = 2
	b := must(h.Marshal())
	sealed := must(p.send.EncryptRTP(nil, append(b, payload...), nil))
	_, err := p.conn.Write(sealed)
	check(err)
}

func (p *fullPeer) close() {
	if p.dtls != nil {
		_ = p.dtls.Close()
	}
	if p.link != nil {
		_ = p.link.Close()
	}
	_ = p.agent.Close()
	_ = p.mux.Close()
	p.run.Wait()
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
