package phone

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/onelane/onelane/cmd/metasim/internal/rules"
	"github.com/onelane/onelane/rtpx/ogg"
)

// maxFrames bounds a speech file: an hour.
const maxFrames = 50 * 3600

// frameSamples is a packet of 20 ms on the 48 kHz clock.
const frameSamples = 960

// silence is 20 ms of digital silence: CELT, full band, mono.
var silence = []byte{0xf8, 0xff, 0xfe}

// readSpeech reads an Ogg Opus file of 20 ms packets.
func readSpeech(path string) ([][]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	frames, err := readFrames(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return frames, nil
}

func readFrames(r io.Reader) ([][]byte, error) {
	in := ogg.NewReader(r)
	var frames [][]byte
	for {
		b, _, err := in.Next()
		switch {
		case errors.Is(err, io.EOF):
			if len(frames) == 0 {
				return nil, errors.New("no audio")
			}
			return frames, nil
		case err != nil:
			return nil, err
		case bytes.HasPrefix(b, []byte("OpusHead")), bytes.HasPrefix(b, []byte("OpusTags")):
			continue
		}
		if n, err := rules.OpusSamples(b); err != nil || n != frameSamples {
			return nil, fmt.Errorf("packet %d is %g ms long (%v): encode with opusenc --framesize 20", len(frames), float64(n)/48, err)
		}
		if len(frames) == maxFrames {
			return nil, errors.New("longer than an hour")
		}
		frames = append(frames, append([]byte(nil), b...))
	}
}
