package main

import (
	"os/exec"
	"strconv"

	"github.com/onelane/onelane/bench/internal/results"
	"github.com/onelane/onelane/bench/internal/rig"
)

// peerCalls is the load of the comparison with rtpengine.
const peerCalls = 500

// peer compares with rtpengine on the job of an RTP leg, with the profile that both speak best: AES_CM_128_HMAC_SHA1_80.
func (b *bench) peer() error {
	if _, err := exec.LookPath("rtpengine"); err != nil {
		return err
	}
	var onelane, engine results.Series
	for range b.Options.Rounds {
		v, err := b.rtpengineCost()
		if err != nil {
			return err
		}
		engine = append(engine, v)
		if v, err = b.onelaneCost(peerCalls, "--rtp", "--profile", "aescm"); err != nil {
			return err
		}
		onelane = append(onelane, v)
		b.Say("  rtpengine [%v] onelane [%v] us", engine, onelane)
	}
	set(&b.figures.Rtpengine, engine.Median()/onelane.Median())
	b.Note("CPU us a relayed packet, %d calls, SRTP (AES_CM_128_HMAC_SHA1_80, by DTLS) to plain RTP and back, both ways counted: rtpengine %.2f (%v), onelane %.2f (%v); both on loopback, rtpengine 10.5 in user space with one worker thread",
		peerCalls, engine.Median(), engine, onelane.Median(), onelane)
	return nil
}

func (b *bench) rtpengineCost() (float64, error) {
	p, err := b.Start("rtpengine", "--cpu", strconv.Itoa(rig.TargetCPU), "--echo-cpu", strconv.Itoa(rig.LoadCPU), "--nice", strconv.Itoa(rig.Before))
	if err != nil {
		return 0, err
	}
	defer p.Stop()
	word, err := p.Word("pid", rig.ReadyTime)
	if err != nil {
		return 0, err
	}
	pid, err := strconv.Atoi(word)
	if err != nil {
		return 0, err
	}
	return b.loaded(p, pid, peerCalls, "--profile", "aescm")
}
