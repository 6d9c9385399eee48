package sdp

import (
	"encoding/hex"
	"net/netip"
	"strconv"
	"strings"
)

// ParseOffer reads a peer's offer. allow judges the address of every candidate that we would send to; see [AllowPublic].
func ParseOffer(s string, allow func(netip.Addr) error) (*Remote, error) {
	r, _, err := parse(s, allow)
	if err != nil {
		return nil, err
	}
	return r, nil
}

// ParseAnswer reads a peer's answer to our offer (nil: any offer of ours), and checks that it mirrors it.
func ParseAnswer(s string, offer *Local, allow func(netip.Addr) error) (*Remote, error) {
	r, d, err := parse(s, allow)
	if err != nil {
		return nil, err
	}
	if err := r.mirrors(d, offer); err != nil {
		return nil, err
	}
	return r, nil
}

// mirrors checks an answer against what our offers say (RFC 8829 section 5.3.1): it may use less than was offered and nothing else.
func (r *Remote) mirrors(d *description, offer *Local) *Error {
	switch {
	case r.OpusPT != OfferOpusPT:
		return refuse(d.mediaLine, RuleMirror, "opus is answered as payload type %d; our offer says %d", r.OpusPT, OfferOpusPT)
	case r.DTMFListed && r.DTMFPT != OfferDTMFPT:
		return refuse(d.mediaLine, RuleMirror, "telephone-event is answered as payload type %d; our offer says %d", r.DTMFPT, OfferDTMFPT)
	case r.Mid != "" && r.Mid != OfferMid:
		return refuse(d.mediaLine, RuleMirror, "a=mid is answered as %s; our offer says %q", quote(r.Mid), OfferMid)
	case r.Profile != offerProfile:
		return refuse(d.mediaLine, RuleMirror, "the transport is answered as %s; our offer says %s", r.Profile, offerProfile)
	case offer != nil && r.Fingerprint == offer.Fingerprint:
		return refuse(0, RuleMirror, "the answer has the fingerprint of our own offer; apply the peer's answer, not the offer")
	}
	r.Mid, r.BundleID = OfferMid, OfferMid
	return nil
}

// parse reads what offers and answers have in common, in the order in which a person would want to hear of a fault: the wrong kind
// of description first, details later.
func parse(s string, allow func(netip.Addr) error) (*Remote, *description, error) {
	d, err := read(s)
	if err != nil {
		return nil, nil, err
	}
	r := new(Remote)
	for _, step := range []func(*description) *Error{
		r.readMedia, r.readCodecs, r.readMid, r.readCredentials, r.readFingerprint, r.readSetup,
		func(d *description) *Error { return r.readCandidates(d, allow) },
	} {
		if err := step(d); err != nil {
			return nil, nil, err
		}
	}
	r.Lite = d.has("ice-lite")
	r.SSRC = readSSRC(d)
	return r, d, nil
}

func (r *Remote) readMedia(d *description) *Error {
	name := d.media.MediaName
	if name.Media != "audio" {
		return refuse(d.mediaLine, RuleMedia, "the m= line is %s; a call needs m=audio", quote(name.Media))
	}
	if name.Port.Value == 0 {
		return refuse(d.mediaLine, RuleRejected, "m=audio has port 0: the peer rejects the media; there is nothing to connect to")
	}
	r.Profile = strings.Join(name.Protos, "/")
	if r.Profile != "UDP/TLS/RTP/SAVPF" && r.Profile != "UDP/TLS/RTP/SAVP" {
		if crypto := d.all("crypto"); len(crypto) > 0 {
			return refuse(crypto[0].line, RuleSDES, "SDES keys (%s with a=crypto) are not supported here; switch the phone number to ICE with DTLS-SRTP", r.Profile)
		}
		return refuse(d.mediaLine, RuleTransport, "the transport is %s; only UDP/TLS/RTP/SAVPF (DTLS-SRTP) is supported", r.Profile)
	}
	if !d.has("rtcp-mux") {
		return refuse(d.mediaLine, RuleMux, "a=rtcp-mux is missing; RTCP on a port of its own is not supported")
	}
	for _, direction := range []string{"sendonly", "recvonly", "inactive"} {
		if found := d.all(direction); len(found) > 0 {
			return refuse(found[0].line, RuleDirection, "a=%s: a call needs both directions, a=sendrecv (hold does not exist here)", direction)
		}
	}
	if longest, ok, err := d.one("maxptime", RulePtime); err != nil {
		return err
	} else if n, bad := strconv.ParseFloat(longest.value, 64); ok && (bad != nil || !(n >= 20)) {
		return refuse(longest.line, RulePtime, "a=maxptime is %s; packets have 20 ms and must be allowed to", quote(longest.value))
	}
	return nil
}

// maxMid is RFC 8843's advice, generously: an identifier, not a document that we would echo.
const maxMid = 64

func (r *Remote) readMid(d *description) *Error {
	mid, ok, err := d.one("mid", RuleMid)
	if err != nil {
		return err
	}
	if !ok {
		return nil
	}
	if mid.value == "" || len(mid.value) > maxMid || strings.ContainsFunc(mid.value, notVisible) {
		return refuse(mid.line, RuleMid, "a=mid must be 1 to %d visible ASCII characters", maxMid)
	}
	r.Mid = mid.value
	for _, group := range d.all("group") {
		tags := strings.Fields(group.value)
		if len(tags) == 0 || tags[0] != "BUNDLE" {
			continue
		}
		for _, tag := range tags[1:] {
			if tag == r.Mid {
				r.BundleID = tag
			}
		}
		if r.BundleID == "" {
			return refuse(group.line, RuleMid, "the BUNDLE group does not name the mid %s of the audio line", quote(r.Mid))
		}
	}
	return nil
}

// Bounds of RFC 8839 section 5.4. The alphabet is wider than its grammar on purpose: Meta's passwords are padded base64, and the
// bytes are used verbatim. A ':' in a ufrag would make the STUN USERNAME ambiguous.
const (
	minUfrag, maxUfrag = 4, 256
	minPwd, maxPwd     = 22, 256
)

func (r *Remote) readCredentials(d *description) *Error {
	ufrag, ok, err := d.one("ice-ufrag", RuleCredentials)
	if err != nil {
		return err
	}
	if !ok {
		return refuse(d.mediaLine, RuleCredentials, "a=ice-ufrag is missing; a description without ICE is not supported")
	}
	if n := len(ufrag.value); n < minUfrag || n > maxUfrag || strings.ContainsFunc(ufrag.value, notVisible) || strings.Contains(ufrag.value, ":") {
		return refuse(ufrag.line, RuleCredentials, "a=ice-ufrag has %d characters; it must be %d to %d visible ASCII characters without ':'", n, minUfrag, maxUfrag)
	}
	pwd, ok, err := d.one("ice-pwd", RuleCredentials)
	if err != nil {
		return err
	}
	if !ok {
		return refuse(d.mediaLine, RuleCredentials, "a=ice-pwd is missing; it stands beside a=ice-ufrag")
	}
	if n := len(pwd.value); n < minPwd || n > maxPwd || strings.ContainsFunc(pwd.value, notVisible) {
		return refuse(pwd.line, RuleCredentials, "a=ice-pwd has %d characters; it must be %d to %d visible ASCII characters", n, minPwd, maxPwd)
	}
	r.Ufrag, r.Pwd = ufrag.value, pwd.value
	return nil
}

func notVisible(c rune) bool { return c <= ' ' || c > '~' }

// readFingerprint wants exactly one. A choice of several would be a choice of several certificates, and Meta refuses it as well.
func (r *Remote) readFingerprint(d *description) *Error {
	found := d.all("fingerprint")
	switch {
	case len(found) == 0:
		return refuse(d.mediaLine, RuleFingerprint, "a=fingerprint is missing; without it the peer's certificate cannot be verified")
	case len(found) > 1:
		return refuse(found[1].line, RuleFingerprint, "there are %d a=fingerprint lines; exactly one, sha-256, is accepted", len(found))
	}
	hash, value, _ := strings.Cut(found[0].value, " ")
	if !strings.EqualFold(hash, "sha-256") {
		return refuse(found[0].line, RuleFingerprint, "the fingerprint's hash is %s; only sha-256 is accepted", quote(hash))
	}
	value = strings.ToUpper(strings.TrimSpace(value))
	if !isFingerprint(value) {
		return refuse(found[0].line, RuleFingerprint, "a sha-256 fingerprint is 32 pairs of hex digits with ':' between them; this one has %d characters, not 95 of that form", len(value))
	}
	r.Fingerprint = value
	return nil
}

func isFingerprint(s string) bool {
	parts := strings.Split(s, ":")
	if len(parts) != 32 {
		return false
	}
	for _, p := range parts {
		if raw, err := hex.DecodeString(p); err != nil || len(raw) != 1 {
			return false
		}
	}
	return true
}

func (r *Remote) readSetup(d *description) *Error {
	setup, ok, err := d.one("setup", RuleSetup)
	if err != nil {
		return err
	}
	if !ok {
		return refuse(d.mediaLine, RuleSetup, "a=setup is missing; say actpass in an offer, active or passive in an answer")
	}
	for _, s := range []Setup{SetupActpass, SetupActive, SetupPassive} {
		if setup.value == s.String() {
			r.Setup = s
			return nil
		}
	}
	return refuse(setup.line, RuleSetup, "a=setup is %s; actpass, active and passive are known", quote(setup.value))
}

// readSSRC gives the first SSRC told. It is advisory, so a malformed one is as good as none.
func readSSRC(d *description) uint32 {
	for _, a := range d.all("ssrc") {
		id, _, _ := strings.Cut(a.value, " ")
		if n, err := strconv.ParseUint(id, 10, 32); err == nil {
			return uint32(n)
		}
	}
	return 0
}
