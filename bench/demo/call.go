package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	pb "github.com/onelane/onelane/relay/control/controlpb"
)

// The numbers are fictitious ones.
const (
	businessNumber = "100000000000001" // Meta's id of our phone number
	callerNumber   = "15555550101"
	calleeNumber   = "15555550102"
)

// When things happen in a call, since the media gate opened. Windows for the judges lie between them: see windows.
const (
	sendDigitsAt = 4 * time.Second
	pressAt      = 6 * time.Second // since the phone's first packet
	pressAgainAt = 6600 * time.Millisecond
	switchAt     = 9500 * time.Millisecond
	hangUpAt     = 17 * time.Second

	answerDelay = 800 * time.Millisecond // of a phone that we call
	rpcTime     = 10 * time.Second       // a request that takes longer has failed
)

// call is one call: what is to happen in it, and what did.
type call struct {
	name          string
	userInitiated bool
	pressed, sent string // digits: by the phone, by us
	second        string // the source after the switch
	id, metaID    string // at the edge, at Meta

	say      func(format string, args ...any)
	marks    marks
	final    *pb.Call // as EndCall gave it
	verdict  *verdict // the far end's
	aborted  bool     // it did not come to its end, and why has been said
	digits   string   // that the edge heard
	lengths  []time.Duration
	judged   judged
	failures []string
}

// marks are when things happened, by the clock of this host, which is also the edge's.
type marks struct {
	gate, firstHeard, firstSent time.Time // by the edge's events
	tonesFrom, tonesTo          time.Time
	switched, ended             time.Time
}

// Names of sources on a call.
const (
	welcome = "welcome"
	notice  = "notice"
	echo    = "echo"
)

func scripts() []*call {
	return []*call{
		{name: "user-initiated", userInitiated: true, pressed: "17", sent: "39", second: notice},
		{name: "business-initiated", pressed: "42", sent: "5#", second: echo},
	}
}

func (c *call) fail(format string, args ...any) {
	c.failures = append(c.failures, c.name+": "+fmt.Sprintf(format, args...))
}

// perform makes the call.
func (c *call) perform(ctx context.Context, s *stage) error {
	set := c.beCalled
	if !c.userInitiated {
		set = c.callUser
	}
	if err := set(ctx, s); err != nil {
		return err
	}
	c.say("live: speech goes both ways for %v", hangUpAt)
	if err := c.converse(ctx, s); err != nil {
		return err
	}
	return c.hangUp(ctx, s)
}

func (c *call) scenario(s *stage) scenario {
	return scenario{
		Speech: filepath.Join(s.place.speech, "caller.opus"),
		Digits: []press{{c.pressed[:1], pressAt.Milliseconds()}, {c.pressed[1:], pressAgainAt.Milliseconds()}},
	}
}

// beCalled is the set-up of a call that a user makes.
func (c *call) beCalled(ctx context.Context, s *stage) (err error) {
	plan := c.scenario(s)
	plan.From, plan.To = callerNumber, businessNumber
	if c.metaID, err = s.meta.dial(ctx, plan); err != nil {
		return fmt.Errorf("metasim places no call: %w", err)
	}
	offer, err := s.inbox.await(ctx, c.metaID, connected)
	if err != nil {
		return err
	}
	c.id = c.metaID
	answer, err := c.create(ctx, s, offer)
	if err != nil {
		return err
	}
	if err := c.attach(ctx, s, "recording", "recording", nil); err != nil {
		return err
	}
	sdp := &session{"answer", answer}
	if _, err := s.meta.act(ctx, action{Action: "pre_accept", CallID: c.metaID, Session: sdp}); err != nil {
		return err
	}
	c.say("offer answered, pre_accept sent; ICE and DTLS run")
	if err := c.attachSources(ctx, s); err != nil {
		return err
	}
	if _, err := s.watch.await(ctx, c.id, pb.EventKind_EVENT_KIND_DTLS_CONNECTED); err != nil {
		return err
	}
	if _, err := s.meta.act(ctx, action{Action: "accept", CallID: c.metaID, Session: sdp}); err != nil {
		return err
	}
	return c.openMedia(ctx, s) // the instant that accept has returned 200
}

// callUser is the set-up of a call that the business makes.
func (c *call) callUser(ctx context.Context, s *stage) (err error) {
	plan := c.scenario(s)
	plan.AnswerDelayMS = int(answerDelay.Milliseconds())
	if err := s.meta.plan(ctx, calleeNumber, plan); err != nil {
		return fmt.Errorf("metasim takes no plan for a phone: %w", err)
	}
	c.id = "demo-business-initiated"
	offer, err := c.create(ctx, s, "")
	if err != nil {
		return err
	}
	c.metaID, err = s.meta.act(ctx, action{Action: "connect", To: calleeNumber, Session: &session{"offer", offer}})
	if err != nil {
		return err
	}
	answer, err := s.inbox.await(ctx, c.metaID, connected)
	if err != nil {
		return err
	}
	ctx2, cancel := context.WithTimeout(ctx, rpcTime)
	defer cancel()
	if _, err := s.api.ApplyAnswer(ctx2, &pb.ApplyAnswerRequest{CallId: c.id, SdpAnswer: answer}); err != nil {
		return fmt.Errorf("the edge refuses ApplyAnswer: %w", err)
	}
	c.say("our offer is answered; the phone rings while ICE and DTLS run")
	if err := c.attach(ctx, s, "recording", "recording", nil); err != nil {
		return err
	}
	if err := c.attachSources(ctx, s); err != nil {
		return err
	}
	if _, err := s.inbox.await(ctx, c.metaID, accepted); err != nil {
		return err
	}
	return c.openMedia(ctx, s)
}

// create gives the call to the edge and returns our SDP.
func (c *call) create(ctx context.Context, s *stage, offer string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, rpcTime)
	defer cancel()
	r, err := s.api.CreateCall(ctx, &pb.CreateCallRequest{CallId: c.id, Tenant: "demo", SdpOffer: offer})
	if err != nil {
		return "", fmt.Errorf("the edge refuses CreateCall: %w", err)
	}
	return r.GetCall().GetLocalSdp(), nil
}

func (c *call) attach(ctx context.Context, s *stage, id, kind string, params map[string]string) error {
	ctx, cancel := context.WithTimeout(ctx, rpcTime)
	defer cancel()
	_, err := s.api.Attach(ctx, &pb.AttachRequest{CallId: c.id, AttachmentId: id, Kind: kind, Params: params})
	if err != nil {
		return fmt.Errorf("the edge refuses Attach %s: %w", id, err)
	}
	return nil
}

// attachSources attaches what the phone will hear and selects the first, so that the very first packet is speech.
func (c *call) attachSources(ctx context.Context, s *stage) error {
	if err := c.attach(ctx, s, welcome, "player", map[string]string{"file": "welcome.opus"}); err != nil {
		return err
	}
	kind, params := "player", map[string]string{"file": "notice.opus"}
	if c.second == echo {
		kind, params = "echo", nil
	}
	if err := c.attach(ctx, s, c.second, kind, params); err != nil {
		return err
	}
	return c.choose(ctx, s, welcome)
}

func (c *call) choose(ctx context.Context, s *stage, source string) error {
	ctx, cancel := context.WithTimeout(ctx, rpcTime)
	defer cancel()
	if _, err := s.api.SelectSource(ctx, &pb.SelectSourceRequest{CallId: c.id, Source: source}); err != nil {
		return fmt.Errorf("the edge refuses SelectSource %s: %w", source, err)
	}
	return nil
}

func (c *call) openMedia(ctx context.Context, s *stage) error {
	limited, cancel := context.WithTimeout(ctx, rpcTime)
	defer cancel()
	if _, err := s.api.OpenMedia(limited, &pb.OpenMediaRequest{CallId: c.id}); err != nil {
		return fmt.Errorf("the edge refuses OpenMedia: %w", err)
	}
	for kind, mark := range map[pb.EventKind]*time.Time{
		pb.EventKind_EVENT_KIND_GATE_OPENED:           &c.marks.gate,
		pb.EventKind_EVENT_KIND_FIRST_PACKET_SENT:     &c.marks.firstSent,
		pb.EventKind_EVENT_KIND_FIRST_PACKET_RECEIVED: &c.marks.firstHeard,
	} {
		e, err := s.watch.await(limited, c.id, kind)
		if err != nil {
			return err
		}
		*mark = e.GetTime().AsTime()
	}
	return nil
}

// converse has both sides speak, press digits, and the business go over to its second source.
func (c *call) converse(ctx context.Context, s *stage) error {
	if err := c.until(ctx, s, sendDigitsAt); err != nil {
		return err
	}
	c.marks.tonesFrom = time.Now()
	limited, cancel := context.WithTimeout(ctx, rpcTime)
	defer cancel()
	if _, err := s.api.SendDTMF(limited, &pb.SendDTMFRequest{CallId: c.id, Digits: c.sent}); err != nil {
		return fmt.Errorf("the edge refuses SendDTMF: %w", err)
	}
	sent, err := s.watch.await(limited, c.id, pb.EventKind_EVENT_KIND_DIGITS_SENT)
	if err != nil {
		return err
	}
	c.marks.tonesTo = sent.GetTime().AsTime()
	c.say("digits %s sent to the phone", c.sent)
	if err := c.until(ctx, s, switchAt); err != nil {
		return err
	}
	c.marks.switched = time.Now()
	if err := c.choose(ctx, s, c.second); err != nil {
		return err
	}
	heard, _ := s.watch.digits(c.id)
	c.say("the phone pressed %s; its source is now %s", heard, c.second)
	return c.until(ctx, s, hangUpAt)
}

// until waits for a time since the gate opened. The end of the call ends the waiting.
func (c *call) until(ctx context.Context, s *stage, at time.Duration) error {
	t := time.NewTimer(time.Until(c.marks.gate.Add(at)))
	defer t.Stop()
	end := s.inbox.of(c.metaID, terminated)
	select {
	case <-t.C:
		return nil
	case <-end.come:
		return end.asError()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// hangUp ends the call: the user does, or the business. Meta says so, and then the edge is told.
func (c *call) hangUp(ctx context.Context, s *stage) (err error) {
	if c.userInitiated {
		err = s.meta.hangUp(ctx, c.metaID)
	} else {
		_, err = s.meta.act(ctx, action{Action: "terminate", CallID: c.metaID})
	}
	if err != nil {
		return err
	}
	if _, err := s.inbox.await(ctx, c.metaID, terminated); err != nil {
		return err
	}
	if end := s.inbox.of(c.metaID, terminated); end.failure != "" {
		return errors.New("ended by Meta as failed: " + end.failure)
	}
	return nil
}

// collect ends the call at the edge, however far it came, and asks both sides what it was like.
func (c *call) collect(s *stage) {
	// Also after ^C: what was measured until then is worth seeing.
	ctx, cancel := context.WithTimeout(context.Background(), rpcTime)
	defer cancel()
	if c.id != "" {
		r, err := s.api.EndCall(ctx, &pb.EndCallRequest{CallId: c.id, Message: "the demo is over"})
		if err != nil {
			c.fail("EndCall: %v", err)
		} else {
			c.final = r.GetCall()
			c.marks.ended = c.final.GetEndTime().AsTime()
		}
		c.digits, c.lengths = s.watch.digits(c.id)
		for _, what := range s.watch.failed(c.id) {
			c.fail("attachment %s", what)
		}
	}
	if c.metaID != "" {
		v, err := s.meta.verdict(ctx, c.metaID)
		if err != nil {
			c.fail("no verdict of the phone: %v", err)
			return
		}
		c.verdict = v
	}
	if !c.aborted {
		c.say("ended")
	}
}
