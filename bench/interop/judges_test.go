//go:build interop

package interop

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// The judges must be able to say yes and no before they judge the edge.

func TestTsharkReadsPlainOpus(t *testing.T) {
	edge, _ := hosts(t)
	port := edge.listen(t)
	c := startCapture(t, edge, "lo", "udp port "+strconv.Itoa(port))
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	out, err := edge.command(ctx, "ffmpeg", "-v", "error", "-re", "-f", "lavfi", "-i", "sine=duration=2", "-c:a", "libopus", "-ac", "2", "-ar", "48000",
		"-frame_duration", "20", "-f", "rtp", "-payload_type", "111", fmt.Sprintf("rtp://127.0.0.1:%d", port)).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	c.stop(t)
	if n := checkOpus(t, c.file, port, 111); n < 95 || n > 105 {
		t.Errorf("%d Opus packets in 2 s", n)
	}
}

func TestLikenessTellsSpeechApart(t *testing.T) {
	folder := t.TempDir()
	one, other := filepath.Join(folder, "one.ogg"), filepath.Join(folder, "other.ogg")
	speech(t, one, spoken)
	speech(t, other, "Good morning. I should like to change the address of my delivery, please, if that is still possible today.")
	a, b := decode(t, one, 1)[0], decode(t, other, 1)[0]
	late := append(make([]float64, pcmRate/4), a...)
	if l, delay := likeness(a, late, time.Second); l < 0.99 || delay != 250*time.Millisecond {
		t.Errorf("the same, 250 ms late: %.3f at %v", l, delay)
	}
	if l, _ := likeness(a, b, time.Second); l > 0.3 {
		t.Errorf("other words: %.3f", l)
	}
	checkRecording(t, one, 1, time.Duration(len(a))*time.Second/pcmRate)
}
