package phone

import (
	"time"

	"github.com/onelane/onelane/cmd/metasim/internal/rules"
)

// Report is what a call was like for the phone. Times are in milliseconds since the call's beginning (the offer, or the connect
// request); a time that is missing has not come.
type Report struct {
	State        string         `json:"state"` // "ringing", "connecting", "live", "ended"
	Ending       *EndReport     `json:"ending,omitempty"`
	Violations   int            `json:"violations"` // broken rules
	Rules        []rules.Result `json:"rules"`
	Timings      Timings        `json:"timings"`
	DigitsHeard  string         `json:"digits_heard"`
	Digits       []Digit        `json:"digits,omitempty"`
	DigitsSent   uint64         `json:"digits_sent"`
	Packets      Packets        `json:"packets"`
	Recording    string         `json:"recording,omitempty"` // of what was heard; complete when the call has ended
	RecordingMS  float64        `json:"recording_ms"`
	SaveError    string         `json:"save_error,omitempty"`
	SRTPProfile  string         `json:"srtp_profile,omitempty"`
	LocalAddress string         `json:"local_address,omitempty"`
	PeerAddress  string         `json:"peer_address,omitempty"`
}

// EndReport is the Ending.
type EndReport struct {
	Reason     string     `json:"reason"`
	Rule       rules.Name `json:"rule,omitempty"`
	Detail     string     `json:"detail,omitempty"`
	Code       int        `json:"code,omitempty"`
	ByBusiness bool       `json:"by_business"`
}

// Timings of a call.
type Timings struct {
	AnsweredMS   *float64 `json:"answered_ms,omitempty"` // the business's SDP came
	FirstCheckMS *float64 `json:"first_check_ms,omitempty"`
	NominatedMS  *float64 `json:"nominated_ms,omitempty"`
	DTLSMS       *float64 `json:"dtls_ms,omitempty"`
	GateMS       *float64 `json:"gate_ms,omitempty"`     // media allowed
	AcceptedMS   *float64 `json:"accepted_ms,omitempty"` // accept, or picked up
	FirstHeardMS *float64 `json:"first_heard_ms,omitempty"`
	FirstSentMS  *float64 `json:"first_sent_ms,omitempty"`
	EndedMS      *float64 `json:"ended_ms,omitempty"`

	OfferToICEMS  *float64 `json:"offer_to_ice_ms,omitempty"`  // since both SDPs were known: answered to nominated
	ICEToDTLSMS   *float64 `json:"ice_to_dtls_ms,omitempty"`   // nominated to keys
	GateToFirstMS *float64 `json:"gate_to_first_ms,omitempty"` // gate to the first packet heard
}

// Packets are counters.
type Packets struct {
	Heard      uint64 `json:"heard"`
	HeardBytes uint64 `json:"heard_bytes"`
	Events     uint64 `json:"events"` // of those heard: DTMF
	Missing    int    `json:"missing"`
	Sent       uint64 `json:"sent"`
	Dropped    uint64 `json:"dropped"` // by the simulated network
	RTCPHeard  uint64 `json:"rtcp_heard"`
	RTCPSent   uint64 `json:"rtcp_sent"`
	Checks     uint64 `json:"checks"`
}

// Report copies what the phone knows.
func (p *Phone) Report() Report {
	ice := p.call.Timings()
	local, remote, nominated := p.call.Path()
	p.mu.Lock()
	defer p.mu.Unlock()
	r := Report{
		State: p.state(), Violations: len(p.judge.Breaches()), Rules: p.judge.Results(p.times.created),
		DigitsHeard: p.ear.String(), Digits: append([]Digit(nil), p.ear.heard...), DigitsSent: p.voice.digits,
		Recording: p.options.Recording, RecordingMS: float64(p.recorder.samples) / 48,
		Packets: Packets{
			Heard: p.counts.heard, HeardBytes: p.counts.bytes, Events: p.counts.events, Missing: p.judge.Lost(),
			Sent: p.voice.sent, Dropped: p.voice.dropped,
			RTCPHeard: p.counts.rtcpHeard, RTCPSent: p.counts.rtcpSent, Checks: p.call.Checks(),
		},
	}
	if p.secure {
		r.SRTPProfile = p.profile.String()
	}
	if nominated {
		r.LocalAddress, r.PeerAddress = local.String(), remote.String()
	}
	if p.saveError != nil {
		r.SaveError = p.saveError.Error()
	}
	if p.ended {
		e := p.ending
		r.Ending = &EndReport{e.Reason, e.Rule, e.Detail, e.Code, e.ByBusiness}
	}
	t, at := &r.Timings, p.since
	t.AnsweredMS, t.FirstCheckMS, t.NominatedMS, t.DTLSMS = at(p.times.answered), at(ice.FirstCheck), at(ice.Nominated), at(ice.Secure)
	t.GateMS, t.AcceptedMS, t.FirstHeardMS = at(p.times.gate), at(p.times.accepted), at(p.times.firstHeard)
	t.FirstSentMS, t.EndedMS = at(p.times.firstSent), at(p.times.ended)
	t.OfferToICEMS = between(p.times.answered, ice.Nominated)
	t.ICEToDTLSMS = between(ice.Nominated, ice.Secure)
	t.GateToFirstMS = between(p.times.gate, p.times.firstHeard)
	return r
}

func (p *Phone) state() string {
	switch {
	case p.ended:
		return "ended"
	case p.secure && p.accepted:
		return "live"
	case p.answered:
		return "connecting"
	}
	return "ringing"
}

func (p *Phone) since(at time.Duration) *float64 { return between(p.times.created, at) }

func between(from, to time.Duration) *float64 {
	if from == 0 || to == 0 {
		return nil
	}
	v := ms(to - from)
	return &v
}
