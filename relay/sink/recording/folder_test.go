package recording

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/onelane/onelane/relay/sink"
	"github.com/onelane/onelane/relay/sink/sinktest"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestContract(t *testing.T) {
	for name, channels := range map[string]Channels{"Stereo": Stereo, "MonoCaller": MonoCaller, "MonoBusiness": MonoBusiness} {
		t.Run(name, func(t *testing.T) {
			sinktest.Run(t, func() (sink.Writer, sinktest.Check) {
				w, path := open(t, Options{Channels: channels})
				return w, func(t *testing.T, given []sink.Frame) {
					wellFormed(t, path)
					if len(given) == 0 {
						return
					}
					r, err := Repair(path) // tells the length, changes nothing
					if err != nil || !r.Already {
						t.Fatalf("%+v, %v", r, err)
					}
					want := given[len(given)-1].At - given[0].At
					if got := int64(r.Length.Seconds()*sink.SampleRate + 0.5); got != want {
						t.Errorf("%d samples, want %d", got, want)
					}
				}
			})
		})
	}
}

func root(t *testing.T) (*os.Root, string) {
	t.Helper()
	dir := t.TempDir()
	r, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r, dir
}

func TestNamesThatAreRefused(t *testing.T) {
	r, dir := root(t)
	for _, name := range []string{"", ".", "..", ".hidden", "../x", "/etc/x", "a/b", `a\b`, "a\x00b", "a b", "ä", "a\nb", "a:b", strings.Repeat("x", maxName+1)} {
		if _, err := Open(Options{Folder: r, Name: name}); err == nil {
			t.Errorf("%q was taken", name)
		}
	}
	if got := names(t, dir); got != "[]" {
		t.Errorf("files were made: %s", got)
	}
	if _, err := Open(Options{Name: "x"}); err == nil {
		t.Error("no folder was taken")
	}
	if _, err := Open(Options{Folder: r, Name: "x", Channels: 7}); err == nil {
		t.Error("channels 7 were taken")
	}
}

func TestTakenNamesGetANumber(t *testing.T) {
	r, dir := root(t)
	precious := filepath.Join(dir, "call.ogg")
	if err := os.WriteFile(precious, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	one, _ := open(t, Options{Folder: r})
	two, _ := open(t, Options{Folder: r})
	if one.Name() != "call-2.ogg" || two.Name() != "call-3.ogg" {
		t.Errorf("%s, %s", one.Name(), two.Name())
	}
	// Somebody makes a file of the final name while the recording runs.
	if err := os.WriteFile(filepath.Join(dir, "call-3.ogg"), []byte("precious too"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, w := range []*Writer{one, two} {
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if two.Name() == "call-3.ogg" {
		t.Error("the name was not changed")
	}
	for name, want := range map[string]string{"call.ogg": "precious", "call-3.ogg": "precious too"} {
		if b, _ := os.ReadFile(filepath.Join(dir, name)); string(b) != want {
			t.Errorf("%s was overwritten", name)
		}
	}
	wellFormed(t, filepath.Join(dir, two.Name()))
	if got := names(t, dir); strings.Contains(got, partSuffix) {
		t.Errorf("left behind: %s", got)
	}
}

func TestSymlinksAreNotWrittenThrough(t *testing.T) {
	r, dir := root(t)
	outside := filepath.Join(t.TempDir(), "outside")
	for _, link := range []string{"call.ogg.part", "call-2.ogg"} {
		if err := os.Symlink(outside, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	w, _ := open(t, Options{Folder: r})
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if w.Name() != "call-3.ogg" {
		t.Errorf("named %s", w.Name())
	}
	if _, err := os.Lstat(outside); err == nil {
		t.Error("the file outside was made")
	}
	if _, err := Repair(filepath.Join(dir, "call.ogg.part")); err == nil {
		t.Error("a symlink was repaired")
	}
}

func TestTagsSayTheLayoutAndNothingAboutTheCall(t *testing.T) {
	path, _ := record(t, Options{}, []sink.Frame{{At: 0}, {At: 48000}})
	info := run(t, "opusinfo", path)
	if !strings.Contains(info, "CHANNEL_LAYOUT=caller,business") || !strings.Contains(info, "Encoded with onelane") {
		t.Errorf("%s", info)
	}
}
