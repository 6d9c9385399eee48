package ogg

import (
	"errors"
	"fmt"
	"io"
)

// PageSamples is when a Writer closes a page: one second of audio, which RFC 7845 section 6 recommends as the most, and which is
// what a cut file loses at most.
const PageSamples = 48000

// Writer writes an Ogg Opus file front to back. For one goroutine. After an error from the io.Writer nothing more is written, since
// half a page may be out: a file that must survive a full disk needs Page and an offset instead.
type Writer struct {
	w        io.Writer
	page     Page
	serial   uint32
	sequence uint32
	granule  int64 // at the end of the page
	start    int64 // at the beginning of the page
	err      error
	ended    bool
}

// NewWriter writes the headers. Each has a page of its own, as RFC 7845 section 3 requires.
func NewWriter(w io.Writer, serial uint32, head Head, tags Tags) (*Writer, error) {
	b, err := AppendHeaders(nil, serial, head, tags)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(b); err != nil {
		return nil, fmt.Errorf("writing the Ogg headers: %w", err)
	}
	return &Writer{w: w, serial: serial, sequence: 2}, nil
}

// AppendHeaders appends the two header pages of a file. The next page has sequence number 2.
func AppendHeaders(dst []byte, serial uint32, head Head, tags Tags) ([]byte, error) {
	if err := head.check(); err != nil {
		return dst, err
	}
	var page Page
	page.Add(head.Append(nil))
	dst = append(dst, page.Encode(First, 0, serial, 0)...)
	page.Reset()
	t := tags.Append(nil)
	if len(t) > MaxPacket {
		return dst, fmt.Errorf("ogg: the tags are %d bytes, more than %d", len(t), MaxPacket)
	}
	page.Add(t)
	return append(dst, page.Encode(0, 0, serial, 1)...), nil
}

// Packet adds a packet of that many samples at 48 kHz. The bytes are copied.
func (w *Writer) Packet(b []byte, samples int) error {
	switch {
	case w.err != nil:
		return w.err
	case w.ended:
		return errors.New("ogg: packet after the end")
	case len(b) > MaxPacket:
		return fmt.Errorf("ogg: a packet of %d bytes is longer than %d", len(b), MaxPacket)
	}
	if w.granule-w.start >= PageSamples {
		if err := w.Flush(); err != nil {
			return err
		}
	}
	if !w.page.Add(b) {
		if err := w.Flush(); err != nil {
			return err
		}
		w.page.Add(b)
	}
	w.granule += int64(samples)
	return nil
}

// Flush writes the page. A stream whose page was just flushed ends in an empty page, which is allowed and rarely seen: leave the
// last packet to End.
func (w *Writer) Flush() error {
	if w.page.Packets() == 0 {
		return w.err
	}
	return w.put(0, w.granule)
}

// End writes the last page.
func (w *Writer) End() error { return w.EndAt(w.granule) }

// EndAt writes the last page and cuts the audio at a granule position (RFC 7845 section 4.4), which must lie on that page.
func (w *Writer) EndAt(granule int64) error {
	if w.ended {
		return errors.New("ogg: ended twice")
	}
	if granule < w.start || granule > w.granule {
		return fmt.Errorf("ogg: the end %d is not on the last page (%d to %d)", granule, w.start, w.granule)
	}
	w.ended = true
	return w.put(Last, granule)
}

func (w *Writer) put(flags Flags, granule int64) error {
	if w.err != nil {
		return w.err
	}
	if _, err := w.w.Write(w.page.Encode(flags, granule, w.serial, w.sequence)); err != nil {
		w.err = fmt.Errorf("writing an Ogg page: %w", err)
		return w.err
	}
	w.page.Reset()
	w.sequence++
	w.start = granule
	return nil
}
