package rules

import (
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
)

// Kind of an SDP.
type Kind uint8

const (
	Answer Kind = 1 + iota
	Offer
)

// Fault is one broken rule in an SDP.
type Fault struct {
	Rule   Name
	Reason string
}

// Description is an SDP with its faults.
type Description struct {
	Faults     []Fault
	SSRC       uint32
	Opus, DTMF uint8 // 0: not listed
}

var (
	sha256Form = regexp.MustCompile(`^([0-9A-F]{2}:){31}[0-9A-F]{2}$`)
	// RFC 8839 section 5.4: ice-char is ALPHA / DIGIT / "+" / "/".
	ufragForm = regexp.MustCompile(`^[A-Za-z0-9+/]{4,256}$`)
	pwdForm   = regexp.MustCompile(`^[A-Za-z0-9+/]{22,256}$`)
)

// reading is an SDP being judged.
type reading struct {
	Description
	kind       Kind
	expect     Expect
	media      []string            // m-lines
	attributes map[string][]string // by name, values
}

// CheckSDP judges the business side's SDP by what may be in it.
func CheckSDP(text string, kind Kind, e Expect) Description {
	r := &reading{kind: kind, expect: e, attributes: map[string][]string{}}
	r.split(text)
	r.form()
	r.codecs()
	r.sources()
	r.security()
	r.candidates()
	return r.Description
}

func (r *reading) fault(rule Name, format string, args ...any) {
	r.Faults = append(r.Faults, Fault{rule, fmt.Sprintf(format, args...)})
}

func (r *reading) split(text string) {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if i == len(lines)-1 {
			if line != "" {
				r.fault(SDPForm, "line %d does not end in CRLF", i+1)
			}
			break
		}
		body, ok := strings.CutSuffix(line, "\r")
		if !ok {
			r.fault(SDPForm, "line %d does not end in CRLF", i+1)
		}
		switch {
		case strings.HasPrefix(body, "m="):
			r.media = append(r.media, body[2:])
		case strings.HasPrefix(body, "a="):
			name, value, _ := strings.Cut(body[2:], ":")
			r.attributes[name] = append(r.attributes[name], value)
		}
	}
	if !strings.HasPrefix(text, "v=0\r\n") {
		r.fault(SDPForm, "the first line is not v=0")
	}
}

func (r *reading) form() {
	if len(r.media) != 1 {
		r.fault(SDPMediaLines, "%d m-lines", len(r.media))
	}
	if len(r.media) > 0 {
		f := strings.Fields(r.media[0])
		if len(f) < 4 || f[0] != "audio" || f[2] != "UDP/TLS/RTP/SAVPF" {
			r.fault(SDPForm, "m-line %q is not audio over UDP/TLS/RTP/SAVPF", r.media[0])
		} else if f[1] == "0" {
			r.fault(SDPForm, "the m-line refuses the call with port 0")
		}
	}
	mid := r.one("mid")
	switch {
	case mid == "":
		r.fault(SDPForm, "no mid")
	case r.expect.Mid != "" && mid != r.expect.Mid:
		r.fault(SDPForm, "mid %q; the offer says %q", mid, r.expect.Mid)
	case r.one("group") != "BUNDLE "+mid:
		r.fault(SDPForm, "group %q; wanted BUNDLE %s", r.one("group"), mid)
	}
	for _, direction := range []string{"sendonly", "recvonly", "inactive"} {
		if r.has(direction) {
			r.fault(SDPForm, "%s; wanted sendrecv", direction)
		}
	}
	if !r.has("sendrecv") {
		r.fault(SDPForm, "no sendrecv")
	}
	if !r.has("rtcp-mux") {
		r.fault(SDPRTCPMux, "no rtcp-mux")
	}
	for _, name := range []string{"ptime", "maxptime"} {
		if v := r.one(name); v != "20" {
			r.fault(SDPPtime, "%s is %q; wanted 20", name, v)
		}
	}
}

func (r *reading) has(name string) bool { return len(r.attributes[name]) > 0 }

// one is the first value of an attribute.
func (r *reading) one(name string) string {
	if v := r.attributes[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}

func (r *reading) codecs() {
	names := map[string]string{}
	for _, v := range r.attributes["rtpmap"] {
		pt, name, _ := strings.Cut(v, " ")
		names[pt] = name
	}
	var formats []string
	if len(r.media) > 0 {
		if f := strings.Fields(r.media[0]); len(f) > 3 {
			formats = f[3:]
		}
	}
	for _, pt := range formats {
		n, err := strconv.ParseUint(pt, 10, 7)
		switch name := names[pt]; {
		case err != nil:
			r.fault(SDPCodec, "payload type %q", pt)
		case strings.EqualFold(name, "opus/48000/2") && r.Opus == 0:
			r.Opus = uint8(n)
		case strings.EqualFold(name, "telephone-event/8000") && r.DTMF == 0:
			r.DTMF = uint8(n)
		default:
			r.fault(SDPCodec, "payload type %s is %q", pt, name)
		}
	}
	if len(names) > len(formats) {
		r.fault(SDPCodec, "%d rtpmap lines for %d payload types", len(names), len(formats))
	}
	if r.Opus == 0 {
		r.fault(SDPCodec, "no opus/48000/2")
	}
	if r.kind == Answer && r.Opus != 0 && r.Opus != r.expect.Opus {
		r.fault(SDPCodec, "opus is payload type %d; the offer says %d", r.Opus, r.expect.Opus)
	}
	if r.kind == Answer && r.DTMF != 0 && r.DTMF != r.expect.DTMF {
		r.fault(SDPCodec, "telephone-event is payload type %d; the offer says %d", r.DTMF, r.expect.DTMF)
	}
}

func (r *reading) sources() {
	found := map[string]bool{}
	for _, v := range r.attributes["ssrc"] {
		id, _, _ := strings.Cut(v, " ")
		found[id] = true
		n, err := strconv.ParseUint(id, 10, 32)
		if err != nil || n == 0 {
			r.fault(SDPSSRCCount, "ssrc %q", id)
		}
		r.SSRC = uint32(n)
	}
	if len(found) != 1 {
		r.fault(SDPSSRCCount, "%d SSRCs", len(found))
	}
}

func (r *reading) security() {
	fingerprints := r.attributes["fingerprint"]
	if len(fingerprints) != 1 {
		r.fault(FingerprintCount, "%d fingerprints", len(fingerprints))
	}
	for _, f := range fingerprints {
		name, value, _ := strings.Cut(f, " ")
		if name != "sha-256" {
			r.fault(FingerprintHash, "hash %q; wanted sha-256", name)
		} else if !sha256Form.MatchString(value) {
			r.fault(FingerprintHash, "the fingerprint is not 32 bytes of upper-case hex")
		}
	}
	want := "active"
	if r.kind == Offer {
		want = "actpass"
	}
	if v := r.attributes["setup"]; len(v) != 1 || v[0] != want {
		r.fault(SDPSetup, "setup %q; wanted %s", strings.Join(v, ", "), want)
	}
	if r.has("ice-lite") {
		r.fault(SDPIceLite, "ice-lite: two lite agents never check each other")
	}
	if v := r.attributes["ice-ufrag"]; len(v) != 1 || !ufragForm.MatchString(v[0]) {
		r.fault(SDPCredentials, "%d ice-ufrag lines, or one that RFC 8839 does not allow", len(v))
	}
	if v := r.attributes["ice-pwd"]; len(v) != 1 || !pwdForm.MatchString(v[0]) {
		r.fault(SDPCredentials, "%d ice-pwd lines, or one that RFC 8839 does not allow", len(v))
	}
}

func (r *reading) candidates() {
	var v4, v6 int
	for _, v := range r.attributes["candidate"] {
		f := strings.Fields(v)
		if len(f) < 8 || f[1] != "1" || !strings.EqualFold(f[2], "udp") || f[6] != "typ" || f[7] != "host" {
			r.fault(SDPCandidate, "candidate %q is not a UDP host candidate of component 1", v)
			continue
		}
		a, err := netip.ParseAddr(f[4])
		switch {
		case err != nil:
			r.fault(SDPCandidate, "candidate address %q", f[4])
		case a.Unmap().Is4():
			v4++
		default:
			v6++
		}
	}
	if v4 != 1 || v6 > 1 {
		r.fault(SDPCandidate, "%d IPv4 and %d IPv6 candidates; wanted one IPv4 and at most one IPv6", v4, v6)
	}
}
