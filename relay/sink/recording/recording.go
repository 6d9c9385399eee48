package recording

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"github.com/onelane/onelane/relay/sink"
	"github.com/onelane/onelane/rtpx/opus"
)

const (
	// holdSlots is how long a slot waits for the direction that has not passed it: a second. It covers the reorder window (100 ms)
	// and the delay spikes of mobile networks; a longer one is a hole.
	holdSlots = 50
	// maxStep is how far the call's time may go on between two frames: a day. More is a fault, which must not fill the disk.
	maxStep = 24 * 60 * 60 * sink.SampleRate
)

// Counters say what was not recorded as it came.
type Counters struct {
	Late    uint64 // frames for a slot that was already written
	Taken   uint64 // frames for a slot that has one: the sender's clock runs fast
	Invalid uint64 // frames that are no valid Opus packet of the length that they say
}

// Writer records one call. It implements sink.Writer: for one goroutine. Its memory is bounded: two tracks of 16 KiB and a page of
// 16 KiB, which grow only with the bit rate.
type Writer struct {
	// Counters may be read between two calls.
	Counters Counters

	folder   *os.Root
	name     string // without suffix
	file     *os.File
	tracks   []track
	out      output
	started  bool
	start    int64 // on the call's clock: the first mark
	mark     int64 // the last mark
	ended    bool  // the last frame was a mark
	next     int64 // the first slot that is not written
	closed   bool
	scratch  [2][]byte
	together []byte
}

var _ sink.Writer = (*Writer)(nil)

// Open makes NAME.ogg.part and writes the headers. Where NAME is taken, a number is appended. The folder must stay open until Close.
func Open(o Options) (*Writer, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	name, f, err := create(o.Folder, o.Name)
	if err != nil {
		return nil, err
	}
	w := &Writer{folder: o.Folder, name: name, file: f}
	if err := w.begin(o, f); err != nil {
		_ = f.Close()
		_ = o.Folder.Remove(name + partSuffix)
		return nil, err
	}
	return w, nil
}

func (w *Writer) begin(o Options, f file) error {
	for _, d := range o.Channels.directions() {
		w.tracks = append(w.tracks, track{direction: d, last: opus.TOC(opus.Silence20[0]), quiet: concealSlots})
	}
	w.out = output{
		file:     f,
		serial:   rand.Uint32(),
		limit:    int64(o.Flush.Seconds() * sink.SampleRate),
		channels: len(w.tracks),
	}
	headers, err := o.headers(w.out.serial)
	if err != nil {
		return err
	}
	return w.out.start(headers)
}

// Name is the name of the file that Close leaves in the folder.
func (w *Writer) Name() string { return w.name + suffix }

// Write takes frames. Its error is that of a page: the frames are kept or, where their page is lost, become silence.
func (w *Writer) Write(frames []sink.Frame) error {
	if w.closed {
		return errors.New("recording: written to after it was closed")
	}
	var err error
	for i := range frames {
		if e := w.frame(&frames[i]); e != nil {
			err = e
		}
	}
	if err == nil && w.out.owed > 0 {
		err = w.out.settle(0, 0) // the disk may be back: find out now, not with the next page
	}
	if err != nil && w.out.owed > 0 {
		err = fmt.Errorf("%w; the recording goes on by itself then, with %v of silence for what is missing", err,
			time.Duration(w.out.owed)*time.Second/sink.SampleRate)
	}
	return err
}

func (w *Writer) frame(f *sink.Frame) error {
	if !w.started {
		w.started = true
		w.start, w.mark = f.At, f.At
	}
	if ahead := f.At - max(w.mark, w.newest()); ahead > maxStep {
		return fmt.Errorf("recording: the call's time jumped by %d hours; the frame is dropped", ahead/(3600*sink.SampleRate))
	}
	w.ended = len(f.Payload) == 0
	if w.ended {
		w.mark = max(w.mark, f.At)
		return w.release(w.limit(), false)
	}
	for i := range w.tracks {
		if w.tracks[i].direction == f.Direction {
			return errors.Join(w.take(&w.tracks[i], f), w.release(w.limit(), false))
		}
	}
	return nil
}

// take puts a frame into its track.
func (w *Writer) take(t *track, f *sink.Frame) (err error) {
	var p opus.Packet
	if opus.Parse(f.Payload, &p) != opus.OK || p.Samples() != int(f.Samples) || f.Samples%sink.FrameSamples != 0 || len(f.Payload) > sink.MaxPayload {
		w.Counters.Invalid++
		return nil
	}
	slot := w.slot(f.At)
	t.end = max(t.end, f.At+int64(f.Samples))
	if slot < t.due {
		w.Counters.Taken++
		return nil
	}
	for !t.fits(len(f.Payload)) {
		// The memory is used up: what came first is written without waiting for the other direction.
		err = errors.Join(err, w.release(t.at(t.count/2).slot+1, true))
	}
	if slot = max(slot, t.free); slot < w.next {
		w.Counters.Late++
		return err
	}
	t.due = w.slot(f.At) + int64(p.Samples()/sink.FrameSamples)
	t.push(slot, p.Samples()/sink.FrameSamples, f.Payload)
	return err
}

// slot is the one nearest to a position. Frames that follow one another without a hole get slots that do, since all are rounded
// the same way.
func (w *Writer) slot(at int64) int64 {
	return floorDiv(at-w.start+sink.FrameSamples/2, sink.FrameSamples)
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// newest is the end of the newest frame.
func (w *Writer) newest() int64 {
	end := w.start
	for i := range w.tracks {
		end = max(end, w.tracks[i].end)
	}
	return end
}

// limit is the first slot that something may still come for.
func (w *Writer) limit() int64 {
	passed := w.tracks[0].end
	for i := range w.tracks {
		passed = min(passed, w.tracks[i].end)
	}
	return max(w.slot(max(w.mark, passed)), w.slot(w.newest())-holdSlots)
}

// release writes the slots before limit. A group that reaches past it waits, unless it is forced.
func (w *Writer) release(limit int64, force bool) (err error) {
	for w.next < limit {
		n := groupSlots(w.tracks, w.next)
		if w.next+n > limit && !force {
			return err
		}
		for i := range w.tracks {
			w.scratch[i] = w.tracks[i].take(w.scratch[i][:0], w.next, n)
		}
		w.together = multiplex(w.together[:0], w.scratch[0], w.scratch[1], len(w.tracks))
		if e := w.out.add(w.together, n*sink.FrameSamples); e != nil {
			err = e
		}
		w.next += n
	}
	return err
}

// Close writes what waits, ends the stream at the last mark, and gives the file its name. When it fails before that, the file stays
// as NAME.ogg.part, for [Repair].
func (w *Writer) Close() error {
	if w.closed {
		return errors.New("recording: closed twice")
	}
	w.closed = true
	end := w.mark
	if !w.ended {
		end = max(end, w.newest())
	}
	length := max(0, end-w.start)
	err := w.release(floorDiv(length+sink.FrameSamples-1, sink.FrameSamples), true)
	if e := w.out.end(w.excess(length)); e != nil {
		err = e
	}
	if err == nil {
		err = w.out.mend()
	}
	if err == nil {
		err = w.out.file.Sync()
	}
	if err != nil {
		_ = w.out.file.Close()
		return fmt.Errorf("%w; it was not closed and stays %s: run relayctl recording repair", err, w.name+suffix+partSuffix)
	}
	return w.rename()
}

// excess is how much of the last page lies behind the end.
func (w *Writer) excess(length int64) int64 {
	over := w.next*sink.FrameSamples - length
	if w.out.page.Packets() > 0 {
		return min(max(over, 0), w.out.samples)
	}
	return min(max(over, 0), w.out.owed)
}
