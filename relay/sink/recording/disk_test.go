package recording

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/onelane/onelane/relay/sink"
	"github.com/onelane/onelane/rtpx/opus"
)

// disk is a file on a disk that is full from some size on: like a real one it takes the part that fits.
type disk struct {
	*os.File
	room      int64 // -1: enough
	untouched bool  // cutting fails too
	err       error
}

func (d *disk) WriteAt(b []byte, offset int64) (int, error) {
	if d.room < 0 || offset+int64(len(b)) <= d.room {
		return d.File.WriteAt(b, offset)
	}
	n, err := d.File.WriteAt(b[:max(0, d.room-offset)], offset)
	return n, errors.Join(err, d.err)
}

func (d *disk) Truncate(size int64) error {
	if d.untouched {
		return d.err
	}
	return d.File.Truncate(size)
}

// onDisk opens a recording on such a disk.
func onDisk(t *testing.T) (*Writer, string, *disk) {
	t.Helper()
	w, path := open(t, Options{})
	d := &disk{File: w.file, room: -1, err: syscall.ENOSPC}
	w.out.file = d
	return w, path, d
}

func TestFullDiskBecomesSilenceAndTheRestIsInItsPlace(t *testing.T) {
	for _, untouched := range []bool{false, true} {
		w, path, d := onDisk(t)
		d.untouched = untouched
		var s script
		s.mark(0)
		s.say(sink.Caller, 0, speech(t, "caller.ogg"))
		s.say(sink.Business, 0, speech(t, "business.ogg"))
		s.say(sink.Caller, samples(20), speech(t, "caller.ogg"))
		s.say(sink.Business, samples(20), speech(t, "business.ogg"))
		for at := samples(6.1); at < samples(20); at += sink.SampleRate / 2 {
			s.mark(at)
		}
		s.mark(samples(27))
		failed := 0
		for _, f := range s.sorted() {
			switch {
			case f.At > samples(15):
				d.room = -1
			case f.At > samples(3.5) && d.room < 0:
				d.room = w.out.offset + 700 // the middle of a page
			}
			err := w.Write([]sink.Frame{f})
			switch {
			case err == nil && w.out.owed > 0:
				t.Fatalf("at %d: no error while a page is owed", f.At)
			case err == nil:
			case f.At > samples(15):
				t.Fatalf("at %d the disk has room: %v", f.At, err)
			case !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "free space"):
				t.Fatalf("no remedy: %v", err)
			default:
				failed++
			}
		}
		if failed == 0 {
			t.Error("nothing failed")
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		pcm := judge(t, path, samples(27), 2)
		caller := original(t, "caller.ogg")
		hears(t, pcm[0], 0, caller[:samples(2.5)], 0.97)
		hears(t, pcm[0], samples(20), caller, 0.97)
		hears(t, pcm[1], samples(20), original(t, "business.ogg"), 0.97)
		if p := peak(pcm[0], samples(5.2), samples(20)); p > 2 {
			t.Errorf("the gap reaches %v", p)
		}
	}
}

func TestDiskFullFromTheFirstPageOn(t *testing.T) {
	w, path, d := onDisk(t)
	d.room = w.out.offset
	var s script
	s.mark(0)
	s.say(sink.Caller, 0, speech(t, "caller.ogg"))
	s.mark(samples(6))
	for i, f := range s.sorted() {
		if i == 150 {
			d.room = -1
		}
		_ = w.Write([]sink.Frame{f})
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	judge(t, path, samples(6), 2)
}

func TestErrorComesWithEachWriteUntilTheDiskTakesPagesAgain(t *testing.T) {
	w, path, d := onDisk(t)
	feed(t, w, []sink.Frame{{At: 0}, {At: samples(5)}})
	d.room, d.err = 0, syscall.EIO
	if err := w.Write([]sink.Frame{{At: samples(7)}}); !errors.Is(err, syscall.EIO) {
		t.Fatal(err)
	}
	for range 3 { // nothing new to write: the disk is asked all the same
		if err := w.Write(nil); !errors.Is(err, syscall.EIO) {
			t.Fatal(err)
		}
	}
	d.room = -1
	for range 2 {
		if err := w.Write(nil); err != nil {
			t.Fatal(err)
		}
	}
	feed(t, w, []sink.Frame{{At: samples(9)}})
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	judge(t, path, samples(9), 2)
}

func TestCloseOnAFullDiskLeavesAFileThatRepairCloses(t *testing.T) {
	w, path, d := onDisk(t)
	var s script
	s.mark(0)
	s.say(sink.Caller, 0, speech(t, "caller.ogg"))
	s.mark(samples(6))
	feed(t, w, s.sorted())
	d.room = w.out.offset + 100
	d.untouched = true // the torn page stays in the file
	err := w.Close()
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "repair") {
		t.Fatal(err)
	}
	report, err := Repair(path + partSuffix)
	if err != nil {
		t.Fatal(err)
	}
	if report.Cut != 100 || report.Path != path || report.Damage != "" {
		t.Errorf("%+v", report)
	}
	judge(t, path, int64(report.Length.Seconds()*sink.SampleRate+0.5), 2)
}

func TestRecordingThatEndsWhileItsLastPageIsOwed(t *testing.T) {
	w, path, d := onDisk(t)
	feed(t, w, []sink.Frame{{At: 0}, {At: 0, Samples: 960, Direction: sink.Caller, Payload: opus.Silence20}, {At: samples(2)}})
	d.room = w.out.offset
	w.out.limit = 0 // every packet closes the page before it
	if err := w.Write([]sink.Frame{{At: samples(4) + 100}}); err == nil {
		t.Fatal("no error")
	}
	d.room = -1
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	judge(t, path, samples(4)+100, 2)
}
