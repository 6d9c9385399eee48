package phone

import (
	"bytes"
	"fmt"
	"os"

	"github.com/onelane/onelane/cmd/metasim/internal/rules"
	"github.com/onelane/onelane/rtpx/ogg"
)

// maxFill bounds the silence that one jump of the timestamps may write: ten minutes.
const maxFill = 50 * 600

// preRoll is the silence in front that a decoder skips: it has 80 ms to converge (RFC 7845 section 4.2).
const preRoll = 4

// recorder keeps what the phone hears as an Ogg Opus file in memory, so that no disk holds up the reader of all calls. What is missing
// between two packets is silence. It is late by nothing: a packet that was overtaken is left out.
type recorder struct {
	buf     bytes.Buffer
	out     *ogg.Writer
	started bool
	next    uint32 // the timestamp at which the file ends
	samples int64  // of audio, without the pre-roll
}

func newRecorder(serial uint32) (*recorder, error) {
	r := &recorder{}
	var err error
	r.out, err = ogg.NewWriter(&r.buf, serial, ogg.Head{Channels: 1, PreSkip: preRoll * frameSamples, SampleRate: 16000}, ogg.Tags{Vendor: "metasim"})
	if err != nil {
		return nil, fmt.Errorf("recording: %w", err)
	}
	for range preRoll {
		if err := r.out.Packet(silence, frameSamples); err != nil {
			return nil, fmt.Errorf("recording: %w", err)
		}
	}
	return r, nil
}

func (r *recorder) packet(timestamp uint32, payload []byte) {
	n, err := rules.OpusSamples(payload)
	if err != nil {
		return
	}
	if !r.started {
		r.started, r.next = true, timestamp
	}
	gap := int64(int32(timestamp - r.next))
	if gap < 0 {
		return
	}
	for range min(gap/frameSamples, maxFill) {
		r.add(silence, frameSamples)
	}
	r.add(payload, n)
	r.next = timestamp + uint32(n)
}

func (r *recorder) add(b []byte, samples int) {
	if r.out.Packet(b, samples) == nil { // only memory can fail here
		r.samples += int64(samples)
	}
}

func (r *recorder) save(path string) error {
	if err := r.out.End(); err != nil {
		return fmt.Errorf("recording: %w", err)
	}
	return os.WriteFile(path, r.buf.Bytes(), 0o600)
}
