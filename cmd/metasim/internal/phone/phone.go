package phone

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/onelane/onelane/cmd/metasim/internal/rules"
	"github.com/onelane/onelane/ice/icetest"
)

// idleTick is how often a phone that does not speak looks at its rules.
const idleTick = 50 * time.Millisecond

// Ending is why and how a call ended.
type Ending struct {
	Reason     string     // "hung up by the business", "hung up by the user", "rule"
	Rule       rules.Name // broken one, when that is the reason
	Detail     string
	Code       int           // Graph's error code; 0 for a call that ended well
	ByBusiness bool          // the business asked for it
	Talked     time.Duration // since accept
}

// Options of a Phone.
type Options struct {
	Server        *icetest.Server
	Scenario      Scenario
	UserInitiated bool
	Recording     string       // path of what the phone hears; empty: not recorded
	OnEnd         func(Ending) // once, from any goroutine; it must not block
}

// Refusal is an SDP that Meta answers with HTTP 400.
type Refusal struct {
	Rule   rules.Name
	Code   int
	Detail string
}

func (r *Refusal) Error() string { return fmt.Sprintf("%s: %s", r.Rule, r.Detail) }

// ErrEnded: the call is over.
var ErrEnded = errors.New("the call is over")

// Phone is one user in one call. Its methods may be called from any goroutine.
type Phone struct {
	options Options
	server  *icetest.Server
	call    *icetest.Call

	mu        sync.Mutex // guards what follows
	judge     *rules.Judge
	voice     voice
	ear       ear
	reception reception
	recorder  *recorder
	times     times
	counts    counts
	answered  bool // the business's SDP is in
	accepted  bool // accept returned 200, or the user picked up
	secure    bool
	profile   icetest.Profile
	nextRTCP  time.Duration
	ended     bool
	ending    Ending
	saveError error
}

// times are on the server's clock; 0 has not happened.
type times struct {
	created, answered, gate, accepted, firstHeard, firstSent, ended time.Duration
}

type counts struct {
	heard, bytes, events, rtcpHeard, rtcpSent uint64
}

// New makes a phone. A user-initiated call rings at once; see Offer.
func New(o Options) (*Phone, error) {
	s := &o.Scenario
	if err := s.Check(); err != nil {
		return nil, err
	}
	faults, err := s.transport()
	if err != nil {
		return nil, err
	}
	profiles, err := s.profiles()
	if err != nil {
		return nil, err
	}
	if s.OpusPT == 0 {
		s.OpusPT = icetest.OpusPT
	}
	if s.DTMFPT == 0 {
		s.DTMFPT = icetest.DTMFPT
	}
	p := &Phone{options: o, server: o.Server}
	if s.Speech != "" {
		if p.voice.frames, err = readSpeech(s.Speech); err != nil {
			return nil, err
		}
	}
	p.call, err = o.Server.NewCall(icetest.CallOptions{
		Faults: faults, Profiles: profiles,
		OnBreach: p.onBreach, OnCheck: p.onCheck, OnSecure: p.onSecure, OnFailure: p.onFailure,
	})
	if err != nil {
		return nil, err
	}
	p.voice.plan, p.voice.ssrc = &p.options.Scenario, p.call.SSRC()
	p.voice.opus, p.voice.dtmf = s.OpusPT, s.DTMFPT
	p.voice.random = rand.New(rand.NewPCG(s.Seed, 0x6d657461)) //nolint:gosec // a simulated network, not a secret
	if p.recorder, err = newRecorder(p.call.SSRC()); err != nil {
		return nil, err
	}
	expect := rules.Expect{Lossy: s.LossyPath}
	if o.UserInitiated {
		expect = rules.Expect{Lossy: s.LossyPath, Opus: s.OpusPT, DTMF: s.DTMFPT, Mid: "audio"}
	}
	p.judge = rules.NewJudge(expect)
	p.call.OnRTP(p.onRTP)
	p.call.OnRTCP(p.onRTCP)
	p.times.created = p.server.Now()
	p.server.Schedule(p.times.created, p.tick)
	return p, nil
}

// Offer is the SDP of a user-initiated call.
func (p *Phone) Offer() string {
	d := &p.options.Scenario.Description
	return p.call.Text(icetest.SDP{Setup: "actpass", Opus: d.OpusPT, DTMF: d.DTMFPT, NoDTMF: d.NoDTMF})
}

// PreAccept takes the business's answer: ICE and DTLS may run, media may not.
func (p *Phone) PreAccept(text string) error {
	return p.change(func(now time.Duration) error { return p.take(now, text, p.judge.PreAccept) })
}

// Accept takes the business's answer and opens the gate. It is called before the HTTP answer goes out, so that no packet sent after it
// can be early.
func (p *Phone) Accept(text string) error {
	return p.change(func(now time.Duration) error {
		if err := p.take(now, text, p.judge.Accept); err != nil {
			return err
		}
		p.openGate(now)
		p.pickUp(now)
		return nil
	})
}

// Answer takes the business's offer and gives the answer of Meta's relay. That is the tunnel; PickUp is the user.
func (p *Phone) Answer(offer string) (string, error) {
	var answer string
	err := p.change(func(now time.Duration) error {
		if err := p.judged(now, offer, p.judge.Offer); err != nil {
			return err
		}
		peer, err := icetest.ReadSDP(offer)
		if err != nil {
			return &Refusal{rules.SDPForm, rules.CodeSDP, err.Error()}
		}
		setup := p.options.Scenario.Setup
		if setup == "" {
			setup = "active"
		}
		if answer, err = p.call.Answer(offer, setup); err != nil {
			return &Refusal{rules.SDPForm, rules.CodeSDP, err.Error()}
		}
		p.voice.opus, p.voice.dtmf = peer.Opus, peer.DTMF
		p.answered, p.times.answered = true, now
		return nil
	})
	return answer, err
}

// Tunnel: Meta's answer has been sent to the business, which may send from now on.
func (p *Phone) Tunnel() {
	_ = p.change(func(now time.Duration) error { p.openGate(now); return nil })
}

// PickUp: the user of a business-initiated call answers.
func (p *Phone) PickUp() {
	_ = p.change(func(now time.Duration) error { p.openGate(now); p.pickUp(now); return nil })
}

// HangUp ends the call without a fault.
func (p *Phone) HangUp(byBusiness bool) {
	_ = p.change(func(now time.Duration) error {
		reason := "hung up by the user"
		if byBusiness {
			reason = "hung up by the business"
		}
		p.end(now, Ending{Reason: reason, ByBusiness: byBusiness})
		return nil
	})
}

// Scenario is what the phone was asked to do.
func (p *Phone) Scenario() Scenario { return p.options.Scenario }

// change runs do under the lock, ends the call if a rule was broken in it, and tells the owner.
func (p *Phone) change(do func(now time.Duration) error) error {
	p.mu.Lock()
	if p.ended {
		p.mu.Unlock()
		return ErrEnded
	}
	now := p.server.Now()
	err := do(now)
	ended := p.settle(now)
	p.mu.Unlock()
	p.tell(ended)
	return err
}

// settle ends the call when a rule is broken, and says whether the call has ended just now.
func (p *Phone) settle(now time.Duration) bool {
	if p.ended {
		return p.times.ended == now
	}
	b, broken := p.judge.First()
	if !broken || p.options.Scenario.Lenient {
		return false
	}
	p.end(now, Ending{Reason: "rule", Rule: b.Rule, Detail: b.Reason, Code: rules.CodeOf(b.Rule)})
	return true
}

func (p *Phone) tell(ended bool) {
	if ended && p.options.OnEnd != nil {
		p.options.OnEnd(p.ending) // written before, and never again
	}
}

func (p *Phone) end(now time.Duration, e Ending) {
	if p.accepted {
		e.Talked = now - p.times.accepted
	}
	p.ended, p.ending, p.times.ended = true, e, now
	p.judge.End()
	p.ear.tick(now+2*quiet, p.times.created)
	p.call.Close()
	if p.options.Recording != "" {
		p.saveError = p.recorder.save(p.options.Recording)
	}
}

// take judges the answer and lets the peer's checks in.
func (p *Phone) take(now time.Duration, text string, judge func(time.Duration, string)) error {
	if err := p.judged(now, text, judge); err != nil {
		return err
	}
	if p.answered {
		return nil
	}
	if err := p.call.Accept(text); err != nil {
		return &Refusal{rules.SDPForm, rules.CodeSDP, err.Error()}
	}
	p.answered, p.times.answered = true, now
	return nil
}

// judged refuses an SDP that breaks a rule, unless the phone is lenient.
func (p *Phone) judged(now time.Duration, text string, judge func(time.Duration, string)) error {
	before := len(p.judge.Breaches())
	judge(now, text)
	if all := p.judge.Breaches(); len(all) > before && !p.options.Scenario.Lenient {
		return &Refusal{all[before].Rule, rules.CodeOf(all[before].Rule), all[before].Reason}
	}
	return nil
}

func (p *Phone) openGate(now time.Duration) {
	p.judge.OpenGate(now)
	if p.times.gate == 0 {
		p.times.gate = now
	}
}

func (p *Phone) pickUp(now time.Duration) {
	p.judge.Start(now)
	if !p.accepted {
		p.accepted, p.times.accepted = true, now
	}
}

// tick is the phone's turn on the pacing goroutine.
func (p *Phone) tick(now time.Duration) (next time.Duration, again bool) {
	p.mu.Lock()
	if p.ended {
		p.mu.Unlock()
		return 0, false
	}
	next = p.turn(now)
	ended := p.settle(now)
	p.mu.Unlock()
	p.tell(ended)
	return next, !ended
}

func (p *Phone) turn(now time.Duration) time.Duration {
	p.judge.Tick(now)
	p.ear.tick(now, p.times.created)
	if !p.accepted && now-p.times.created >= rules.AcceptLimit {
		p.judge.Unaccepted(now)
	}
	s := &p.options.Scenario
	if !p.voice.started && p.secure && p.accepted && (!s.WaitForBusiness || p.counts.heard > 0) {
		p.voice.start(now)
	}
	if p.secure && p.accepted && now >= p.nextRTCP {
		p.nextRTCP = now + rtcpEvery
		if b, err := compound(now, time.Now(), &p.voice, &p.reception); err == nil && p.call.SendRTCP(b) == nil {
			p.counts.rtcpSent++
		}
	}
	if !p.voice.started {
		return now + idleTick
	}
	packets, next := p.voice.due(now)
	for i := range packets {
		p.send(now, &packets[i])
	}
	if s.DurationMS > 0 && now-p.voice.origin >= millis(s.DurationMS) {
		p.end(now, Ending{Reason: "hung up by the user"})
	}
	return next
}

func (p *Phone) send(now time.Duration, k *packet) {
	if k.delay == 0 {
		if p.call.SendRTP(&k.header, k.payload) == nil && p.times.firstSent == 0 {
			p.times.firstSent = now
		}
		return
	}
	late := *k
	p.server.Schedule(now+k.delay, func(time.Duration) (time.Duration, bool) {
		_ = p.call.SendRTP(&late.header, late.payload) // the call may have ended meanwhile
		return 0, false
	})
}

// Ended says that the call is over.
func (p *Phone) Ended() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ended
}
