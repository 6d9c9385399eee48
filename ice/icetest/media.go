package icetest

import (
	"encoding/binary"
	"fmt"
	"sync"
	"time"

	"github.com/pion/dtls/v2"
	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"
)

// Profile is an SRTP protection profile by its IANA number.
type Profile uint16

const (
	AEADAES128GCM       Profile = 0x0007
	AES128CMHMACSHA1_80 Profile = 0x0001
	replayWindow        uint    = 128
	maxEarly                    = 16 // media that arrives while our end of the handshake still computes; loopback sends a few at most
	sealOverhead                = 32 // the longest tag, SRTCP's index and room to spare
)

func (p Profile) String() string {
	switch p {
	case AEADAES128GCM:
		return "SRTP_AEAD_AES_128_GCM"
	case AES128CMHMACSHA1_80:
		return "SRTP_AES128_CM_HMAC_SHA1_80"
	}
	return fmt.Sprintf("SRTP_0x%04x", uint16(p))
}

// keying is what a handshake gave. The receiving context belongs to the server's turn, the sending one to sendMu.
type keying struct {
	pair    Pair
	profile Profile
	recv    *srtp.Context
	header  rtp.Header // of the packet being received

	sendMu  sync.Mutex
	send    *srtp.Context
	scratch rtp.Header
	buf     [maxDatagram + sealOverhead]byte
}

type earlyPacket struct {
	at time.Duration
	p  Pair
	b  []byte
}

func (c *Call) profiles() []Profile {
	if len(c.options.Profiles) > 0 {
		return c.options.Profiles
	}
	return []Profile{AEADAES128GCM, AES128CMHMACSHA1_80}
}

// secure takes the keys out of a finished handshake, and then the media that came while it was finishing.
func (c *Call) secure(a *association, conn *dtls.Conn) error {
	number, ok := conn.SelectedSRTPProtectionProfile()
	if !ok {
		return fmt.Errorf("icetest: no SRTP profile was agreed")
	}
	state := conn.ConnectionState()
	config := srtp.Config{Profile: srtp.ProtectionProfile(number)}
	if err := config.ExtractSessionKeysFromDTLS(&state, a.role == RoleClient); err != nil {
		return fmt.Errorf("icetest: export keys: %w", err)
	}
	k := &keying{profile: Profile(number)}
	var err error
	k.recv, err = srtp.CreateContext(config.Keys.RemoteMasterKey, config.Keys.RemoteMasterSalt, config.Profile,
		srtp.SRTPReplayProtection(replayWindow), srtp.SRTCPReplayProtection(replayWindow))
	if err != nil {
		return fmt.Errorf("icetest: receiving context: %w", err)
	}
	k.send, err = srtp.CreateContext(config.Keys.LocalMasterKey, config.Keys.LocalMasterSalt, config.Profile)
	if err != nil {
		return fmt.Errorf("icetest: sending context: %w", err)
	}
	s := c.server
	s.turn.Lock()
	defer s.turn.Unlock()
	now := s.now()
	c.mu.Lock()
	k.pair, _ = c.conduct.Nominated()
	current := c.assoc == a && !c.ended
	if current && c.timings.Secure == 0 {
		c.timings.Secure = now
	}
	c.mu.Unlock()
	if !current {
		return ErrNotReady
	}
	c.keys.Store(k)
	if c.options.OnSecure != nil {
		c.options.OnSecure(now, k.profile)
	}
	early := c.early
	c.early = nil
	for _, e := range early {
		c.media(e.at, e.p, e.b)
	}
	return nil
}

// media takes one SRTP or SRTCP packet. The server's turn is held.
func (c *Call) media(now time.Duration, p Pair, b []byte) {
	k := c.keys.Load()
	if k == nil || k.pair != p {
		c.offPath(now, p, b, k == nil)
		return
	}
	if b[1] >= 192 && b[1] < 224 { // RFC 5761 section 4: RTCP packet types
		plain, err := k.recv.DecryptRTCP(b, b, nil)
		if err != nil {
			c.server.count(func(n *Counters) { n.Undecryptable++ })
			return
		}
		if f := c.onRTCP.Load(); f != nil {
			(*f)(now, plain)
		}
		return
	}
	plain, err := k.recv.DecryptRTP(b, b, &k.header)
	if err != nil {
		c.server.count(func(n *Counters) { n.Undecryptable++ })
		return
	}
	c.mu.Lock()
	if c.timings.FirstMedia == 0 {
		c.timings.FirstMedia = now
	}
	c.mu.Unlock()
	if f := c.onRTP.Load(); f != nil {
		(*f)(now, &k.header, plain[headerLen(plain):])
	}
}

// headerLen is the length of an RTP header that DecryptRTP has found to be whole (RFC 3550 sections 5.1 and 5.3.1).
func headerLen(b []byte) int {
	n := 12 + 4*int(b[0]&0x0f)
	if b[0]&0x10 != 0 {
		n += 4 + 4*int(binary.BigEndian.Uint16(b[n+2:]))
	}
	return n
}

// offPath takes media that is early or not from the nominated pair.
func (c *Call) offPath(now time.Duration, p Pair, b []byte, early bool) {
	c.mu.Lock()
	breach, broken := c.conduct.Media(now, p)
	handshaking := c.assoc != nil
	c.mu.Unlock()
	if broken {
		c.report([]Breach{breach})
	}
	if early && handshaking && len(c.early) < maxEarly {
		c.early = append(c.early, earlyPacket{now, p, append([]byte(nil), b...)})
		return
	}
	c.server.count(func(n *Counters) { n.BeforeKeys++ })
}

// SendRTP seals and sends one packet. The header's version, CSRCs and extensions are sent as given.
func (c *Call) SendRTP(h *rtp.Header, payload []byte) error {
	k := c.keys.Load()
	if k == nil || c.deaf(k.pair) {
		return ErrNotReady
	}
	k.sendMu.Lock()
	defer k.sendMu.Unlock()
	n, err := h.MarshalTo(k.buf[:maxDatagram])
	if err != nil {
		return fmt.Errorf("icetest: RTP header: %w", err)
	}
	if n+len(payload) > maxDatagram {
		return fmt.Errorf("icetest: RTP packet of %d bytes", n+len(payload))
	}
	n += copy(k.buf[n:], payload)
	sealed, err := k.send.EncryptRTP(k.buf[:n], k.buf[:n], &k.scratch)
	if err != nil {
		return fmt.Errorf("icetest: seal RTP: %w", err)
	}
	return c.server.send(k.pair, sealed)
}

// SendRTCP seals and sends one compound packet.
func (c *Call) SendRTCP(compound []byte) error {
	k := c.keys.Load()
	if k == nil || c.deaf(k.pair) {
		return ErrNotReady
	}
	k.sendMu.Lock()
	defer k.sendMu.Unlock()
	if len(compound) > maxDatagram {
		return fmt.Errorf("icetest: RTCP packet of %d bytes", len(compound))
	}
	n := copy(k.buf[:], compound)
	sealed, err := k.send.EncryptRTCP(nil, k.buf[:n], nil)
	if err != nil {
		return fmt.Errorf("icetest: seal RTCP: %w", err)
	}
	return c.server.send(k.pair, sealed)
}

// Profile is the agreed SRTP profile; 0 before the keys are there.
func (c *Call) Profile() Profile {
	if k := c.keys.Load(); k != nil {
		return k.profile
	}
	return 0
}
