package rtpx

// Limits of RFC 3550 appendix A.1. A number less than maxDropout ahead is a gap and one less than maxMisorder behind is reordered;
// anything else is a jump, which is believed when a second packet follows it in sequence.
const (
	maxDropout  = 3000
	maxMisorder = 100
)

// GuardVerdict is what to do with a packet.
type GuardVerdict uint8

const (
	// GuardSame: it is from the source that is followed.
	GuardSame GuardVerdict = iota
	// GuardTakeover: it is from a new source, which is followed from here on, as is the very first one. What is known about the old
	// one (Extender, Window, Timeline, Reception) is void.
	GuardTakeover
	// GuardRestart: the source is the same and its sequence numbers began afresh (RFC 3550 A.1). What was said of GuardTakeover holds
	// here too: without it, a source that jumps back by half the range is taken for reordered, and dropped, for minutes.
	GuardRestart
	// GuardProbation: it is the first of a source or a sequence that may be taken over: drop it.
	GuardProbation
	// GuardLoop: it carries our own SSRC: drop it.
	GuardLoop
)

// String is the name that counters use.
func (v GuardVerdict) String() string {
	switch v {
	case GuardSame:
		return "same"
	case GuardTakeover:
		return "takeover"
	case GuardRestart:
		return "restart"
	case GuardProbation:
		return "probation"
	case GuardLoop:
		return "loop"
	}
	return "unknown"
}

// Guard makes one stream out of whatever a peer sends: it follows one SSRC, and changes to another when two packets of it come in
// sequence and none of the old one in order between them. It knows one candidate, whatever arrives. The zero value is ready.
type Guard struct {
	ssrc      uint32
	candidate uint32
	highest   uint16
	next      uint16 // what the candidate has to send next
	following bool
	watching  bool // there is a candidate
}

// Admit judges a packet. ours is the SSRC that we send with; 0 when we send nothing.
func (g *Guard) Admit(ssrc uint32, seq uint16, ours uint32) GuardVerdict {
	switch {
	case ssrc == ours && ours != 0:
		return GuardLoop
	case !g.following:
		return g.follow(ssrc, seq)
	case ssrc != g.ssrc:
		return g.probe(ssrc, seq)
	}
	ahead := seq - g.highest
	if ahead < maxDropout {
		g.highest, g.watching = seq, false
		return GuardSame
	}
	if -ahead < maxMisorder {
		return GuardSame
	}
	if g.probe(ssrc, seq) == GuardTakeover {
		return GuardRestart
	}
	return GuardProbation
}

func (g *Guard) probe(ssrc uint32, seq uint16) GuardVerdict {
	if g.watching && g.candidate == ssrc && g.next == seq {
		return g.follow(ssrc, seq)
	}
	g.candidate, g.next, g.watching = ssrc, seq+1, true
	return GuardProbation
}

func (g *Guard) follow(ssrc uint32, seq uint16) GuardVerdict {
	*g = Guard{ssrc: ssrc, highest: seq, following: true}
	return GuardTakeover
}
