package recording

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"github.com/onelane/onelane/relay/sink"
	"github.com/onelane/onelane/rtpx/ogg"
	"github.com/onelane/onelane/rtpx/opus"
)

const (
	// preSkip is 5 ms of silence in a packet of its own. The 80 ms that RFC 7845 section 4.2 recommends are for audio cut out of a
	// stream, whose first packets depend on ones that are not there: silence in front makes no decoder converge. It is not 0, because
	// opusinfo calls less than 120 implausible, and not more, because ffprobe counts it into the length of the file.
	preSkip = 240
	// pageBytes bounds a page and so its buffer. One packet at least goes on a page, and the longest is 15.3 KB.
	pageBytes = 16 << 10
)

// file is what a recording is written to: an *os.File.
type file interface {
	WriteAt(b []byte, offset int64) (int, error)
	Truncate(size int64) error
	Sync() error
	Close() error
}

// output puts packets on pages and pages into the file, each at its offset: a page that fails leaves the position where it was.
type output struct {
	file     file
	serial   uint32
	sequence uint32 // of the next page; a page that failed gives its number to the next
	offset   int64  // of the next page
	torn     int64  // up to here there may be bytes of a page that failed, if it is behind offset
	written  int64  // granule at the end of the file
	owed     int64  // samples of lost pages, to be written as silence before the page
	samples  int64  // on the page
	limit    int64  // samples after which a page is full
	channels int
	page     ogg.Page
}

// start writes the headers and puts the packet that the pre-skip cuts away on the first page.
func (o *output) start(headers []byte) error {
	if err := o.write(headers); err != nil {
		return fmt.Errorf("recording: writing the headers: %w", err)
	}
	o.sequence = 2
	return o.add(preRoll(o.channels), preSkip)
}

// preRoll is the packet that the pre-skip cuts away: CELT, full band, 5 ms (configuration 29), digital silence.
func preRoll(channels int) []byte {
	silent := append([]byte{29 << 3}, opus.Silence20[1:]...)
	return multiplex(nil, silent, silent, channels)
}

// add puts a packet on the page. The last packet always stays on the page, so that a stream never ends in an empty one.
func (o *output) add(packet []byte, samples int64) (err error) {
	full := o.page.Packets() > 0 && o.page.Size()+len(packet)+len(packet)/255+1 > pageBytes
	if o.samples >= o.limit || full {
		err = o.flush(0, 0)
	}
	if !o.page.Add(packet) {
		err = errors.Join(err, o.flush(0, 0))
		o.page.Add(packet)
	}
	o.samples += samples
	return err
}

// end writes the last page, with so many samples cut off its end.
func (o *output) end(cut int64) error { return o.flush(ogg.Last, cut) }

// flush writes what is owed and then the page. What could not be written is owed from then on.
func (o *output) flush(flags ogg.Flags, cut int64) error {
	if o.page.Packets() == 0 {
		return o.settle(flags, cut)
	}
	err := o.settle(0, 0)
	if err == nil {
		err = o.put(&o.page, flags, o.samples-cut)
	}
	if err != nil {
		o.owed += o.samples
	}
	o.page.Reset()
	o.samples = 0
	return err
}

// settle writes silence for pages that were lost.
func (o *output) settle(flags ogg.Flags, cut int64) error {
	for o.owed > 0 {
		var page ogg.Page
		var buf [64]byte
		samples := int64(0)
		if o.owed%sink.FrameSamples != 0 { // the first page was among them
			page.Add(preRoll(o.channels))
			samples = preSkip
		}
		for samples < o.owed && samples < ogg.PageSamples { // longer pages make opusinfo warn of the muxing delay
			slots := min(maxGroup, (o.owed-samples)/sink.FrameSamples)
			if !page.Add(silence(buf[:0], o.channels, int(slots))) {
				break
			}
			samples += slots * sink.FrameSamples
		}
		last, trim := ogg.Flags(0), int64(0)
		if samples == o.owed {
			last, trim = flags, cut
		}
		if err := o.put(&page, last, samples-trim); err != nil {
			return err
		}
		o.owed -= samples
	}
	return nil
}

// put writes a page at the end of the file.
func (o *output) put(page *ogg.Page, flags ogg.Flags, samples int64) error {
	if err := o.write(page.Encode(flags, o.written+samples, o.serial, o.sequence)); err != nil {
		return fmt.Errorf("recording: a page was not written: %w", err)
	}
	o.sequence++
	o.written += samples
	return nil
}

// write appends to the file or leaves it as it was.
func (o *output) write(b []byte) error {
	_ = o.mend() // where it cannot be cut off, this page goes over it
	if _, err := o.file.WriteAt(b, o.offset); err != nil {
		o.torn = max(o.torn, o.offset+int64(len(b)))
		_ = o.mend() // with the next page at the latest
		return explain(err)
	}
	o.offset += int64(len(b))
	return nil
}

// mend cuts off what a failed write left.
func (o *output) mend() error {
	if o.torn <= o.offset {
		return nil
	}
	err := o.file.Truncate(o.offset)
	if err == nil {
		o.torn = 0
	}
	return err
}

// explain adds what to do.
func explain(err error) error {
	remedy := "look at the disk under the recording folder"
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		remedy = "free space under the recording folder"
	case errors.Is(err, syscall.EROFS), errors.Is(err, fs.ErrPermission):
		remedy = "make the recording folder writable"
	}
	return fmt.Errorf("%w: %s", err, remedy)
}

// silence appends a packet of digital silence of 1 to 6 slots.
func silence(dst []byte, channels, slots int) []byte {
	var parts [maxGroup][]byte
	for i := range slots {
		parts[i] = opus.Silence20
	}
	var buf [32]byte
	one, _ := opus.Join(buf[:0], parts[:slots]...)
	return multiplex(dst, one, one, channels)
}

// multiplex appends the packet of one Ogg packet: every stream but the last is self-delimited (RFC 7845 section 3, RFC 6716
// appendix B).
func multiplex(dst, left, right []byte, channels int) []byte {
	if channels == 1 {
		return append(dst, left...)
	}
	dst, _ = opus.AppendSelfDelimited(dst, left)
	return append(dst, right...)
}
