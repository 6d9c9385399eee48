package recording

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/onelane/onelane/relay/sink"
	"github.com/onelane/onelane/rtpx/ogg"
)

// killed is what a recording leaves when its process is killed, and the offsets at which its pages end.
func killed(t *testing.T, o Options) (b []byte, ends []int64) {
	t.Helper()
	w, path := open(t, o)
	var s script
	s.mark(0)
	s.say(sink.Caller, 0, speech(t, "caller.ogg"))
	s.say(sink.Business, 0, speech(t, "business.ogg"))
	feed(t, w, s.sorted())
	b, err := os.ReadFile(path + partSuffix)
	if err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	pages := ogg.NewPages(f)
	var page ogg.RawPage
	for pages.Next(&page) == nil {
		ends = append(ends, page.Offset+int64(len(page.Bytes)))
	}
	return b, ends[:len(ends)-1] // the last page came with Close
}

func place(t *testing.T, name string, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestKilledRecordingPlaysAsItIsAndHasOnePageASecond(t *testing.T) {
	b, ends := killed(t, Options{})
	if int64(len(b)) != ends[len(ends)-1] {
		t.Errorf("%d bytes in the file, pages end at %v", len(b), ends)
	}
	if n := len(ends) - 2; n < 5 || n > 6 {
		t.Errorf("%d pages for 6 seconds", n)
	}
	pcm := decode(t, place(t, "x.ogg.part", b), 2)
	if got := float64(len(pcm[0])) / sink.SampleRate; got < 5 {
		t.Errorf("%.2f s of 6 were saved", got)
	}
}

func TestFileCutAtAnyByteIsRepaired(t *testing.T) {
	b, ends := killed(t, Options{Flush: 200 * time.Millisecond}) // short pages have fewer bytes to cut at
	lengths := map[int64]int64{}                                 // samples by the number of pages left
	from := ends[len(ends)-3]
	for cut := from; cut <= int64(len(b)); cut++ {
		whole := from
		n := len(ends) - 2
		for i, e := range ends {
			if e <= cut {
				whole, n = e, i+1
			}
		}
		path := place(t, "x.ogg.part", b[:cut])
		r, err := Repair(path)
		if err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		if r.Cut != cut-whole || r.Pages != n || r.Damage != "" || r.Already || r.Channels != 2 {
			t.Fatalf("cut at %d: %+v, want %d bytes cut and %d pages", cut, r, cut-whole, n)
		}
		length := int64(r.Length.Seconds()*sink.SampleRate + 0.5)
		if cut == whole || cut == whole+1 || cut == whole+500 {
			judge(t, r.Path, length, 2)
		} else {
			wellFormed(t, r.Path)
		}
		if before, ok := lengths[whole]; ok && before != length {
			t.Fatalf("cut at %d: %d samples, %d before", cut, length, before)
		}
		lengths[whole] = length
		if err := os.RemoveAll(filepath.Dir(path)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRepairIsIdempotent(t *testing.T) {
	b, _ := killed(t, Options{})
	path := place(t, "x.ogg.part", b[:len(b)-10])
	first, err := Repair(path)
	if err != nil {
		t.Fatal(err)
	}
	once, err := os.ReadFile(first.Path)
	if err != nil {
		t.Fatal(err)
	}
	for _, again := range []string{path, first.Path} {
		r, err := Repair(again)
		if err != nil || !r.Already || r.Length != first.Length || r.Path != first.Path {
			t.Errorf("%+v, %v; first %+v", r, err, first)
		}
	}
	if twice, _ := os.ReadFile(first.Path); string(twice) != string(once) {
		t.Error("the file was changed")
	}
}

func TestRepairOverwritesNothing(t *testing.T) {
	b, _ := killed(t, Options{})
	path := place(t, "x.ogg.part", b)
	other := filepath.Join(filepath.Dir(path), "x.ogg")
	if err := os.WriteFile(other, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := Repair(path)
	if err != nil || filepath.Base(r.Path) != "x-2.ogg" {
		t.Errorf("%+v, %v", r, err)
	}
	if got, _ := os.ReadFile(other); string(got) != "precious" {
		t.Error("overwritten")
	}
}

func TestKillBetweenLinkAndRemoval(t *testing.T) {
	path, _ := record(t, Options{}, []sink.Frame{{At: 0}, {At: 48000}})
	if err := os.Link(path, path+partSuffix); err != nil {
		t.Fatal(err)
	}
	r, err := Repair(path + partSuffix)
	if err != nil || r.Path != path {
		t.Errorf("%+v, %v", r, err)
	}
	if got := names(t, filepath.Dir(path)); got != "[call.ogg]" {
		t.Error(got)
	}
}

func TestKillBeforeTheFirstPage(t *testing.T) {
	for _, channels := range []Channels{Stereo, MonoCaller} {
		b, ends := killed(t, Options{Channels: channels})
		path := place(t, "x.ogg.part", b[:ends[1]+10])
		r, err := Repair(path)
		if err != nil || r.Length != 0 {
			t.Fatalf("%+v, %v", r, err)
		}
		wellFormed(t, r.Path)
		run(t, "opusinfo", r.Path)
	}
}

func TestRepairRefusesWhatIsNotOurs(t *testing.T) {
	foreign, err := os.ReadFile("testdata/caller.ogg")
	if err != nil {
		t.Fatal(err)
	}
	b, ends := killed(t, Options{})
	for name, content := range map[string][]byte{
		"opusenc.ogg":         foreign,
		"opusenc.ogg.part":    foreign[:5000],
		"empty.ogg.part":      nil,
		"headers.ogg.part":    b[:ends[1]-1],
		"text.ogg":            []byte(strings.Repeat("not a recording ", 100)),
		"other-name.wav":      b,
		"other-name.wav.part": b,
	} {
		path := place(t, name, content)
		if r, err := Repair(path); !errors.Is(err, ErrNotOurs) {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
		if after, _ := os.ReadFile(path); string(after) != string(content) {
			t.Errorf("%s was changed", name)
		}
	}
	if _, err := Repair(t.TempDir()); err == nil {
		t.Error("a folder was repaired")
	}
	if _, err := Repair(filepath.Join(t.TempDir(), "none.ogg.part")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

func TestRepairLeavesALiveRecordingAlone(t *testing.T) {
	w, path := open(t, Options{})
	if _, err := Repair(path + partSuffix); !errors.Is(err, errBusy) {
		t.Error(err)
	}
	feed(t, w, []sink.Frame{{At: 0}, {At: 96000}})
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	judge(t, path, 96000, 2)
}

func TestDamageInTheMiddleIsReportedAndWhatFollowsKept(t *testing.T) {
	b, ends := killed(t, Options{})
	b[ends[3]+200] ^= 1
	r, err := Repair(place(t, "x.ogg.part", b))
	if err != nil || r.Damage == "" || r.Cut != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	if after, _ := os.ReadFile(r.Path); len(after) != len(b) {
		t.Errorf("%d bytes of %d", len(after), len(b))
	}
}
