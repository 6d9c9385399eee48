package main

import (
	"errors"
	"fmt"

	"github.com/onelane/onelane/bench/internal/hosts"
	"github.com/onelane/onelane/bench/internal/machine"
	"github.com/onelane/onelane/bench/internal/results"
	"github.com/onelane/onelane/bench/internal/rig"
)

// peerCalls is the load of the comparison with rtpengine.
const peerCalls = 500

// janusCalls are tried in turn, from the most, until Janus holds as many: it has a thread or two for each.
var janusCalls = []int{200, 150, 100, 50}

// busy is a relay's CPU time, per cent, from which on its queues grow: it has lost nothing yet, and holds no more.
const busy = 95

// peer compares with relays that others wrote on the job of an RTP leg, with the profile that all of them speak best:
// AES_CM_128_HMAC_SHA1_80. They meet between two hosts, as in life.
func (b *bench) peer() error {
	engine, janus := machine.Has("rtpengine", "rtpengine-daemon"), machine.Has("janus", "janus")
	pair, err := hosts.Make()
	if err != nil {
		return errors.Join(engine, janus, err)
	}
	defer pair.Remove()
	b.Link = rig.Between(pair)
	defer func() { b.Link = rig.Loopback }()
	if engine == nil {
		engine = b.rtpengine()
	}
	if janus == nil {
		janus = b.janus()
	}
	return errors.Join(engine, janus)
}

// leg says what is measured.
const leg = "SRTP (AES_CM_128_HMAC_SHA1_80, by DTLS) to plain RTP and back, both ways counted"

func (b *bench) rtpengine() error {
	var onelane, engine results.Series
	var lost uint64
	for range b.Options.Rounds {
		theirs, err := b.peerCost("rtpengine", peerCalls)
		if err != nil {
			return fmt.Errorf("rtpengine: %w", err)
		}
		ours, err := b.relaydCost(peerCalls)
		if err != nil {
			return fmt.Errorf("onelane beside rtpengine: %w", err)
		}
		engine, onelane, lost = append(engine, theirs.each), append(onelane, ours.each), lost+theirs.lost+ours.lost
		b.Say("  between two hosts: rtpengine [%v] onelane [%v] us", engine, onelane)
	}
	set(&b.figures.Rtpengine, engine.Median()/onelane.Median())
	b.Note("rtpengine / onelane %.2f: between two hosts (network namespaces and a veth pair), CPU us a relayed packet, %d calls, %s: rtpengine %.2f (%v), onelane %.2f (%v); packets lost: %d; rtpengine 10.5 in user space with one worker thread",
		engine.Median()/onelane.Median(), peerCalls, leg, engine.Median(), engine, onelane.Median(), onelane, lost)
	return nil
}

// janus takes turns with onelane at as many calls as Janus holds.
func (b *bench) janus() error {
	first, err := b.janusHolds()
	if err != nil {
		return fmt.Errorf("janus: %w", err)
	}
	theirs, onelane := results.Series{first.each}, results.Series{}
	for round := range min(2, b.Options.Rounds) {
		if round > 0 {
			again, err := b.peerCost("janus", first.calls)
			if err != nil {
				return fmt.Errorf("janus: %w", err)
			}
			theirs = append(theirs, again.each)
		}
		ours, err := b.relaydCost(first.calls)
		if err != nil {
			return fmt.Errorf("onelane beside Janus: %w", err)
		}
		onelane = append(onelane, ours.each)
		b.Say("  between two hosts, %d calls: Janus [%v] onelane [%v] us", first.calls, theirs, onelane)
	}
	b.janusRatio = theirs.Median() / onelane.Median()
	b.Note("janus / onelane %.2f: between two hosts, CPU us a relayed packet, %s, at the %d calls that Janus holds on one CPU without loss: Janus %.2f (%v), onelane %.2f (%v) with as many; Janus 1.1.2, NoSIP plugin",
		b.janusRatio, leg, first.calls, theirs.Median(), theirs, onelane.Median(), onelane)
	return nil
}

// janusHolds finds how many calls Janus holds, and what they cost it.
func (b *bench) janusHolds() (relayCost, error) {
	for _, calls := range janusCalls {
		c, err := b.peerCost("janus", calls)
		if err != nil {
			return c, err
		}
		if c.lost == 0 && c.cpu < busy {
			return c, nil
		}
		b.Note("Janus does not hold %d calls: lost %d packets, p99 %.0f us, %.0f %% of its CPU", calls, c.lost, c.p99, c.cpu)
	}
	return relayCost{}, errors.New("it does not hold the fewest calls tried")
}
