package source

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"
	"time"
)

const (
	// cacheBytes bounds the clips that are kept: seven hours at 20 kbit/s. A clip in use lives on outside.
	cacheBytes = 64 << 20
	// cacheClips bounds how many are kept, since each is looked at when room is made.
	cacheClips = 256
	// maxName is the longest file name of the usual file systems.
	maxName = 255
)

// ErrName: the name is not that of a file in the folder.
var ErrName = errors.New("not the name of a file in the player's folder")

// Folder gives clips by file name. It reads a file once and again when its size or modification time changes. Safe for concurrent use.
type Folder struct {
	root *os.Root
	max  time.Duration

	mu    sync.Mutex // guards what follows; never held while a file is read
	clips map[string]*kept
	bytes int
	turn  uint64
}

type kept struct {
	clip     *Clip
	size     int64
	modified time.Time
	used     uint64
}

// OpenFolder opens a folder of clips that play for at most max each.
func OpenFolder(path string, max time.Duration) (*Folder, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, fmt.Errorf("opening the player's folder: %w", err)
	}
	return &Folder{root: root, max: max, clips: make(map[string]*kept)}, nil
}

// Close closes the folder. Clips stay good.
func (f *Folder) Close() error { return f.root.Close() }

// Open gives a clip. The name is that of a regular file right in the folder; paths and symlinks are refused with ErrName, files that
// are no clip with ErrClip, missing ones with fs.ErrNotExist.
func (f *Folder) Open(name string) (*Clip, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	found, err := f.root.Lstat(name)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", name, reason(err))
	}
	if !found.Mode().IsRegular() {
		return nil, fmt.Errorf("%q: %w: it is no regular file; put a copy there", name, ErrName)
	}
	if c := f.cached(name, found); c != nil {
		return c, nil
	}
	file, err := f.root.Open(name)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", name, reason(err))
	}
	defer file.Close()
	opened, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("%q: %w", name, reason(err))
	}
	if !os.SameFile(found, opened) { // exchanged for a symlink in between
		return nil, fmt.Errorf("%q: %w: it changed while it was opened", name, ErrName)
	}
	clip, err := ReadClip(file, f.max)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", name, err)
	}
	f.keep(name, opened, clip)
	return clip, nil
}

// reason leaves the path of the folder out of an error, which goes to whoever asked for the clip.
func reason(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

func checkName(name string) error {
	switch {
	case name == "" || len(name) > maxName:
		return fmt.Errorf("%w: it has %d bytes; give 1 to %d", ErrName, len(name), maxName)
	case strings.ContainsAny(name, "/\\\x00"):
		return fmt.Errorf("%w: %q has a slash, backslash or NUL; put the file right into the folder", ErrName, name)
	case name[0] == '.':
		return fmt.Errorf("%w: %q begins with a dot", ErrName, name)
	}
	return nil
}

func (f *Folder) cached(name string, now fs.FileInfo) *Clip {
	f.mu.Lock()
	defer f.mu.Unlock()
	k := f.clips[name]
	if k == nil || k.size != now.Size() || !k.modified.Equal(now.ModTime()) {
		return nil
	}
	f.turn++
	k.used = f.turn
	return k.clip
}

// keep puts a clip into the cache and the longest unused ones out of it.
func (f *Folder) keep(name string, file fs.FileInfo, clip *Clip) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.forget(name)
	if clip.Size() > cacheBytes {
		return
	}
	for len(f.clips) >= cacheClips || f.bytes+clip.Size() > cacheBytes {
		oldest := ""
		for n, k := range f.clips {
			if oldest == "" || k.used < f.clips[oldest].used {
				oldest = n
			}
		}
		f.forget(oldest)
	}
	f.turn++
	f.clips[name] = &kept{clip: clip, size: file.Size(), modified: file.ModTime(), used: f.turn}
	f.bytes += clip.Size()
}

func (f *Folder) forget(name string) {
	if k := f.clips[name]; k != nil {
		f.bytes -= k.clip.Size()
		delete(f.clips, name)
	}
}
