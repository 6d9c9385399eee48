package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/pion/dtls/v2"
	"github.com/pion/ice/v3"
	"github.com/pion/srtp/v3"

	"github.com/onelane/onelane/bench/internal/standin"
)

// setupTime bounds a set-up.
const setupTime = 30 * time.Second

// call is one call. run owns it.
type call struct {
	stack      *stack
	offer      standin.Offer
	agent      *ice.Agent
	ufrag, pwd string
	local      netip.AddrPort
	ssrc       uint32
	ctx        context.Context
	stop       context.CancelFunc
}

func (s *stack) newCall(ctx context.Context, offer standin.Offer) (*call, error) {
	agent, err := ice.NewAgent(&ice.AgentConfig{
		NetworkTypes: []ice.NetworkType{ice.NetworkTypeUDP4}, CandidateTypes: []ice.CandidateType{ice.CandidateTypeHost},
		MulticastDNSMode: ice.MulticastDNSModeDisabled, IncludeLoopback: true, InterfaceFilter: func(name string) bool { return name == "lo" }, Net: s.net,
	})
	if err != nil {
		return nil, fmt.Errorf("make an agent: %w", err)
	}
	c := &call{stack: s, offer: offer, agent: agent, ssrc: rand.Uint32() | 1}
	c.ctx, c.stop = context.WithCancel(context.Background())
	if err := c.gather(ctx); err != nil {
		_ = agent.Close()
		return nil, err
	}
	return c, nil
}

// gather finds the call's own address.
func (c *call) gather(ctx context.Context) error {
	found := make(chan error, 1)
	err := c.agent.OnCandidate(func(candidate ice.Candidate) {
		switch {
		case candidate != nil && !c.local.IsValid():
			var err error
			c.local, err = netip.ParseAddrPort(fmt.Sprintf("%s:%d", candidate.Address(), candidate.Port()))
			found <- err
		case candidate == nil && !c.local.IsValid():
			found <- errors.New("no local candidate")
		}
	})
	if err != nil {
		return err
	}
	if c.ufrag, c.pwd, err = c.agent.GetLocalUserCredentials(); err != nil {
		return err
	}
	if err := c.agent.GatherCandidates(); err != nil {
		return fmt.Errorf("gather: %w", err)
	}
	select {
	case err := <-found:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *call) answer() string {
	return strings.Join([]string{
		"v=0",
		"o=- 1 2 IN IP4 127.0.0.1",
		"s=-",
		"t=0 0",
		"a=group:BUNDLE audio",
		fmt.Sprintf("m=audio %d UDP/TLS/RTP/SAVPF 111 126", c.local.Port()),
		"c=IN IP4 " + c.local.Addr().String(),
		fmt.Sprintf("a=candidate:1 1 udp 2122260223 %s %d typ host", c.local.Addr(), c.local.Port()),
		"a=ice-ufrag:" + c.ufrag,
		"a=ice-pwd:" + c.pwd,
		"a=fingerprint:sha-256 " + c.stack.fingerprint,
		"a=setup:active",
		"a=mid:audio",
		"a=sendrecv",
		"a=rtcp-mux",
		"a=rtpmap:111 opus/48000/2",
		"a=rtpmap:126 telephone-event/8000",
		"a=ptime:20",
		fmt.Sprintf("a=ssrc:%d cname:naive", c.ssrc),
	}, "\r\n") + "\r\n"
}

func (c *call) end() { c.stop() }

// run sets the call up and echoes until it ends.
func (c *call) run() {
	defer c.agent.Close()
	if err := c.serve(); err != nil && c.ctx.Err() == nil {
		fmt.Fprintln(os.Stderr, "naive: call:", err)
	}
}

func (c *call) serve() error {
	remote, err := ice.NewCandidateHost(&ice.CandidateHostConfig{
		Network: "udp", Address: c.offer.Candidate.Addr().String(), Port: int(c.offer.Candidate.Port()), Component: ice.ComponentRTP,
	})
	if err != nil {
		return err
	}
	if err := c.agent.AddRemoteCandidate(remote); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(c.ctx, setupTime)
	defer cancel()
	conn, err := c.agent.Dial(ctx, c.offer.Ufrag, c.offer.Pwd)
	if err != nil {
		return fmt.Errorf("dial: %w", err)
	}
	m := newMux(conn)
	go m.run()
	secured, err := dtls.ClientWithContext(ctx, m.dtls, c.config())
	if err != nil {
		return fmt.Errorf("handshake: %w", err)
	}
	defer secured.Close()
	return c.media(m, secured)
}

func (c *call) config() *dtls.Config {
	return &dtls.Config{
		Certificates: []tls.Certificate{c.stack.certificate}, InsecureSkipVerify: true, ClientAuth: dtls.RequireAnyClientCert,
		ExtendedMasterSecret:   dtls.RequireExtendedMasterSecret,
		SRTPProtectionProfiles: []dtls.SRTPProtectionProfile{dtls.SRTP_AEAD_AES_128_GCM, dtls.SRTP_AES128_CM_HMAC_SHA1_80},
		VerifyPeerCertificate: func(raw [][]byte, _ [][]*x509.Certificate) error {
			if len(raw) == 0 || fingerprintOf(raw[0]) != c.offer.Fingerprint {
				return errors.New("the certificate is not the one in the SDP")
			}
			return nil
		},
	}
}

// media runs the SRTP sessions.
func (c *call) media(m *mux, secured *dtls.Conn) error {
	profile, ok := secured.SelectedSRTPProtectionProfile()
	if !ok {
		return errors.New("no SRTP profile was agreed on")
	}
	config := &srtp.Config{Profile: srtp.ProtectionProfile(profile)}
	state := secured.ConnectionState()
	if err := config.ExtractSessionKeysFromDTLS(&state, true); err != nil {
		return fmt.Errorf("export keys: %w", err)
	}
	rtp, err := srtp.NewSessionSRTP(m.srtp, config)
	if err != nil {
		return err
	}
	rtcp, err := srtp.NewSessionSRTCP(m.srtcp, config)
	if err != nil {
		return err
	}
	defer rtcp.Close()
	go func() {
		<-c.ctx.Done()
		_ = rtp.Close()
	}()
	return c.echo(rtp)
}

// echo is a track's read loop that writes to another track.
func (c *call) echo(session *srtp.SessionSRTP) error {
	in, _, err := session.AcceptStream()
	if err != nil {
		return err
	}
	out, err := session.OpenWriteStream()
	if err != nil {
		return err
	}
	b := make([]byte, 1500)
	for sequence := uint16(1); ; sequence++ {
		n, h, err := in.ReadRTP(b)
		if err != nil {
			return err
		}
		c.stack.received.Add(1)
		payload := b[h.MarshalSize():n]
		h.SSRC, h.SequenceNumber = c.ssrc, sequence
		if _, err := out.WriteRTP(h, payload); err != nil {
			return err
		}
		c.stack.sent.Add(1)
	}
}
