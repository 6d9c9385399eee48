package recording

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/onelane/onelane/relay/sink"
	"github.com/onelane/onelane/rtpx/ogg"
)

var (
	// ErrNotOurs: the file is not a recording of this edge. Repair changes no other.
	ErrNotOurs = errors.New("not a recording of onelane")
	errBusy    = errors.New("the file is being written: end the recording first")
)

// Report says what Repair found and did.
type Report struct {
	Path     string        // the repaired file
	Length   time.Duration // of its playback
	Channels int
	Pages    int
	Cut      int64 // bytes behind the last whole page that were cut off
	Already  bool  // the file was closed before: nothing was changed
	// Damage is where a page in the middle is broken, or empty. Such a page stays: what follows it is worth more.
	Damage string
}

// Repair closes a recording that a killed process left: it keeps every whole page, marks the last one as the end of the stream, and
// takes .part off the name. It can be given a closed recording, and the .part name of one that it has closed: then it changes
// nothing. It refuses what is not a recording of ours, what is still being written, and symlinks.
func Repair(path string) (Report, error) {
	r, err := repair(path)
	if err != nil {
		return Report{}, fmt.Errorf("repairing %s: %w", filepath.Base(path), err)
	}
	return r, nil
}

func repair(path string) (Report, error) {
	folder, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return Report{}, err
	}
	defer folder.Close()
	name := filepath.Base(path)
	found, err := folder.Lstat(name)
	if final, part := strings.CutSuffix(name, partSuffix); part && errors.Is(err, fs.ErrNotExist) {
		if r, e := repairFile(folder, final, false); e == nil && r.Already {
			return r, nil
		}
	}
	if err != nil {
		return Report{}, err
	}
	if !found.Mode().IsRegular() {
		return Report{}, fmt.Errorf("%w: it is not a regular file", ErrNotOurs)
	}
	final, part := strings.CutSuffix(name, partSuffix)
	if !strings.HasSuffix(final, suffix) {
		return Report{}, fmt.Errorf("%w: its name does not end in %s or %s", ErrNotOurs, suffix, suffix+partSuffix)
	}
	r, err := repairFile(folder, name, true)
	if err != nil || !part {
		return r, err
	}
	r.Already = false
	done, err := finish(folder, name, strings.TrimSuffix(final, suffix))
	r.Path = filepath.Join(filepath.Dir(path), done)
	return r, err
}

// repairFile closes the stream of one file.
func repairFile(folder *os.Root, name string, change bool) (Report, error) {
	r := Report{Path: filepath.Join(folder.Name(), name)}
	f, err := folder.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return r, err
	}
	defer f.Close()
	if err := lock(f); err != nil {
		return r, err
	}
	stat, err := f.Stat()
	if err != nil {
		return r, err
	}
	x, err := ogg.Scan(io.NewSectionReader(f, 0, stat.Size()))
	if err != nil {
		return r, fmt.Errorf("%w: %w", ErrNotOurs, err)
	}
	if !ours(x) {
		return r, ErrNotOurs
	}
	r.Channels, r.Pages = int(x.Head.Channels), x.Pages
	if x.Damage != nil {
		r.Damage = x.Damage.Error()
	}
	r.Length = time.Duration(max(0, x.Granule-int64(x.Head.PreSkip))) * time.Second / sink.SampleRate
	r.Cut = stat.Size() - x.End
	r.Already = x.Complete && r.Cut == 0
	if r.Already || !change {
		return r, nil
	}
	if err := closeStream(f, &x); err != nil {
		return r, explain(err)
	}
	r.Pages = x.Pages
	return r, f.Sync()
}

func ours(x ogg.Extent) bool {
	if x.Tags.Vendor != vendor {
		return false
	}
	for _, c := range x.Tags.Comments {
		if strings.HasPrefix(c, layoutTag) {
			return true
		}
	}
	return false
}

// closeStream cuts what is behind the last whole page and marks that page. The page is rewritten where it is, at the same length: this
// needs no space on a full disk. A recording that was killed before its first page of audio gets one with the packet of the pre-skip.
func closeStream(f *os.File, x *ogg.Extent) error {
	if err := f.Truncate(x.End); err != nil {
		return err
	}
	if x.Pages == 2 {
		var page ogg.Page
		page.Add(preRoll(int(x.Head.Channels)))
		x.Pages++
		_, err := f.WriteAt(page.Encode(ogg.Last, preSkip, x.Serial, x.Sequence+1), x.End)
		return err
	}
	page := make([]byte, x.End-x.Last)
	if _, err := f.ReadAt(page, x.Last); err != nil {
		return err
	}
	ogg.SetLast(page)
	_, err := f.WriteAt(page[:ogg.HeaderSize], x.Last)
	return err
}
