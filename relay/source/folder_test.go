package source

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/onelane/onelane/rtpx/opus"
)

func folder(t *testing.T) (*Folder, string) {
	t.Helper()
	dir := t.TempDir()
	f, err := OpenFolder(dir, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f, dir
}

func put(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestOnlyFilesOfTheFolderAreOpened(t *testing.T) {
	f, dir := folder(t)
	outside := filepath.Join(t.TempDir(), "secret.ogg")
	put(t, outside, fixture(t, "hello.ogg"))
	put(t, filepath.Join(dir, "good one.ogg"), fixture(t, "hello.ogg"))
	put(t, filepath.Join(dir, ".hidden"), fixture(t, "hello.ogg"))
	for link, target := range map[string]string{"out.ogg": outside, "in.ogg": "good one.ogg"} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Open("good one.ogg"); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"", ".", "..", ".hidden", "../secret.ogg", outside, "folder/x", "a\x00", `a\b`, "out.ogg", "in.ogg", "folder", strings.Repeat("x", 256)} {
		if _, err := f.Open(name); !errors.Is(err, ErrName) {
			t.Errorf("%q: %v", name, err)
		}
	}
	_, err := f.Open("none.ogg")
	if !errors.Is(err, fs.ErrNotExist) || strings.Contains(err.Error(), dir) {
		t.Error(err)
	}
}

func TestFileIsReadOnceUntilItChanges(t *testing.T) {
	f, dir := folder(t)
	path := filepath.Join(dir, "a.ogg")
	put(t, path, fixture(t, "hello.ogg"))
	one, err := f.Open("a.ogg")
	if err != nil {
		t.Fatal(err)
	}
	if two, _ := f.Open("a.ogg"); two != one {
		t.Error("read again")
	}
	put(t, path, fixture(t, "frames10.ogg"))
	three, err := f.Open("a.ogg")
	if err != nil || three == one {
		t.Errorf("the old clip after a change of size: %v", err)
	}
	if err := os.Chtimes(path, time.Time{}, time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if four, _ := f.Open("a.ogg"); four == three {
		t.Error("the old clip after a change of time")
	}
	put(t, path, []byte("no clip"))
	if _, err := f.Open("a.ogg"); !errors.Is(err, ErrClip) {
		t.Error(err)
	}
	if one.Frames() != 51 {
		t.Error("a clip in use changed")
	}
}

func TestCacheIsBounded(t *testing.T) {
	f, dir := folder(t)
	small := write(t, mono, 0, opus.Silence20)
	for i := range cacheClips + 20 {
		name := "clip" + string(rune('a'+i%26)) + strings.Repeat("x", i/26) + ".ogg"
		put(t, filepath.Join(dir, name), small)
		if _, err := f.Open(name); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Open("clipa.ogg"); err != nil { // always in use
			t.Fatal(err)
		}
	}
	bytes := 0
	for _, k := range f.clips {
		bytes += k.clip.Size()
	}
	if len(f.clips) != cacheClips || bytes != f.bytes {
		t.Errorf("%d clips, %d bytes counted as %d", len(f.clips), bytes, f.bytes)
	}
	if f.clips["clipa.ogg"] == nil || f.clips["clipb.ogg"] != nil {
		t.Error("not the longest unused clip was forgotten")
	}
}

func TestFolderIsSharedByCalls(t *testing.T) {
	f, dir := folder(t)
	put(t, filepath.Join(dir, "a.ogg"), fixture(t, "hello.ogg"))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 20 {
				if c, err := f.Open("a.ogg"); err != nil || c.Frames() != 51 {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}
