package source

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/onelane/onelane/rtpx/ogg"
	"github.com/onelane/onelane/rtpx/opus"
)

func fixture(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name) // made by espeak-ng and opusenc
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// write makes a file of packets.
func write(t testing.TB, head ogg.Head, end int64, packets ...[]byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := ogg.NewWriter(&out, 1, head, ogg.Tags{Vendor: "test"})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range packets {
		n, _ := opus.Samples(p)
		if err := w.Packet(p, n); err != nil {
			t.Fatal(err)
		}
	}
	if end > 0 {
		err = w.EndAt(end)
	} else {
		err = w.End()
	}
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

var mono = ogg.Head{Channels: 1, PreSkip: 312, SampleRate: 48000}

func TestClipsAreFramesOf20ms(t *testing.T) {
	for name, want := range map[string]struct {
		frames int
		stereo bool
	}{
		"hello.ogg":    {51, false}, // 1 s and the pre-skip
		"frames10.ogg": {60, false},
		"stereo.ogg":   {61, true},
	} {
		c, err := ReadClip(bytes.NewReader(fixture(t, name)), time.Minute)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if d := c.Frames() - want.frames; d < -1 || d > 1 || c.Stereo() != want.stereo {
			t.Errorf("%s: %d frames, stereo %v", name, c.Frames(), c.Stereo())
		}
		if c.Duration() != time.Duration(c.Frames())*20*time.Millisecond {
			t.Errorf("%s: %v", name, c.Duration())
		}
		for i := range c.Frames() {
			if n, f := opus.Samples(c.Frame(i)); n != 960 || f != opus.OK {
				t.Errorf("%s: frame %d: %d samples, %v", name, i, n, f)
			}
		}
	}
}

func TestPreSkipAndEndAreCutByWholeFrames(t *testing.T) {
	packets := make([][]byte, 10)
	for i := range packets {
		packets[i] = []byte{0xF8, byte(i), 0xFE}
	}
	head := mono
	head.PreSkip = 3840 + 500
	c, err := ReadClip(bytes.NewReader(write(t, head, 960*8+100, packets...)), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if c.Frames() != 5 || c.Frame(0)[1] != 4 || c.Frame(4)[1] != 8 {
		t.Errorf("%d frames, from %x to %x", c.Frames(), c.Frame(0), c.Frame(c.Frames()-1))
	}
}

func TestFilesThatAreRefusedSayWhatToDo(t *testing.T) {
	silent := opus.Silence20
	two := ogg.Head{Channels: 2, Family: 1, Streams: 2, Mapping: [8]uint8{0, 1}}
	loud := mono
	loud.Gain = 256
	var vorbis ogg.Page
	vorbis.Add([]byte("\x01vorbis....................."))
	damaged := fixture(t, "hello.ogg")
	damaged[1500] ^= 1
	good := write(t, mono, 0, silent)
	for name, c := range map[string]struct {
		file []byte
		want string
	}{
		"60 ms":     {fixture(t, "frames60.ogg"), "--framesize 20"},
		"streams":   {write(t, two, 0, silent), "--downmix-mono"},
		"gain":      {write(t, loud, 0, silent), "gain of 1.0 dB"},
		"vorbis":    {vorbis.Encode(ogg.First, 0, 1, 0), "not Opus"},
		"wave":      {[]byte("RIFF....WAVEfmt ............................"), "opusenc"},
		"empty":     {nil, "empty"},
		"no audio":  {write(t, mono, 0), "no audio"},
		"damaged":   {damaged, "copy the file again"},
		"chained":   {bytes.Repeat(good, 2), "more than one stream"},
		"invalid":   {write(t, mono, 0, silent, []byte{0xFB, 0x00}), "R5"},
		"too long":  {write(t, mono, 0, bytes.Split(bytes.Repeat([]byte("\xF8\xFF|"), 60), []byte("|"))[:60]...), "longer than 1s"},
		"cut early": {good[:30], "not an Ogg file"},
	} {
		_, err := ReadClip(bytes.NewReader(c.file), time.Second)
		if !errors.Is(err, ErrClip) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want %q in it", name, err, c.want)
		}
	}
	broken := errors.New("disk gone")
	for _, n := range []int64{0, 60, 400} {
		_, err := ReadClip(io.MultiReader(io.LimitReader(bytes.NewReader(fixture(t, "hello.ogg")), n), iotest.ErrReader(broken)), time.Second)
		if !errors.Is(err, broken) || errors.Is(err, ErrClip) {
			t.Errorf("after %d bytes: %v", n, err)
		}
	}
}

func TestRecordingThatWasCutIsPlayedAsFarAsItGoes(t *testing.T) {
	b := write(t, mono, 0, bytes.Split(bytes.Repeat([]byte("\xF8\xFF\xFE|"), 120), []byte("|"))[:120]...)
	x, err := ogg.Scan(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	c, err := ReadClip(bytes.NewReader(b[:x.Last]), time.Minute)
	if err != nil || c.Frames() != 100 {
		t.Errorf("%v, %v", c, err)
	}
}

func FuzzReadClip(f *testing.F) {
	for _, name := range []string{"hello.ogg", "frames60.ogg", "stereo.ogg"} {
		f.Add(fixture(f, name))
	}
	f.Add(write(f, mono, 500, opus.Silence20))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := ReadClip(bytes.NewReader(b), time.Second)
		if err != nil {
			return
		}
		if c.Frames() == 0 || c.Frames() > 51 {
			t.Fatalf("%d frames", c.Frames())
		}
		var p opus.Packet
		for i := range c.Frames() {
			if fault := opus.Parse(c.Frame(i), &p); fault != opus.OK || p.Samples() != 960 {
				t.Fatalf("frame %d: %v, %d samples", i, fault, p.Samples())
			}
		}
	})
}
