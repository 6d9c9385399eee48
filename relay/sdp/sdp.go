// Package sdp reads the session descriptions of a calling relay and writes ours.
//
// A description is parsed in four steps, each of which may refuse it with an [Error] that names the line and the rule: the shape of
// the text (size, encoding, line ends), the grammar (pion/sdp), the attributes we need, and the addresses we may send to. What a call
// needs is then in [Remote], as plain values. Nothing here does I/O: an address that would have to be resolved is refused.
//
// Our own descriptions are written by hand, in a fixed order, so that one input gives one text: an answer has to be byte-identical
// each time it is asked for.
package sdp

import (
	"fmt"
	"net/netip"
)

// MaxBytes is the longest description that is looked at. A real one has 1,500 bytes; 64 KiB is what a signalling request may carry.
const MaxBytes = 64 << 10

// MaxLines bounds the work for a description that is short lines only. A real one has 30 lines.
const MaxLines = 1024

// MaxCandidates is the most candidates of a remote. A real one lists two; each costs connectivity checks to an address that a
// stranger chose.
const MaxCandidates = 16

// What our offer uses: the values that Meta's own offers have.
const (
	OfferMid     = "audio"
	OfferOpusPT  = 111
	OfferDTMFPT  = 126
	offerFmtp    = "maxaveragebitrate=20000;maxplaybackrate=16000;minptime=20;sprop-maxcapturerate=16000;useinbandfec=1"
	offerProfile = "UDP/TLS/RTP/SAVPF"
)

// Setup is the role in the DTLS handshake (RFC 8842 section 5).
type Setup uint8

const (
	// SetupActpass leaves the choice to the answerer.
	SetupActpass Setup = 1 + iota
	// SetupActive is the DTLS client.
	SetupActive
	// SetupPassive is the DTLS server.
	SetupPassive
)

// String gives the value of a=setup.
func (s Setup) String() string {
	switch s {
	case SetupActpass:
		return "actpass"
	case SetupActive:
		return "active"
	case SetupPassive:
		return "passive"
	}
	return "unknown"
}

// Remote is what the peer's description says, checked. Ufrag and Pwd are secrets: they belong in no log line.
type Remote struct {
	Ufrag, Pwd  string
	Lite        bool             // a=ice-lite was there; whoever dials decides what to do when not
	Candidates  []netip.AddrPort // allowed UDP host candidates of component 1, best priority first, each once, at least one
	Fingerprint string           // SHA-256, upper-case hex with colons
	Setup       Setup
	Profile     string // transport of the m-line, echoed in an answer
	Mid         string // empty: none was given, and the answer gives none
	BundleID    string // the mid when a BUNDLE group has it, else empty: then the answer has no group
	OpusPT      uint8
	DTMFPT      uint8 // 126 when telephone-event is not listed, because that is what Meta assumes then
	DTMFListed  bool
	OpusFmtp    string // verbatim, empty if none
	SSRC        uint32 // 0: not told. Advisory: peers send others too
}

// Client tells whether our side is the DTLS client. It is unless the peer insists on that role; "actpass" in an answer, which RFC 8842
// does not know but Meta sends, leaves it to us as well.
func (r *Remote) Client() bool { return r.Setup != SetupActive }

// String names no secret.
func (r *Remote) String() string {
	return fmt.Sprintf("remote(lite=%t candidates=%v setup=%s opus=%d dtmf=%d)", r.Lite, r.Candidates, r.Setup, r.OpusPT, r.DTMFPT)
}

// GoString keeps %#v from printing the credentials.
func (r *Remote) GoString() string { return r.String() }

// Local is what our descriptions say about us.
type Local struct {
	SessionID   uint64 // the lower 63 bits are used (RFC 9429 section 5.2.1)
	Ufrag, Pwd  string
	Fingerprint string           // SHA-256, upper-case hex with colons; one and only one
	Candidates  []netip.AddrPort // public addresses, at most one a family, in this order; at least one
	SSRC        uint32
	CNAME       string
	MSID        string // names our media stream
	Setup       Setup  // of an answer; 0 follows from the offer. An offer always says actpass
}

// String names no secret.
func (l Local) String() string {
	return fmt.Sprintf("local(candidates=%v ssrc=%d setup=%s)", l.Candidates, l.SSRC, l.Setup)
}

// GoString keeps %#v from printing the credentials.
func (l Local) GoString() string { return l.String() }

// Error says why a description is refused. Neither the message nor the rule contains a credential or a whole line.
type Error struct {
	Line    int    // from 1; 0 when the whole description is at fault
	Rule    string // stable name, one of the Rule constants
	Message string // what is wrong and what to do
}

func (e *Error) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("sdp: %s (%s)", e.Message, e.Rule)
	}
	return fmt.Sprintf("sdp line %d: %s (%s)", e.Line, e.Message, e.Rule)
}

// The rules by which a description is refused.
const (
	RuleSize        = "size"
	RuleText        = "text"
	RuleGrammar     = "grammar"
	RuleMedia       = "one-audio-line"
	RuleRejected    = "not-rejected"
	RuleTransport   = "dtls-srtp"
	RuleSDES        = "no-sdes"
	RuleFingerprint = "one-sha256-fingerprint"
	RuleSetup       = "setup"
	RuleCredentials = "ice-credentials"
	RuleCandidate   = "candidate"
	RuleAddress     = "allowed-address"
	RuleMux         = "rtcp-mux"
	RuleDirection   = "sendrecv"
	RuleCodec       = "opus"
	RulePayloadType = "payload-type"
	RulePtime       = "ptime"
	RuleMid         = "mid"
	RuleMirror      = "mirrors-offer"
)

func refuse(line int, rule, format string, args ...any) *Error {
	return &Error{Line: line, Rule: rule, Message: fmt.Sprintf(format, args...)}
}

// maxQuote cuts what a message quotes from the input, so that a message is never a way to carry it.
const maxQuote = 40

func quote(s string) string {
	if len(s) > maxQuote {
		return fmt.Sprintf("%q...", s[:maxQuote])
	}
	return fmt.Sprintf("%q", s)
}
