package dtmf

import (
	"encoding/binary"
	"time"
)

const (
	// step is what the duration grows by from packet to packet: 20 ms.
	step = clockRate / 50
	// ends is how often the end packet is sent (RFC 4733 section 2.5.1.4).
	ends = 3
	// volume is the level of the tone in -dBm0: what a telephone makes.
	volume = 10
)

// Tone makes the packets of one event. All of them have the timestamp of the first. The zero value is done; it is for one goroutine.
type Tone struct {
	total, now uint16 // in 8 kHz units
	event      byte
	ends       byte // end packets to go
}

// Start begins an event. Its duration is held between 20 ms, a packet, and 8.19 s, which is what one segment holds.
func (t *Tone) Start(event byte, duration time.Duration) {
	duration = min(max(duration, 20*time.Millisecond), maxDuration*time.Second/clockRate)
	*t = Tone{event: event, total: uint16(duration * clockRate / time.Second), ends: ends}
}

// Active says whether there are packets to come.
func (t *Tone) Active() bool { return t.ends > 0 }

// Next writes the payload of the next packet and is called every 20 ms. marker is set on the first packet, end on each of the three
// end packets, and done on the last of these; after it n is 0. buf has room for PayloadSize bytes.
func (t *Tone) Next(buf []byte) (n int, marker, end, done bool) {
	if t.ends == 0 {
		return 0, false, false, true
	}
	marker = t.now == 0
	t.now = uint16(min(uint32(t.now)+step, uint32(t.total)))
	buf[0], buf[1] = t.event, volume
	if end = t.now == t.total; end {
		buf[1] |= 0x80
		t.ends--
	}
	binary.BigEndian.PutUint16(buf[2:], t.now)
	return PayloadSize, marker, end, t.ends == 0
}
