//go:build interop

package interop

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/onelane/onelane/bench/internal/hosts"
)

// The judges must be able to say yes and no before they judge the edge.

func TestTsharkReadsPlainOpus(t *testing.T) {
	edge, _ := pair(t)
	port := listen(t, edge)
	c := startCapture(t, edge, "lo", "udp port "+strconv.Itoa(port))
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	out, err := edge.Command(ctx, "ffmpeg", "-v", "error", "-re", "-f", "lavfi", "-i", "sine=duration=2", "-c:a", "libopus", "-ac", "2", "-ar", "48000",
		"-frame_duration", "20", "-f", "rtp", "-payload_type", "111", fmt.Sprintf("rtp://127.0.0.1:%d", port)).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	c.stop(t)
	if n, faults := judgeOpus(t, c.file, port, 111); n < 95 || n > 105 || len(faults) > 0 {
		t.Errorf("%d Opus packets in 2 s, %v", n, faults)
	}
}

// send puts datagrams on the wire from a host.
func send(t *testing.T, h hosts.Host, to string, datagrams ...[]byte) {
	t.Helper()
	conn, err := h.Dial(context.Background(), "udp4", to)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, d := range datagrams {
		_, err := conn.Write(d)
		// Nobody listens there: the refusal (ICMP) of the datagram before is told in place of sending this one.
		for errors.Is(err, syscall.ECONNREFUSED) {
			_, err = conn.Write(d)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func rtp(first byte, seq uint16, ssrc byte, rest ...byte) []byte {
	return append([]byte{first, 111, byte(seq >> 8), byte(seq), 0, 0, 3, 0xC0, 0, 0, 0, ssrc}, rest...)
}

func TestJudgesSayNo(t *testing.T) {
	edge, _ := pair(t)
	port := listen(t, edge)
	loopback := startCapture(t, edge, "lo", "udp port "+strconv.Itoa(port))
	wire := startCapture(t, edge, "v-edge", "udp")
	voice := make([]byte, 40)
	send(t, edge, fmt.Sprintf("127.0.0.1:%d", port),
		rtp(0x80, 1, 1, append([]byte{0x48}, voice...)...),       // one SILK frame: sound
		rtp(0x80, 2, 1, append([]byte{0x4B, 0x00}, voice...)...), // R5: code 3 without a frame
		rtp(0x80, 3, 1, append([]byte{0x49}, voice[:39]...)...),  // R3: code 1, odd length
	)
	send(t, edge, peerAddress+":20000",
		rtp(0x80, 0xFFFF, 1, voice...), rtp(0x80, 0, 1, voice...), // sound, over the wrap
		rtp(0x80, 2, 1, voice...),                                      // a hole
		rtp(0x80, 3, 2, voice...),                                      // another SSRC
		rtp(0x90, 4, 1, append([]byte{0xBE, 0xDE, 0, 0}, voice...)...), // an extension
		[]byte("what is this"),
	)
	loopback.stop(t)
	wire.stop(t)
	if n, faults := judgeOpus(t, loopback.file, port, 111); n != 3 || !told(faults, "violate_r3") || !told(faults, "violate_r5") || told(faults, "frame 1:") {
		t.Errorf("%d packets, faults: %q", n, faults)
	}
	w := judgeWire(t, wire.file)
	for _, fault := range []string{"sequence number 2 after 0", "2 SSRCs", "extension 1", "neither STUN"} {
		if !told(w.faults, fault) {
			t.Errorf("%q is not among %q", fault, w.faults)
		}
	}
	if len(w.faults) != 4 || w.sent != 5 {
		t.Errorf("%d RTP packets, faults %q", w.sent, w.faults)
	}
}

func told(faults []string, words string) bool {
	return slices.ContainsFunc(faults, func(f string) bool { return strings.Contains(f, words) })
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
