// Package phone is the WhatsApp user's side of a call: what Meta's relay and the phone behind it do. It plays a real Opus file with the
// faults that a mobile network adds, presses digits, hears and records the business, and hangs up when a rule is broken.
package phone

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/onelane/onelane/ice/icetest"
)

// Scenario is what one phone does. The JSON form is flat. Times count from the phone's first packet, but for AnswerDelayMS, which
// counts from the ringing. The zero value is a silent phone that waits to be hung up.
type Scenario struct {
	From          string `json:"from,omitempty"` // the user's number
	To            string `json:"to,omitempty"`   // the business's phone number id
	DurationMS    int    `json:"duration_ms,omitempty"`
	AnswerDelayMS int    `json:"answer_delay_ms,omitempty"` // when the business calls
	Reject        bool   `json:"reject,omitempty"`          // when the business calls: decline instead
	// Lenient phones note broken rules and stay on the line.
	Lenient bool `json:"lenient,omitempty"`
	// Seed of everything random; 0 is a seed as any other.
	Seed uint64 `json:"seed,omitempty"`

	Voice
	Network
	Description
	Faults
}

// Voice is what the phone says.
type Voice struct {
	Speech string  `json:"speech,omitempty"` // an Ogg Opus file of 20 ms packets
	Repeat bool    `json:"repeat,omitempty"` // speak it again and again; otherwise silence follows
	DTX    bool    `json:"dtx,omitempty"`    // silence is not sent, but for a packet every 400 ms
	Mute   []Pause `json:"mute,omitempty"`   // nothing at all is sent
	Digits []Press `json:"digits,omitempty"`
	// MarkerOnEnds sets the marker on a digit's three end packets, as Chromium does, instead of on its first packet.
	MarkerOnEnds bool `json:"marker_on_ends,omitempty"`
	// WaitForBusiness: the phone speaks only after it has heard a packet.
	WaitForBusiness bool `json:"wait_for_business,omitempty"`
}

// Pause is a stretch of time.
type Pause struct {
	AtMS       int `json:"at_ms"`
	DurationMS int `json:"duration_ms"`
}

// Press is a digit and when it is pressed.
type Press struct {
	Digit      string `json:"digit"`
	AtMS       int    `json:"at_ms"`
	DurationMS int    `json:"duration_ms,omitempty"` // 0: 100
}

// Network is what happens to the phone's packets on their way.
type Network struct {
	Loss      float64 `json:"loss,omitempty"` // 0 to 1
	Duplicate float64 `json:"duplicate,omitempty"`
	Reorder   float64 `json:"reorder,omitempty"` // held back by 30 to 60 ms
	JitterMS  int     `json:"jitter_ms,omitempty"`
	// LossyPath: the business's packets may be lost on the way, so that a missing one is no broken rule.
	LossyPath bool `json:"lossy_path,omitempty"`
}

// Description is what the phone's SDP says.
type Description struct {
	Setup  string `json:"setup,omitempty"`   // of our answer: "active" (default) or "actpass"
	OpusPT uint8  `json:"opus_pt,omitempty"` // of our offer
	DTMFPT uint8  `json:"dtmf_pt,omitempty"`
	NoDTMF bool   `json:"no_dtmf,omitempty"`
}

// Faults of the transport; see icetest.Faults.
type Faults struct {
	IgnoreChecksMS   int      `json:"ignore_checks_ms,omitempty"`
	Answer487MS      int      `json:"answer_487_ms,omitempty"`
	StopAnswersAtMS  int      `json:"stop_answers_at_ms,omitempty"`
	IgnoreHellosMS   int      `json:"ignore_hellos_ms,omitempty"`
	DropIPv4         bool     `json:"drop_ipv4,omitempty"`
	DropIPv6         bool     `json:"drop_ipv6,omitempty"`
	WrongFingerprint bool     `json:"wrong_fingerprint,omitempty"`
	Keepalives       string   `json:"keepalives,omitempty"` // "any" (default), "nominating", "plain"
	Profiles         []string `json:"profiles,omitempty"`   // "gcm", "cm80"
}

// maxSteps bounds the lists of a scenario.
const maxSteps = 1000

// Check says what is wrong with a scenario.
func (s *Scenario) Check() error {
	for name, p := range map[string]float64{"loss": s.Loss, "duplicate": s.Duplicate, "reorder": s.Reorder} {
		if p < 0 || p > 1 {
			return fmt.Errorf("%s %v: want 0 to 1", name, p)
		}
	}
	if len(s.Digits) > maxSteps || len(s.Mute) > maxSteps {
		return fmt.Errorf("more than %d digits or pauses", maxSteps)
	}
	end := 0
	for _, d := range s.Digits {
		if len(d.Digit) != 1 || !strings.Contains(events, d.Digit) {
			return fmt.Errorf("digit %q: want one of %s", d.Digit, events)
		}
		if d.AtMS < end {
			return fmt.Errorf("digit %q at %d ms: the one before is pressed until %d ms", d.Digit, d.AtMS, end)
		}
		if d.DurationMS < 0 || d.DurationMS > 8000 {
			return fmt.Errorf("digit %q of %d ms: want 20 to 8000", d.Digit, d.DurationMS)
		}
		end = d.AtMS + int(d.length()/time.Millisecond)
	}
	if s.Setup != "" && s.Setup != "active" && s.Setup != "actpass" {
		return fmt.Errorf("setup %q: want active or actpass", s.Setup)
	}
	if s.DurationMS < 0 || s.AnswerDelayMS < 0 || s.JitterMS < 0 {
		return errors.New("a negative time")
	}
	_, err := s.transport()
	if err != nil {
		return err
	}
	_, err = s.profiles()
	return err
}

func (d Press) length() time.Duration {
	if d.DurationMS == 0 {
		return 100 * time.Millisecond
	}
	return millis(d.DurationMS)
}

func millis(n int) time.Duration { return time.Duration(n) * time.Millisecond }

func (f *Faults) transport() (icetest.Faults, error) {
	out := icetest.Faults{
		IgnoreChecksFor: millis(f.IgnoreChecksMS), Answer487For: millis(f.Answer487MS), StopAnswersAt: millis(f.StopAnswersAtMS),
		IgnoreHellosFor: millis(f.IgnoreHellosMS), DropIPv4: f.DropIPv4, DropIPv6: f.DropIPv6, WrongFingerprint: f.WrongFingerprint,
	}
	switch f.Keepalives {
	case "", "any":
	case "nominating":
		out.Keepalives = icetest.KeepalivesNominating
	case "plain":
		out.Keepalives = icetest.KeepalivesPlain
	default:
		return out, fmt.Errorf("keepalives %q: want any, nominating or plain", f.Keepalives)
	}
	return out, nil
}

func (f *Faults) profiles() ([]icetest.Profile, error) {
	var out []icetest.Profile
	for _, name := range f.Profiles {
		switch name {
		case "gcm":
			out = append(out, icetest.AEADAES128GCM)
		case "cm80":
			out = append(out, icetest.AES128CMHMACSHA1_80)
		default:
			return nil, fmt.Errorf("profile %q: want gcm or cm80", name)
		}
	}
	return out, nil
}
