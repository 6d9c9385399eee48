package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// wave is what opusdec makes of an Ogg Opus file.
type wave struct {
	length   time.Duration
	channels [][]float64 // at pcmRate
}

// decodeRate is Opus's own, so that nothing is resampled before the length is taken.
const decodeRate = 48000

// decode has opusdec decode a file. The WAV stays in folder.
func decode(ctx context.Context, file, folder string) (*wave, error) {
	path := filepath.Join(folder, filepath.Base(file)+".wav")
	if _, err := run(ctx, "opusdec", "--quiet", "--rate", fmt.Sprint(decodeRate), file, path); err != nil {
		return nil, err
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	w, err := parseWave(b)
	if err != nil {
		return nil, fmt.Errorf("what opusdec made of %s: %w", file, err)
	}
	return w, nil
}

// parseWave reads 16-bit PCM at decodeRate.
func parseWave(b []byte) (*wave, error) {
	if len(b) < 12 || string(b[:4]) != "RIFF" || string(b[8:12]) != "WAVE" {
		return nil, errors.New("it is no WAV file")
	}
	channels := 0
	for b = b[12:]; len(b) >= 8; {
		name, size := string(b[:4]), int(binary.LittleEndian.Uint32(b[4:]))
		b = b[8:]
		size = min(size, len(b))
		switch {
		case name == "fmt " && size >= 16:
			channels = int(binary.LittleEndian.Uint16(b[2:]))
			rate, depth := binary.LittleEndian.Uint32(b[4:]), binary.LittleEndian.Uint16(b[14:])
			if rate != decodeRate || depth != 16 {
				return nil, fmt.Errorf("it has %d bits at %d Hz, not 16 at %d", depth, rate, decodeRate)
			}
		case name == "data":
			if channels == 0 {
				return nil, errors.New("it has no format")
			}
			return samples(b[:size], channels), nil
		}
		b = b[min(size+size%2, len(b)):]
	}
	return nil, errors.New("it has no samples")
}

// samples takes the channels apart and brings each to pcmRate by averaging. That lets some treble fold back, in the recording and in
// what it is compared with alike.
func samples(b []byte, channels int) *wave {
	const every = decodeRate / pcmRate
	n := len(b) / (2 * channels)
	w := &wave{length: time.Duration(n) * time.Second / decodeRate, channels: make([][]float64, channels)}
	for c := range w.channels {
		w.channels[c] = make([]float64, n/every)
		for i := range w.channels[c] {
			for j := range every {
				at := 2 * ((i*every+j)*channels + c)
				w.channels[c][i] += float64(int16(binary.LittleEndian.Uint16(b[at:])))
			}
		}
	}
	return w
}
