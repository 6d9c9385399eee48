package rtpx

import (
	"math/rand/v2"
	"testing"
)

const ours = 0x0123

// admit offers packets of ssrc and expects the verdicts.
func admit(t *testing.T, g *Guard, ssrc uint32, seq uint16, want ...GuardVerdict) {
	t.Helper()
	for i, w := range want {
		if v := g.Admit(ssrc, seq+uint16(i), ours); v != w {
			t.Fatalf("ssrc %d, seq %d: %v, want %v", ssrc, seq+uint16(i), v, w)
		}
	}
}

func TestFirstSourceIsFollowedAtOnce(t *testing.T) {
	var g Guard
	admit(t, &g, 1, 65534, GuardTakeover, GuardSame, GuardSame, GuardSame)
}

func TestNewSourceIsFollowedAfterTwoInSequence(t *testing.T) {
	var g Guard
	admit(t, &g, 1, 10, GuardTakeover, GuardSame)
	admit(t, &g, 2, 65535, GuardProbation, GuardTakeover, GuardSame)
	admit(t, &g, 1, 12, GuardProbation, GuardTakeover)
}

func TestSourceOutOfSequenceStaysOnProbation(t *testing.T) {
	var g Guard
	admit(t, &g, 1, 10, GuardTakeover)
	for seq := uint16(0); seq < 1000; seq += 2 {
		admit(t, &g, 2, seq, GuardProbation)
	}
	admit(t, &g, 2, 998, GuardProbation) // a duplicate is no sequence
	admit(t, &g, 2, 999, GuardTakeover)
}

func TestTwoSourcesAtOnceDoNotAlternate(t *testing.T) {
	var g Guard
	admit(t, &g, 1, 0, GuardTakeover)
	for i := uint16(1); i < 100; i++ {
		admit(t, &g, 2, i, GuardProbation)
		admit(t, &g, 1, i, GuardSame)
	}
}

func TestOurOwnSSRCIsALoop(t *testing.T) {
	var g Guard
	admit(t, &g, ours, 1, GuardLoop, GuardLoop, GuardLoop)
	admit(t, &g, 1, 10, GuardTakeover)
	admit(t, &g, ours, 4, GuardLoop, GuardLoop)
	admit(t, &g, 1, 11, GuardSame)
	var quiet Guard
	if v := quiet.Admit(0, 1, 0); v != GuardTakeover {
		t.Fatalf("SSRC 0 while we send nothing: %v", v)
	}
}

func TestTwoThousandSourcesChangeNothing(t *testing.T) {
	var g Guard
	r := rand.New(rand.NewPCG(1, 2))
	admit(t, &g, 1, 500, GuardTakeover)
	for i := range 100_000 {
		ssrc := uint32(1000 + i%2000)
		if v := g.Admit(ssrc, uint16(r.Uint32()), ours); v != GuardProbation {
			t.Fatalf("packet %d: %v", i, v)
		}
	}
	admit(t, &g, 1, 501, GuardSame)
}

// RFC 3550 A.1: a number far off is believed when a second one follows it.
func TestSourceThatBeginsAfreshIsFollowed(t *testing.T) {
	for _, jump := range []uint16{maxDropout, 20000, 40000, 65536 - maxMisorder - 2} {
		var g Guard
		admit(t, &g, 1, 100, GuardTakeover, GuardSame)
		admit(t, &g, 1, 101+jump, GuardProbation)
		admit(t, &g, 1, 102, GuardSame)
		admit(t, &g, 1, 102+jump, GuardProbation) // not right after the first
		admit(t, &g, 1, 103+jump, GuardRestart, GuardSame)
	}
}

func TestReorderingAndLossAreNoRestart(t *testing.T) {
	var g Guard
	admit(t, &g, 1, 100, GuardTakeover)
	admit(t, &g, 1, 101+maxDropout-2, GuardSame)
	for back := uint16(0); back < maxMisorder; back++ {
		admit(t, &g, 1, 101+maxDropout-2-back, GuardSame)
	}
	admit(t, &g, 1, 101+maxDropout-1, GuardSame)
}

func TestGuardVerdictsHaveNames(t *testing.T) {
	for v := GuardSame; v <= GuardLoop; v++ {
		if v.String() == "unknown" {
			t.Errorf("verdict %d has none", v)
		}
	}
}
