package opus

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The recordings under testdata are speech by espeak-ng ("Good morning, this is the order desk.") encoded by opusenc 0.2 with
// libopus 1.3.1: --framesize as in the name, 12 to 48 kbit/s, DTX by --set-ctl-int 4016=1.

var update = flag.Bool("update", false, "write testdata/cuts.txt anew; run it where opusdec is installed, which then judges the same cuts")

// recording is what a file has.
type recording struct {
	head, tags []byte
	packets    [][]byte
	granule    uint64 // of the last page: where playing ends
}

func recordings(t testing.TB) map[string]recording {
	t.Helper()
	names, err := filepath.Glob("testdata/*.opus")
	if err != nil || len(names) == 0 {
		t.Fatal("no recordings", err)
	}
	all := map[string]recording{}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all[strings.TrimSuffix(filepath.Base(name), ".opus")] = readOgg(b)
	}
	// Its bandwidth changes after 18 packets; without the first one, the change falls into the middle of 20 ms.
	r := all["hybrid-10ms"]
	r.packets = r.packets[1:]
	all["hybrid-10ms-late"] = r
	return all
}

// readOgg and writeOgg are the little of RFC 3533 that these tests need: one stream, and one packet a page when writing.
func readOgg(b []byte) (r recording) {
	var all [][]byte
	var packet []byte
	for len(b) > 0 {
		r.granule = binary.LittleEndian.Uint64(b[6:])
		lacing := b[27 : 27+int(b[26])]
		b = b[27+len(lacing):]
		for _, n := range lacing {
			packet = append(packet, b[:n]...)
			b = b[n:]
			if n < 255 {
				all, packet = append(all, packet), nil
			}
		}
	}
	r.head, r.tags, r.packets = all[0], all[1], all[2:]
	return r
}

func writeOgg(r recording, samples func([]byte) int) []byte {
	var out []byte
	granule := uint64(0)
	for i, packet := range append([][]byte{r.head, r.tags}, r.packets...) {
		var flags byte
		if i == 0 {
			flags = 2
		}
		if i > 1 {
			granule += uint64(samples(packet))
		}
		if i == len(r.packets)+1 {
			flags, granule = 4, min(granule, r.granule)
		}
		page := append([]byte("OggS\x00"), flags)
		page = binary.LittleEndian.AppendUint64(page, granule)
		page = binary.LittleEndian.AppendUint32(page, 7)
		page = binary.LittleEndian.AppendUint32(page, uint32(i))
		page = append(page, 0, 0, 0, 0, byte(len(packet)/255+1))
		page = append(page, bytes.Repeat([]byte{255}, len(packet)/255)...)
		page = append(append(page, byte(len(packet)%255)), packet...)
		var crc uint32
		for _, b := range page {
			crc ^= uint32(b) << 24
			for range 8 {
				crc = crc<<1 ^ 0x04C11DB7*(crc>>31)
			}
		}
		binary.LittleEndian.PutUint32(page[22:], crc)
		out = append(out, page...)
	}
	return out
}

func packetSamples(b []byte) int {
	n, _ := Samples(b)
	return n
}

// cut is a recording in packets of 20 ms, and where the first concealed frame begins (-1: none).
func cut(t *testing.T, r recording) (recording, *Cutter, int) {
	t.Helper()
	c, concealed, at := &Cutter{}, -1, 0
	out := r
	out.packets = nil
	for _, b := range r.packets {
		if f := c.Push(b); f != OK {
			t.Fatal(f)
		}
		if concealed < 0 && c.Concealed > 0 {
			concealed = at
		}
		at += packetSamples(b)
		out.packets = append(out.packets, take(t, c)...)
	}
	if c.Dropped != 0 {
		t.Errorf("dropped %d samples", c.Dropped)
	}
	return out, c, concealed
}

// TestCutsOfRealSpeech compares with goldens, whose packets opusdec has judged.
func TestCutsOfRealSpeech(t *testing.T) {
	var got strings.Builder
	all := recordings(t)
	for _, name := range sorted(all) {
		out, c, _ := cut(t, all[name])
		sum := sha256.New()
		total := 0
		for _, b := range out.packets {
			sum.Write(binary.BigEndian.AppendUint16(nil, uint16(len(b))))
			sum.Write(b)
			total += packetSamples(b)
		}
		fmt.Fprintf(&got, "%s packets %d->%d samples %d pending %d concealed %d sha256 %s\n", name, len(all[name].packets), len(out.packets),
			total, c.Pending(), c.Concealed, hex.EncodeToString(sum.Sum(nil)))
	}
	const golden = "testdata/cuts.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("got\n%swant\n%s", got.String(), want)
	}
}

func sorted(all map[string]recording) []string { return slices.Sorted(maps.Keys(all)) }

// decode has opusdec decode: 16-bit samples, channels interleaved.
func decode(t *testing.T, r recording, samples func([]byte) int) []int16 {
	t.Helper()
	opusdec, err := exec.LookPath("opusdec")
	if err != nil {
		t.Skip("opusdec (Debian package opus-tools) is not installed")
	}
	in, out := filepath.Join(t.TempDir(), "in.opus"), filepath.Join(t.TempDir(), "out.raw")
	if err := os.WriteFile(in, writeOgg(r, samples), 0o644); err != nil {
		t.Fatal(err)
	}
	if msg, err := exec.Command(opusdec, "--quiet", "--no-dither", "--rate", "48000", in, out).CombinedOutput(); err != nil || len(msg) > 0 {
		t.Fatalf("opusdec: %v: %s", err, msg)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	pcm := make([]int16, len(b)/2)
	for i := range pcm {
		pcm[i] = int16(binary.LittleEndian.Uint16(b[2*i:]))
	}
	return pcm
}

func preSkip(r recording) int { return int(binary.LittleEndian.Uint16(r.head[10:])) }

// same is how many samples a and b begin with alike.
func same(a, b []int16) int {
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return n
}

func loud(pcm []int16) bool {
	for _, s := range pcm {
		if s > 1000 {
			return true
		}
	}
	return false
}

// TestCuttingDoesNotChangeWhatIsHeard has opusdec decode the recording and its cut: sample by sample the same.
func TestCuttingDoesNotChangeWhatIsHeard(t *testing.T) {
	all := recordings(t)
	for _, name := range sorted(all) {
		t.Run(name, func(t *testing.T) {
			r := all[name]
			channels := int(r.head[9])
			out, c, concealed := cut(t, r)
			want, got := decode(t, r, packetSamples), decode(t, out, packetSamples)
			if missing := len(want) - len(got); missing < 0 || missing > c.Pending()*channels {
				t.Errorf("%d samples, want %d but for %d pending", len(got)/channels, len(want)/channels, c.Pending())
			}
			if !loud(want) {
				t.Error("the recording is silent")
			}
			end := len(got)
			if concealed >= 0 {
				// What precedes the concealed frame is heard as it was, and 200 ms later the decoder has found back.
				end = (concealed - preSkip(r)) * channels
				var signal, noise float64
				for i := end + 9600*channels; i < len(got); i++ {
					d := float64(got[i]) - float64(want[i])
					signal, noise = signal+float64(want[i])*float64(want[i]), noise+d*d
				}
				if noise > signal/100 {
					t.Errorf("after the change: noise %g of %g", noise, signal)
				}
			}
			if n := same(got, want); n < end {
				t.Errorf("differs after %d samples of %d", n/channels, end/channels)
			}
		})
	}
}

func TestJoiningDoesNotChangeWhatIsHeard(t *testing.T) {
	for name, r := range recordings(t) {
		t.Run(name, func(t *testing.T) {
			out := r
			out.packets = nil
			for rest := r.packets; len(rest) > 0; {
				n := 1 // as many as can be joined
				packet, f := Join(nil, rest[0])
				for ; f == OK && n < len(rest); n++ {
					longer, g := Join(nil, rest[:n+1]...)
					if g != OK {
						break
					}
					packet = longer
				}
				if f != OK {
					t.Fatal(f)
				}
				out.packets, rest = append(out.packets, packet), rest[n:]
			}
			want, got := decode(t, r, packetSamples), decode(t, out, packetSamples)
			if len(got) != len(want) || same(got, want) != len(want) {
				t.Errorf("differs after %d samples of %d; %d", same(got, want), len(want), len(got))
			}
		})
	}
}

// TestTwoMonoStreamsAreTwoChannels has opusdec judge AppendSelfDelimited: RFC 7845 family 1, 2 channels, 2 streams, 0 coupled.
func TestTwoMonoStreamsAreTwoChannels(t *testing.T) {
	all := recordings(t)
	for _, pair := range [][2]string{{"hybrid-60ms-dtx", "silk-60ms-dtx"}, {"silk-60ms", "hybrid-60ms"}} {
		left, right := all[pair[0]], all[pair[1]]
		n := min(len(left.packets), len(right.packets)) - 1
		left.packets, right.packets = left.packets[:n], right.packets[:n]
		both := left
		both.head = append(bytes.Clone(left.head[:18]), 1, 2, 0, 0, 1)
		both.head[9] = 2
		both.packets = nil
		for i := range n {
			b, f := AppendSelfDelimited(nil, left.packets[i])
			if f != OK {
				t.Fatal(f)
			}
			both.packets = append(both.packets, append(b, right.packets[i]...))
		}
		got := decode(t, both, packetSamples)
		for channel, r := range []recording{left, right} {
			want := decode(t, r, packetSamples)
			alone := make([]int16, 0, len(got)/2)
			for i := channel; i < len(got); i += 2 {
				alone = append(alone, got[i])
			}
			if len(alone) != len(want) || same(alone, want) != len(want) || !loud(want) {
				t.Errorf("%v, channel %d: differs after %d of %d samples; %d", pair, channel, same(alone, want), len(want), len(alone))
			}
		}
	}
}

func TestSilenceIsDigitalSilence(t *testing.T) {
	for low := range TOC(64) {
		toc := low << 2
		if toc.FrameSamples() != FrameSamples {
			continue
		}
		r := recording{head: []byte("OpusHead\x01\x02\x00\x00\x80\xBB\x00\x00\x00\x00\x00"), tags: []byte("OpusTags\x00\x00\x00\x00\x00\x00\x00\x00"), granule: 10 * FrameSamples}
		for range 10 {
			r.packets = append(r.packets, SilenceLike(nil, toc))
		}
		pcm := decode(t, r, packetSamples)
		if len(pcm) != 2*10*FrameSamples || same(pcm, make([]int16, len(pcm))) != len(pcm) {
			t.Errorf("TOC %#02x: silence up to %d of %d samples", byte(toc), same(pcm, make([]int16, len(pcm))), len(pcm))
		}
	}
}

func TestConcealmentKeepsTime(t *testing.T) {
	for name, r := range recordings(t) {
		out, _, _ := cut(t, r)
		before := out
		before.packets = slices.Clone(out.packets)
		for i := range out.packets {
			if i%10 == 9 && packetSamples(out.packets[i]) == FrameSamples {
				out.packets[i] = PLC(nil, TOC(out.packets[i][0]))
			}
		}
		if a, b := decode(t, before, packetSamples), decode(t, out, packetSamples); len(a) != len(b) || len(a) == 0 {
			t.Errorf("%s: %d samples, want %d", name, len(b), len(a))
		}
	}
}
