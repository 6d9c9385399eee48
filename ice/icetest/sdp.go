package icetest

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// Payload types of Meta's SDP.
const (
	OpusPT = 111
	DTMFPT = 126
)

// Candidate priorities as Meta writes them: IPv6 is preferred.
const (
	priorityIPv4 = 2122260223
	priorityIPv6 = 2122262783
)

const opusFmtp = "maxaveragebitrate=20000;maxplaybackrate=16000;minptime=20;sprop-maxcapturerate=16000;useinbandfec=1"

// SDP of the far end: what the text says besides what the call itself knows.
type SDP struct {
	Setup    string // "actpass", "active", "passive"
	Mid      string // empty: "audio"
	Opus     uint8  // 0: OpusPT
	DTMF     uint8  // 0: DTMFPT
	NoDTMF   bool   // telephone-event is not listed; Meta then means DTMFPT
	IPv6Only bool
	IPv4Only bool
}

// Offer writes an offer as Meta's relays do, byte for byte but for what is random in it.
func (c *Call) Offer() string { return c.Text(SDP{Setup: "actpass"}) }

// Text writes the call's SDP: an offer, or an answer with the peer's mid and payload types.
func (c *Call) Text(d SDP) string {
	if d.Mid == "" {
		d.Mid = "audio"
	}
	if d.Opus == 0 {
		d.Opus = OpusPT
	}
	if d.DTMF == 0 {
		d.DTMF = DTMFPT
	}
	stream, address, candidates := uuid(), netip.AddrPort{}, []string(nil)
	for _, a := range c.server.Addresses() {
		priority := uint32(priorityIPv6)
		if a.Addr().Is4() {
			priority = priorityIPv4
		}
		if (d.IPv4Only && !a.Addr().Is4()) || (d.IPv6Only && a.Addr().Is4()) {
			continue
		}
		if !address.IsValid() || a.Addr().Is4() {
			address = a
		}
		candidates = append(candidates, fmt.Sprintf("a=candidate:%d 1 udp %d %s %d typ host generation 0 network-cost 50",
			random32(), priority, a.Addr(), a.Port()))
	}
	family := "IP6"
	if address.Addr().Is4() {
		family = "IP4"
	}
	formats := fmt.Sprintf("%d %d", d.Opus, d.DTMF)
	if d.NoDTMF {
		formats = fmt.Sprint(d.Opus)
	}
	lines := []string{
		"v=0",
		fmt.Sprintf("o=- %d 2 IN IP4 127.0.0.1", 1_700_000_000_000+int64(random32())),
		"s=-",
		"t=0 0",
		"a=group:BUNDLE " + d.Mid,
		"a=msid-semantic: WMS " + stream,
		"a=ice-lite",
		fmt.Sprintf("m=audio %d UDP/TLS/RTP/SAVPF %s", address.Port(), formats),
		fmt.Sprintf("c=IN %s %s", family, address.Addr()),
		"a=rtcp:9 IN IP4 0.0.0.0",
	}
	lines = append(lines, candidates...)
	lines = append(lines,
		"a=ice-ufrag:"+c.ufrag,
		"a=ice-pwd:"+c.pwd,
		"a=fingerprint:sha-256 "+c.advertised(),
		"a=setup:"+d.Setup,
		"a=mid:"+d.Mid,
		"a=sendrecv",
		"a=msid:"+stream+" WhatsAppTrack1",
		"a=rtcp-mux",
		fmt.Sprintf("a=rtpmap:%d opus/48000/2", d.Opus),
		fmt.Sprintf("a=rtcp-fb:%d transport-cc", d.Opus),
		fmt.Sprintf("a=fmtp:%d %s", d.Opus, opusFmtp),
	)
	if !d.NoDTMF {
		lines = append(lines, fmt.Sprintf("a=rtpmap:%d telephone-event/8000", d.DTMF))
	}
	lines = append(lines, "a=maxptime:20", "a=ptime:20", fmt.Sprintf("a=ssrc:%d cname:WhatsAppAudioStream1", c.SSRC()))
	return strings.Join(lines, "\r\n") + "\r\n"
}

// SSRC is the call's own, as its SDP names it.
func (c *Call) SSRC() uint32 { return c.options.SSRC }

// advertised is the fingerprint that the SDP names.
func (c *Call) advertised() string {
	f := c.server.fingerprint
	if !c.Faults().WrongFingerprint {
		return f
	}
	wrong := "00"
	if strings.HasPrefix(f, wrong) {
		wrong = "FF"
	}
	return wrong + f[2:]
}

// Peer is what the far end takes from the peer's SDP. It is read leniently: what the text must be is for a judge to say.
type Peer struct {
	Ufrag, Pwd   string
	Fingerprints []string // "sha-256 AB:CD:..." as written
	Setup        string
	Mid          string
	SSRCs        []uint32
	Candidates   []netip.AddrPort
	Opus, DTMF   uint8 // 0: not listed
}

// Accept reads the peer's answer to our offer and lets its checks in.
func (c *Call) Accept(answer string) error {
	p, err := ReadSDP(answer)
	if err != nil {
		return err
	}
	role := RoleServer
	if p.Setup == "passive" {
		role = RoleClient
	}
	c.SetRemote(Remote{Ufrag: p.Ufrag, Fingerprint: p.Fingerprint(), Role: role})
	return nil
}

// Answer reads the peer's offer, lets its checks in and writes the answer. setup is "active" as Meta documents, or "actpass" as it has
// been seen to write; the peer reads that as being the client itself.
func (c *Call) Answer(offer, setup string) (string, error) {
	p, err := ReadSDP(offer)
	if err != nil {
		return "", err
	}
	role := RoleServer
	if setup == "active" {
		role = RoleClient
	}
	c.SetRemote(Remote{Ufrag: p.Ufrag, Fingerprint: p.Fingerprint(), Role: role})
	return c.Text(SDP{Setup: setup, Mid: p.Mid, Opus: p.Opus, DTMF: p.DTMF, NoDTMF: p.DTMF == 0}), nil
}

// Fingerprint is the first SHA-256 one, without its name.
func (p *Peer) Fingerprint() string {
	for _, f := range p.Fingerprints {
		if name, value, ok := strings.Cut(f, " "); ok && strings.EqualFold(name, "sha-256") {
			return strings.ToUpper(strings.TrimSpace(value))
		}
	}
	return ""
}

// maxSDP bounds what is read at all.
const maxSDP = 64 << 10

// ReadSDP takes what the far end needs out of an SDP.
func ReadSDP(text string) (*Peer, error) {
	if len(text) > maxSDP {
		return nil, fmt.Errorf("icetest: SDP of %d bytes", len(text))
	}
	p := &Peer{}
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		attribute, ok := strings.CutPrefix(line, "a=")
		if !ok {
			continue
		}
		name, value, _ := strings.Cut(attribute, ":")
		p.attribute(name, value)
	}
	if p.Ufrag == "" || p.Pwd == "" {
		return nil, errors.New("icetest: SDP without ice-ufrag and ice-pwd")
	}
	return p, nil
}

func (p *Peer) attribute(name, value string) {
	switch name {
	case "ice-ufrag":
		p.Ufrag = value
	case "ice-pwd":
		p.Pwd = value
	case "fingerprint":
		p.Fingerprints = append(p.Fingerprints, value)
	case "setup":
		p.Setup = value
	case "mid":
		p.Mid = value
	case "ssrc":
		var ssrc uint32
		if _, err := fmt.Sscanf(value, "%d", &ssrc); err == nil {
			for _, known := range p.SSRCs {
				if known == ssrc {
					return
				}
			}
			p.SSRCs = append(p.SSRCs, ssrc)
		}
	case "candidate":
		f := strings.Fields(value)
		if len(f) >= 6 {
			if a, err := netip.ParseAddrPort(joinHostPort(f[4], f[5])); err == nil {
				p.Candidates = append(p.Candidates, a)
			}
		}
	case "rtpmap":
		var pt uint8
		var codec string
		if _, err := fmt.Sscanf(value, "%d %s", &pt, &codec); err == nil {
			switch codec, _, _ = strings.Cut(strings.ToLower(codec), "/"); codec {
			case "opus":
				p.Opus = pt
			case "telephone-event":
				p.DTMF = pt
			}
		}
	}
}

func joinHostPort(host, port string) string {
	if strings.Contains(host, ":") {
		return "[" + host + "]:" + port
	}
	return host + ":" + port
}

func random32() uint32 {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return binary.BigEndian.Uint32(b[:])
}

func uuid() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:])
}
