package recording

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
)

const (
	suffix     = ".ogg"
	partSuffix = ".part"
	// maxNumber bounds the search for a name that is not taken. Names are made from a time and a call: that many is a fault.
	maxNumber = 1000
	// fileMode: the owner writes, its group (an uploader, say) reads. A recording is personal data.
	fileMode = 0o640
)

// create makes the .part file under a name that neither it nor the finished file has. Nothing is ever overwritten, and no symlink is
// followed: the file is made exclusively.
func create(folder *os.Root, name string) (string, *os.File, error) {
	for n := range maxNumber {
		try := numbered(name, n)
		if _, err := folder.Lstat(try + suffix); err == nil {
			continue
		} else if !errors.Is(err, fs.ErrNotExist) {
			return "", nil, fmt.Errorf("recording: %w", explain(err))
		}
		f, err := folder.OpenFile(try+suffix+partSuffix, os.O_CREATE|os.O_EXCL|os.O_RDWR, fileMode)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return "", nil, fmt.Errorf("recording: making the file: %w", explain(err))
		}
		if err := lock(f); err != nil {
			_ = f.Close()
			return "", nil, fmt.Errorf("recording: locking the file: %w", err)
		}
		return try, f, nil
	}
	return "", nil, fmt.Errorf("recording: %s%s and %d numbered names are taken: give another name", name, suffix, maxNumber-1)
}

func numbered(name string, n int) string {
	if n == 0 {
		return name
	}
	return name + "-" + strconv.Itoa(n+1)
}

// finish gives a .part file its final name, or a numbered one if somebody made a file of that name meanwhile. A link fails where a
// rename would overwrite.
func finish(folder *os.Root, part, name string) (string, error) {
	for n := range maxNumber {
		try := numbered(name, n) + suffix
		err := folder.Link(part, try)
		if errors.Is(err, fs.ErrExist) {
			if same(folder, part, try) { // a process was killed between the link and the removal
				return try, folder.Remove(part)
			}
			continue
		}
		if err == nil {
			return try, folder.Remove(part)
		}
		// A file system without links.
		if _, e := folder.Lstat(try); !errors.Is(e, fs.ErrNotExist) {
			continue
		}
		if err = folder.Rename(part, try); err != nil {
			return "", explain(err)
		}
		return try, nil
	}
	return "", fmt.Errorf("%s%s and %d numbered names are taken", name, suffix, maxNumber-1)
}

func same(folder *os.Root, a, b string) bool {
	x, err := folder.Lstat(a)
	if err != nil {
		return false
	}
	y, err := folder.Lstat(b)
	return err == nil && os.SameFile(x, y)
}

// rename closes the file and gives it its name.
func (w *Writer) rename() error {
	err := w.file.Close()
	name, e := finish(w.folder, w.name+suffix+partSuffix, w.name)
	if e != nil {
		err = fmt.Errorf("recording: naming %s: %w", w.Name(), e)
	} else {
		w.name = name[:len(name)-len(suffix)]
	}
	return err
}
