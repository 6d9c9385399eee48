//go:build interop

package interop

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// pcmRate is enough to tell one piece of speech from another.
const pcmRate = 8000

// command runs a program and gives what it prints.
func command(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// speech makes an Ogg Opus file of somebody speaking, as phones send it: 20 ms frames, one channel.
func speech(t *testing.T, file, text string) {
	t.Helper()
	wav := filepath.Join(t.TempDir(), "speech.wav")
	command(t, "espeak-ng", "-s", "150", "-w", wav, text)
	command(t, "opusenc", "--quiet", "--downmix-mono", "--framesize", "20", "--bitrate", "24", "--vbr", wav, file)
}

// decode gives the samples of each channel.
func decode(t *testing.T, file string, channels int) [][]float64 {
	t.Helper()
	raw := filepath.Join(t.TempDir(), "decoded.raw")
	command(t, "ffmpeg", "-v", "error", "-y", "-i", file, "-f", "s16le", "-ar", strconv.Itoa(pcmRate), "-ac", strconv.Itoa(channels), raw)
	content, err := os.ReadFile(raw)
	if err != nil {
		t.Fatal(err)
	}
	samples := make([][]float64, channels)
	for i := 0; i+2*channels <= len(content); i += 2 * channels {
		for c := range channels {
			samples[c] = append(samples[c], float64(int16(binary.LittleEndian.Uint16(content[i+2*c:]))))
		}
	}
	return samples
}

// likeness is the highest normalised cross-correlation of a with what b has of it, and how much later b has it. 1: the same; speech
// against other speech is below 0.2.
func likeness(a, b []float64, most time.Duration) (best float64, delay time.Duration) {
	for lag := range int(most.Seconds() * pcmRate) {
		if lag >= len(b) {
			break
		}
		n := min(len(a), len(b)-lag)
		var ab, aa, bb float64
		for i := range n {
			x, y := a[i], b[lag+i]
			ab += x * y
			aa += x * x
			bb += y * y
		}
		// A stretch that holds little of a says nothing.
		if n < len(a)*3/4 || aa == 0 || bb == 0 {
			continue
		}
		if l := ab / math.Sqrt(aa*bb); l > best {
			best, delay = l, time.Duration(lag)*time.Second/pcmRate
		}
	}
	return best, delay
}

// checkRecording has three programs read a recording; each must find it sound and, within 20 ms, as long as wanted.
func checkRecording(t *testing.T, file string, channels int, want time.Duration) {
	t.Helper()
	verdict := command(t, "opusinfo", file)
	for _, bad := range []string{"WARNING", "ERROR", "corrupt", "hole"} {
		if strings.Contains(verdict, bad) {
			t.Errorf("opusinfo: %s", verdict)
			break
		}
	}
	var probed struct {
		Streams []struct {
			Channels int
		}
		Format struct{ Duration string }
	}
	if err := json.Unmarshal([]byte(command(t, "ffprobe", "-v", "error", "-show_streams", "-show_format", "-of", "json", file)), &probed); err != nil {
		t.Fatal(err)
	}
	seconds, _ := strconv.ParseFloat(probed.Format.Duration, 64)
	if len(probed.Streams) != 1 || probed.Streams[0].Channels != channels {
		t.Errorf("ffprobe: %+v, want one stream of %d channels", probed, channels)
	}
	wav := filepath.Join(t.TempDir(), "decoded.wav")
	command(t, "opusdec", "--quiet", "--rate", "48000", file, wav)
	header, err := os.Stat(wav)
	if err != nil {
		t.Fatal(err)
	}
	// opusdec writes 16-bit samples behind a header of less than a millisecond.
	decoded := float64(header.Size()) / float64(2*channels*48000)
	for judge, length := range map[string]float64{"ffprobe": seconds, "opusdec": decoded} {
		if off := time.Duration(length*float64(time.Second)) - want; off.Abs() > 20*time.Millisecond {
			t.Errorf("%s finds %.3f s, want %v", judge, length, want)
		}
	}
}
