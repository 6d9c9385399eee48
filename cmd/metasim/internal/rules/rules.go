// Package rules is what Meta's calling endpoint expects of the business side, as named checks.
//
// Nothing here has a clock, a socket or a goroutine: now is an argument, packets and texts are what arrived. So every rule is tested
// with hand-made packets and times. A [Judge] follows one call.
package rules

import (
	"fmt"
	"time"

	"github.com/onelane/onelane/ice/icetest"
)

// Name names a rule.
type Name string

// The rules of media.
const (
	MediaBeforeGate  Name = "media_before_gate"
	SecondSSRC       Name = "second_ssrc"
	SSRCNotInSDP     Name = "ssrc_not_in_sdp"
	SequenceJump     Name = "sequence_jump"
	TimestampJump    Name = "timestamp_jump"
	WrongPtime       Name = "wrong_ptime"
	DTMFClock        Name = "dtmf_clock"
	WrongPayloadType Name = "wrong_payload_type"
	HeaderExtension  Name = "header_extension"
	CSRC             Name = "csrc"
	Padding          Name = "padding"
	NoMediaAtStart   Name = "no_media_at_start"
	NoMedia          Name = "no_media"
	RTCPGap          Name = "rtcp_gap"
	RTCPSource       Name = "rtcp_source"
)

// The rules of SDP.
const (
	FingerprintCount Name = "fingerprint_count"
	FingerprintHash  Name = "fingerprint_hash"
	SDPChanged       Name = "sdp_changed"
	SDPForm          Name = "sdp_form"
	SDPCodec         Name = "sdp_codec"
	SDPMediaLines    Name = "sdp_media_lines"
	SDPSSRCCount     Name = "sdp_ssrc_count"
	SDPIceLite       Name = "sdp_ice_lite"
	SDPCredentials   Name = "sdp_credentials"
	SDPSetup         Name = "sdp_setup"
	SDPCandidate     Name = "sdp_candidate"
	SDPRTCPMux       Name = "sdp_rtcp_mux"
	SDPPtime         Name = "sdp_ptime"
)

// The rules of ICE and DTLS besides those of icetest, which keep their names.
const (
	ConsentGap      Name = "consent_gap"
	DTLSCertificate Name = "dtls_certificate"
	NotAccepted     Name = "not_accepted"
)

// Graph error codes. 138007, 138008, 138021 and 100/2494010 have a documented meaning; 138019, 138020, 138022 and 138023 are only
// documented as "media set-up and media absence", and this is how the simulator uses them.
const (
	CodeParameter   = 100
	SubFingerprint  = 2494010
	CodeTimeout     = 138007
	CodeSDP         = 138008
	CodeICE         = 138019
	CodeDTLS        = 138020
	CodeNoMedia     = 138021
	CodeConsent     = 138022
	CodeBrokenMedia = 138023
)

// Rule is a rule with the code that the call ends with when it is broken.
type Rule struct {
	Name Name
	Code int
	Doc  string
}

// All lists every rule in the order of a report.
var All = []Rule{
	{MediaBeforeGate, CodeBrokenMedia, "no RTP before the accept call has returned 200"},
	{SecondSSRC, CodeBrokenMedia, "one SSRC for the whole call"},
	{SSRCNotInSDP, CodeBrokenMedia, "the SSRC is the one in the SDP"},
	{SequenceJump, CodeBrokenMedia, "sequence numbers grow by one a packet"},
	{TimestampJump, CodeBrokenMedia, "timestamps grow by 960 a packet and follow the clock over gaps"},
	{WrongPtime, CodeBrokenMedia, "every Opus packet is 20 ms long"},
	{DTMFClock, CodeBrokenMedia, "DTMF durations count 8 kHz units: 160 a 20 ms"},
	{WrongPayloadType, CodeBrokenMedia, "only the payload types of the SDP"},
	{HeaderExtension, CodeBrokenMedia, "no RTP header extension"},
	{CSRC, CodeBrokenMedia, "no CSRC"},
	{Padding, CodeBrokenMedia, "no RTP padding"},
	{NoMediaAtStart, CodeNoMedia, "media within 20 s of the start"},
	{NoMedia, CodeNoMedia, "never 30 s without media"},
	{RTCPGap, CodeNoMedia, "RTCP at least every 5 s"},
	{RTCPSource, CodeBrokenMedia, "RTCP comes from the SSRC in the SDP and begins with a report"},
	{FingerprintCount, CodeParameter, "exactly one fingerprint"},
	{FingerprintHash, CodeParameter, "the fingerprint is sha-256 in lower case with upper-case hex"},
	{SDPChanged, CodeSDP, "accept has the bytes of pre_accept"},
	{SDPForm, CodeSDP, "CRLF, UDP/TLS/RTP/SAVPF, mid and BUNDLE of the offer, sendrecv"},
	{SDPCodec, CodeSDP, "opus/48000/2 and telephone-event/8000 under the offered payload types, nothing else"},
	{SDPMediaLines, CodeSDP, "exactly one m-line"},
	{SDPSSRCCount, CodeSDP, "exactly one SSRC"},
	{SDPIceLite, CodeSDP, "no ice-lite"},
	{SDPCredentials, CodeSDP, "ice-ufrag and ice-pwd as in RFC 8839"},
	{SDPSetup, CodeSDP, "setup is active in an answer and actpass in an offer"},
	{SDPCandidate, CodeSDP, "one host candidate an address family, IPv4 among them"},
	{SDPRTCPMux, CodeSDP, "rtcp-mux"},
	{SDPPtime, CodeSDP, "ptime 20 and maxptime 20"},
	{Name(icetest.RuleControlling), CodeICE, "controlling from the first check on"},
	{Name(icetest.RuleCheckForm), CodeICE, "checks have PRIORITY and FINGERPRINT"},
	{Name(icetest.RuleRegularNomination), CodeICE, "regular nomination"},
	{Name(icetest.RuleOnePair), CodeICE, "one pair for the whole call"},
	{Name(icetest.RuleOwnPort), CodeICE, "a local port of its own for every call"},
	{Name(icetest.RuleDTLSAfterNomination), CodeDTLS, "DTLS only after nomination"},
	{Name(icetest.RuleDTLSOnPair), CodeDTLS, "DTLS on the nominated pair"},
	{Name(icetest.RuleMediaOnPair), CodeBrokenMedia, "media on the nominated pair"},
	{DTLSCertificate, CodeDTLS, "the certificate is the one of the SDP's fingerprint"},
	{ConsentGap, CodeConsent, "a Binding request at least every 15 s"},
	{NotAccepted, CodeTimeout, "accepted within 60 s of the offer"},
}

// CodeOf is the code of a rule.
func CodeOf(n Name) int {
	for _, r := range All {
		if r.Name == n {
			return r.Code
		}
	}
	return 0
}

// Breach is a broken rule: the first time it was broken.
type Breach struct {
	Rule   Name
	At     time.Duration
	Reason string
}

// Result is one rule of a report.
type Result struct {
	Rule   Name    `json:"rule"`
	Doc    string  `json:"doc"`
	Pass   bool    `json:"pass"`
	Code   int     `json:"code,omitempty"`
	AtMS   float64 `json:"at_ms,omitempty"` // on the call's clock
	Reason string  `json:"reason,omitempty"`
	Count  int     `json:"count,omitempty"` // how often it was broken
}

// ledger keeps the first breach of each rule.
type ledger struct {
	breaches []Breach
	counts   map[Name]int
}

func (l *ledger) add(rule Name, at time.Duration, format string, args ...any) {
	if l.counts == nil {
		l.counts = map[Name]int{}
	}
	l.counts[rule]++
	if l.counts[rule] == 1 {
		l.breaches = append(l.breaches, Breach{rule, at, fmt.Sprintf(format, args...)})
	}
}

// First is the breach that came first.
func (l *ledger) First() (Breach, bool) {
	if len(l.breaches) == 0 {
		return Breach{}, false
	}
	return l.breaches[0], true
}

// Breaches are all broken rules in the order in which they were broken.
func (l *ledger) Breaches() []Breach { return append([]Breach(nil), l.breaches...) }

// Results lists every rule. Times are given since origin.
func (l *ledger) Results(origin time.Duration) []Result {
	out := make([]Result, 0, len(All))
	for _, r := range All {
		res := Result{Rule: r.Name, Doc: r.Doc, Pass: true}
		for _, b := range l.breaches {
			if b.Rule == r.Name {
				res.Pass, res.Code, res.Reason, res.Count = false, r.Code, b.Reason, l.counts[r.Name]
				res.AtMS = float64(b.At-origin) / float64(time.Millisecond)
			}
		}
		out = append(out, res)
	}
	return out
}
