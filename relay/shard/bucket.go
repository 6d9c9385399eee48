package shard

import "time"

// A call may receive packetRate packets a second, in bursts of packetBurst: ten times what 20 ms audio with DTMF needs, enough for
// 2.5 ms frames, and little enough that a peer that floods costs other calls nothing.
const (
	packetRate  = 500
	packetBurst = 500
)

// bucket is a token bucket. The zero value is full.
type bucket struct {
	spent time.Duration // the time at which everything that was taken is paid back
}

// take takes one token, if there is one.
func (b *bucket) take(now time.Duration) bool {
	const each, depth = time.Second / packetRate, packetBurst * (time.Second / packetRate)
	if b.spent < now {
		b.spent = now
	}
	if b.spent-now > depth-each {
		return false
	}
	b.spent += each
	return true
}
