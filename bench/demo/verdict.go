package main

import (
	"fmt"
	"math"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/onelane/onelane/relay/control/controlpb"
)

const (
	// digitLength is that of every digit in the demo: the default of both sides.
	digitLength = 100 * time.Millisecond
	// digitError is how far a digit's length may be off: a packet. Counting in the wrong clock makes it six times too long.
	digitError = 20 * time.Millisecond
)

// violations counts what broke a rule: as the far end found it, and as the edge's own check did.
func (c *call) violations() int {
	n := int(c.final.GetStats().GetViolations())
	if c.verdict != nil {
		n += c.verdict.Violations
	}
	return n
}

// ruled is the verdict on one rule.
func (c *call) ruled(i int) string {
	if c.verdict == nil || i >= len(c.verdict.Rules) {
		return "?"
	}
	r := c.verdict.Rules[i]
	if r.Pass {
		return "pass"
	}
	return fmt.Sprintf("BROKEN %d times, first at %.0f ms: %s", r.Count, r.AtMS, r.Reason)
}

// check finds what is wrong with a call but for its recording. Of a call that was aborted, what was broken until then may be the reason,
// and what is missing is no news.
func (c *call) check() {
	c.checkRules()
	if c.aborted {
		return
	}
	if c.final == nil || c.verdict == nil {
		c.fail("it was never made")
		return
	}
	if len(c.verdict.Rules) == 0 {
		c.fail("the phone judged no rule")
	}
	if got := c.final.GetEndReason(); got != pb.EndReason_END_REASON_REQUESTED {
		c.fail("it ended with %v: %s", got, c.final.GetEndMessage())
	}
	if c.verdict.State != "ended" || c.verdict.SaveError != "" {
		c.fail("the phone is %s, not ended; %s", c.verdict.State, c.verdict.SaveError)
	}
	c.checkDigits()
	for _, a := range c.final.GetAttachments() {
		if a.GetFramesDropped() > 0 || a.GetErrors() > 0 {
			c.fail("attachment %s dropped %d frames and failed %d times: %s", a.GetAttachmentId(), a.GetFramesDropped(), a.GetErrors(), a.GetLastError())
		}
	}
	for _, t := range c.timings() {
		if t.ice == nil || t.dtls == nil || t.first == nil {
			c.fail("a timing is missing: %s saw offer to ICE %s, ICE to DTLS %s, gate to first packet %s",
				t.by, milliseconds(t.ice), milliseconds(t.dtls), milliseconds(t.first))
		}
	}
}

func (c *call) checkRules() {
	if c.verdict != nil {
		for _, r := range c.verdict.Rules {
			if !r.Pass {
				c.fail("Meta's rule %s (%s) is broken: %s", r.Rule, r.Doc, r.Reason)
			}
		}
	}
	if n := c.final.GetStats().GetViolations(); n > 0 {
		c.fail("the edge's egress check stopped %d packets", n)
	}
}

func (c *call) checkDigits() {
	if c.digits != c.pressed {
		c.fail("the phone pressed %q and the edge heard %q", c.pressed, c.digits)
	}
	if c.verdict.Heard != c.sent {
		c.fail("%q was sent and the phone heard %q", c.sent, c.verdict.Heard)
	}
	lengths := append([]time.Duration(nil), c.lengths...)
	for _, d := range c.verdict.Digits {
		lengths = append(lengths, time.Duration(d.DurationMS*float64(time.Millisecond)))
	}
	for _, l := range lengths {
		if (l - digitLength).Abs() > digitError {
			c.fail("a digit was heard %v long, and pressed for %v", l, digitLength)
		}
	}
}

// timing is how long set-up took, as somebody saw it, in milliseconds; nil is not measured.
type timing struct {
	by               string
	ice, dtls, first *float64
}

func (c *call) timings() []timing {
	var all []timing
	if c.final != nil {
		t := c.final.GetTimings()
		all = append(all, timing{
			by: "the edge", ice: since(new(durationpb.Duration), t.GetIceConnected()),
			dtls: since(t.GetIceConnected(), t.GetDtlsConnected()), first: since(t.GetGateOpened(), t.GetFirstPacketSent()),
		})
	}
	if c.verdict != nil {
		t := c.verdict.Timings
		all = append(all, timing{
			by: "the far end", ice: between(t.Answered, t.Nominated), dtls: between(t.Nominated, t.DTLS), first: between(t.Accepted, t.FirstHeard),
		})
	}
	return all
}

func since(from, to *durationpb.Duration) *float64 {
	if from == nil || to == nil {
		return nil
	}
	ms := rounded(to.AsDuration() - from.AsDuration())
	return &ms
}

func between(from, to *float64) *float64 {
	if from == nil || to == nil {
		return nil
	}
	ms := math.Round((*to-*from)*10) / 10
	return &ms
}
