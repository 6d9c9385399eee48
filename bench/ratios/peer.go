package main

import (
	"errors"
	"fmt"

	"github.com/onelane/onelane/bench/internal/hosts"
	"github.com/onelane/onelane/bench/internal/machine"
)

// peerCalls is the load of the comparison with rtpengine.
const peerCalls = 500

// janusCalls are tried in turn, from the most, until Janus holds as many: it has a thread or two for each.
var janusCalls = []int{250, 200, 150, 100, 50}

// busy is a relay's CPU time, per cent, from which on its queues grow: it has lost nothing yet, and holds no more.
const busy = 95

// peer compares with relays that others wrote on the job of an RTP leg, with the profile that all of them speak best:
// AES_CM_128_HMAC_SHA1_80. What counts is measured between two hosts, as in life; on loopback once, to show the difference.
func (b *bench) peer() error {
	engine, janus := machine.Has("rtpengine", "rtpengine-daemon"), machine.Has("janus", "janus")
	if engine == nil {
		if err := b.loopback(); err != nil {
			b.note("rtpengine / onelane on loopback: not measured: %v", err)
		}
	}
	pair, err := hosts.Make()
	if err != nil {
		return errors.Join(engine, janus, err)
	}
	defer pair.Remove()
	if engine == nil {
		engine = b.rtpengine(twoHosts(pair))
	}
	if janus == nil {
		janus = b.janus(twoHosts(pair))
	}
	return errors.Join(engine, janus)
}

// leg says what is measured.
const leg = "SRTP (AES_CM_128_HMAC_SHA1_80, by DTLS) to plain RTP and back, both ways counted"

func (b *bench) rtpengine(at place) error {
	var onelane, engine series
	var lost uint64
	for range b.options.rounds {
		theirs, err := b.peerCost(at, "rtpengine", peerCalls)
		if err != nil {
			return fmt.Errorf("rtpengine: %w", err)
		}
		ours, err := b.relaydCost(at, peerCalls)
		if err != nil {
			return fmt.Errorf("onelane beside rtpengine: %w", err)
		}
		engine, onelane, lost = append(engine, theirs.each), append(onelane, ours.each), lost+theirs.lost+ours.lost
		b.say("  between two hosts: rtpengine [%v] onelane [%v] us", engine, onelane)
	}
	set(&b.figures.Rtpengine, engine.median()/onelane.median())
	b.note("rtpengine / onelane %.2f: between two hosts (network namespaces and a veth pair), CPU us a relayed packet, %d calls, %s: rtpengine %.2f (%v), onelane %.2f (%v); packets lost: %d; rtpengine 10.5 in user space with one worker thread",
		engine.median()/onelane.median(), peerCalls, leg, engine.median(), engine, onelane.median(), onelane, lost)
	return nil
}

// loopback is one turn of each on one host.
func (b *bench) loopback() error {
	theirs, err := b.peerCost(oneHost, "rtpengine", peerCalls)
	if err != nil {
		return fmt.Errorf("rtpengine on loopback: %w", err)
	}
	ours, err := b.relaydCost(oneHost, peerCalls)
	if err != nil {
		return fmt.Errorf("onelane on loopback: %w", err)
	}
	b.note("rtpengine / onelane on loopback, once, which is not the figure: %.2f (rtpengine %.2f, onelane %.2f us)", theirs.each/ours.each, theirs.each, ours.each)
	return nil
}

// janus takes turns with onelane at as many calls as Janus holds.
func (b *bench) janus(at place) error {
	first, err := b.janusHolds(at)
	if err != nil {
		return fmt.Errorf("janus: %w", err)
	}
	theirs, onelane := series{first.each}, series{}
	for round := range min(2, b.options.rounds) {
		if round > 0 {
			again, err := b.peerCost(at, "janus", first.calls)
			if err != nil {
				return fmt.Errorf("janus: %w", err)
			}
			theirs = append(theirs, again.each)
		}
		ours, err := b.relaydCost(at, first.calls)
		if err != nil {
			return fmt.Errorf("onelane beside Janus: %w", err)
		}
		onelane = append(onelane, ours.each)
		b.say("  between two hosts, %d calls: Janus [%v] onelane [%v] us", first.calls, theirs, onelane)
	}
	b.janusRatio = theirs.median() / onelane.median()
	b.note("janus / onelane %.2f: between two hosts, CPU us a relayed packet, %s, at the %d calls that Janus holds on one CPU without loss: Janus %.2f (%v), onelane %.2f (%v) with as many; Janus 1.1.2, NoSIP plugin",
		b.janusRatio, leg, first.calls, theirs.median(), theirs, onelane.median(), onelane)
	return nil
}

// janusHolds finds how many calls Janus holds, and what they cost it.
func (b *bench) janusHolds(at place) (relayCost, error) {
	for _, calls := range janusCalls {
		c, err := b.peerCost(at, "janus", calls)
		if err != nil {
			return c, err
		}
		if c.lost == 0 && c.cpu < busy {
			return c, nil
		}
		b.note("Janus does not hold %d calls: lost %d packets, p99 %.0f us, %.0f %% of its CPU", calls, c.lost, c.p99, c.cpu)
	}
	return relayCost{}, errors.New("it does not hold the fewest calls tried")
}
