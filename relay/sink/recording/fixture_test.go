package recording

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/onelane/onelane/relay/sink"
	"github.com/onelane/onelane/rtpx/ogg"
	"github.com/onelane/onelane/rtpx/opus"
)

// run runs a judge that is not ours.
func run(t testing.TB, name string, args ...string) string {
	t.Helper()
	if os.Getenv("ONELANE_NO_TOOLS") == "1" {
		t.Skip("ONELANE_NO_TOOLS=1: not judged by " + name)
	}
	if _, err := exec.LookPath(name); err != nil {
		t.Fatalf("%s is missing: install opus-tools and ffmpeg (make deps), or set ONELANE_NO_TOOLS=1 to go without", name)
	}
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// speech reads the packets of a file made by espeak-ng and opusenc.
func speech(t testing.TB, name string) [][]byte {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	r := ogg.NewReader(bytes.NewReader(b))
	var packets [][]byte
	for {
		p, _, err := r.Next()
		if errors.Is(err, io.EOF) {
			return packets[2:]
		}
		if err != nil {
			t.Fatal(err)
		}
		packets = append(packets, bytes.Clone(p))
	}
}

// script is a call: frames in any order, sorted by At when they are fed.
type script []sink.Frame

func (s *script) mark(at int64) { *s = append(*s, sink.Frame{At: at}) }

// say puts packets one after the other, as the edge does: cut where that can be done.
func (s *script) say(d sink.Direction, at int64, packets [][]byte) int64 {
	var c opus.Cutter
	for _, p := range packets {
		c.Push(p)
		for {
			b, n, uncut, ok := c.Next()
			if !ok {
				break
			}
			*s = append(*s, sink.Frame{At: at, Samples: int32(n), Direction: d, Uncut: uncut, Payload: bytes.Clone(b)})
			at += int64(n)
		}
	}
	return at
}

func (s script) sorted() []sink.Frame {
	f := slices.Clone(s)
	slices.SortStableFunc(f, func(a, b sink.Frame) int {
		return int(a.At - b.At)
	})
	return f
}

func open(t testing.TB, o Options) (*Writer, string) {
	t.Helper()
	dir := t.TempDir()
	if o.Folder == nil {
		root, err := os.OpenRoot(dir)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = root.Close() })
		o.Folder = root
	}
	if o.Name == "" {
		o.Name = "call"
	}
	w, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return w, filepath.Join(o.Folder.Name(), w.Name())
}

// feed gives frames in batches of half a second.
func feed(t testing.TB, w *Writer, frames []sink.Frame) {
	t.Helper()
	for batch := range slices.Chunk(frames, 50) {
		if err := w.Write(batch); err != nil {
			t.Fatal(err)
		}
	}
}

// record makes a whole recording.
func record(t testing.TB, o Options, frames []sink.Frame) (path string, c Counters) {
	t.Helper()
	w, path := open(t, o)
	feed(t, w, frames)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return path, w.Counters
}

var playback = regexp.MustCompile(`Playback length: (?:(\d+)h:)?(\d+)m:(\d+)\.(\d+)s`)

// judge has three tools say how long the file is, and returns what opusdec decodes: one slice a channel.
func judge(t testing.TB, path string, length int64, channels int) [][]float64 {
	t.Helper()
	want := time.Duration(length) * time.Second / sink.SampleRate
	near := func(tool string, got time.Duration) {
		if d := (got - want).Abs(); d > 20*time.Millisecond {
			t.Errorf("%s: %v long, want %v", tool, got, want)
		}
	}
	info := run(t, "opusinfo", path)
	if strings.Contains(info, "WARNING") || strings.Contains(info, "ERROR") {
		t.Errorf("opusinfo complains:\n%s", info)
	}
	if m := playback.FindStringSubmatch(info); m == nil {
		t.Errorf("opusinfo tells no length:\n%s", info)
	} else {
		d, err := time.ParseDuration("0" + m[1] + "h" + m[2] + "m" + m[3] + "." + m[4] + "s")
		if err != nil {
			t.Error(err)
		}
		near("opusinfo", d)
	}
	var probe struct {
		Format  struct{ Duration string }
		Streams []struct{ Channels int }
	}
	if err := json.Unmarshal([]byte(run(t, "ffprobe", "-v", "error", "-of", "json", "-show_format", "-show_streams", path)), &probe); err != nil {
		t.Fatal(err)
	}
	seconds, _ := strconv.ParseFloat(probe.Format.Duration, 64)
	near("ffprobe", time.Duration(seconds*float64(time.Second)))
	if probe.Streams[0].Channels != channels {
		t.Errorf("ffprobe: %d channels", probe.Streams[0].Channels)
	}
	if out := run(t, "ffmpeg", "-v", "error", "-i", path, "-f", "null", "-"); out != "" {
		t.Errorf("ffmpeg complains: %s", out)
	}
	pcm := decode(t, path, channels)
	if got := int64(len(pcm[0])); got != length {
		t.Errorf("opusdec: %d samples, want %d", got, length)
	}
	wellFormed(t, path)
	return pcm
}

// wellFormed reads the file with our reader: every stream of every packet valid, both of one duration, granules exact.
func wellFormed(t testing.TB, path string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	r := ogg.NewReader(bytes.NewReader(b))
	head, _, err := r.Next()
	if err != nil {
		t.Fatal(err)
	}
	h, err := ogg.ParseHead(head)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.Next(); err != nil {
		t.Fatal(err)
	}
	total := int64(0)
	for {
		packet, granule, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		samples := int64(0)
		rest := packet
		if h.Channels == 2 {
			var left opus.Packet
			n, f := opus.ParseSelfDelimited(packet, &left)
			if f != opus.OK {
				t.Fatalf("left stream at %d: %v", total, f)
			}
			samples = int64(left.Samples())
			rest = packet[n:]
		}
		var last opus.Packet
		if f := opus.Parse(rest, &last); f != opus.OK {
			t.Fatalf("last stream at %d: %v", total, f)
		}
		if samples != 0 && samples != int64(last.Samples()) {
			t.Fatalf("at %d: left has %d samples, right %d", total, samples, last.Samples())
		}
		total += int64(last.Samples())
		if granule != ogg.NoGranule && granule != total && !r.Complete() {
			t.Fatalf("granule %d after %d samples", granule, total)
		}
	}
	if !r.Complete() {
		t.Error("no last page")
	}
}

func decode(t testing.TB, path string, channels int) [][]float64 {
	t.Helper()
	raw := filepath.Join(t.TempDir(), "out.raw")
	run(t, "opusdec", "--quiet", "--rate", "48000", "--no-dither", path, raw)
	b, err := os.ReadFile(raw)
	if err != nil {
		t.Fatal(err)
	}
	pcm := make([][]float64, channels)
	for i := 0; i+1 < len(b); i += 2 {
		c := i / 2 % channels
		pcm[c] = append(pcm[c], float64(int16(binary.LittleEndian.Uint16(b[i:]))))
	}
	return pcm
}

// original decodes a fixture. Its sample 0 is sample 312 of its first packet.
func original(t testing.TB, name string) []float64 {
	t.Helper()
	return decode(t, "testdata/"+name, 1)[0]
}

const fixturePreSkip = 312

// likeness is the highest normalised correlation of want with got around the place, and by how many samples it lies off.
func likeness(got []float64, place int64, want []float64) (best float64, off int64) {
	for d := int64(-2400); d <= 2400; d += 8 {
		if c := correlate(got, place+d, want, 61); c > best {
			best, off = c, d
		}
	}
	best = 0
	for around, d := off, off-8; d <= around+8; d++ {
		if c := correlate(got, place+d, want, 7); c > best {
			best, off = c, d
		}
	}
	return best, off
}

func correlate(got []float64, place int64, want []float64, step int) float64 {
	var xy, xx, yy float64
	for i := 0; i < len(want); i += step {
		j := place + int64(i)
		if j < 0 || j >= int64(len(got)) {
			continue
		}
		xy += got[j] * want[i]
		xx += got[j] * got[j]
		yy += want[i] * want[i]
	}
	if xx == 0 || yy == 0 {
		return 0
	}
	return xy / math.Sqrt(xx*yy)
}

// hears asserts that a channel has a fixture's speech at a place, at most 10 ms off.
func hears(t testing.TB, channel []float64, place int64, want []float64, atLeast float64) {
	t.Helper()
	c, off := likeness(channel, place+fixturePreSkip, want)
	if c < atLeast || off < -500 || off > 500 {
		t.Errorf("likeness %.3f at %+d samples, want %.2f within 10 ms", c, off, atLeast)
	}
}

// peak is the loudest sample between two positions.
func peak(channel []float64, from, to int64) float64 {
	m := 0.0
	for _, v := range channel[max(0, from):min(int64(len(channel)), to)] {
		m = max(m, math.Abs(v))
	}
	return m
}

func samples(seconds float64) int64 { return int64(seconds * sink.SampleRate) }

func names(t testing.TB, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var s []string
	for _, e := range entries {
		s = append(s, e.Name())
	}
	return fmt.Sprint(s)
}
