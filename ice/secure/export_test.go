package secure

import "time"

// FingerprintOf and Silence for the tests.
var FingerprintOf = fingerprintOf

// Silence logs nothing.
type Silence = silence

// StuckAfter is how long a try may be stuck.
const StuckAfter time.Duration = stuckAfter

// MaxFragments bounds what a handshake keeps.
const MaxFragments = maxFragments

// Held is how much an Opener keeps.
func (o *Opener) Held() (rtp, rtcp, made int) { return len(o.rtp), len(o.rtcp), o.made }
