package ogg

import (
	"errors"
	"io"
)

// ErrSeveralStreams: the file has more than one logical stream, chained or multiplexed.
var ErrSeveralStreams = errors.New("ogg: the file holds more than one stream")

// Reader reads the packets of a file that holds one stream. It holds one page and one packet at most. For one goroutine.
type Reader struct {
	pages    *Pages
	page     RawPage
	segment  int // next one of page.Segments
	body     int // where its bytes begin
	ending   int // packets that still end on this page
	packet   []byte
	partial  bool // packet holds the beginning of a packet that goes on
	skip     bool // the rest of a packet whose beginning was lost is passed over
	began    bool
	complete bool // a page with the Last flag was read
}

// NewReader reads from r.
func NewReader(r io.Reader) *Reader { return &Reader{pages: NewPages(r)} }

// Next returns the next packet, which is valid until the next call, and the granule of the page if it is the last packet that ends
// on it, NoGranule otherwise. io.EOF is the end, whether the last page was marked (see Complete) or not. After a [*DamageError]
// reading may go on: packets of damaged pages are missing.
func (r *Reader) Next() (packet []byte, granule int64, err error) {
	if !r.partial {
		r.packet = r.packet[:0]
	}
	for {
		if r.segment == len(r.page.Segments) {
			if err := r.turn(); err != nil {
				return nil, NoGranule, err
			}
			continue
		}
		n := int(r.page.Segments[r.segment])
		if !r.skip {
			if len(r.packet)+n > MaxPacket {
				r.lose()
				r.skip = true
				continue
			}
			r.packet = append(r.packet, r.page.Body[r.body:r.body+n]...)
		}
		r.segment++
		r.body += n
		if n == 255 {
			r.partial = !r.skip
			continue
		}
		r.ending--
		if r.skip {
			r.skip = false
			return nil, NoGranule, &DamageError{Offset: r.page.Offset, Reason: "a packet here is longer than 61440 bytes or has lost its beginning"}
		}
		r.partial = false
		granule = NoGranule
		if r.ending == 0 {
			granule = r.page.Granule
		}
		return r.packet, granule, nil
	}
}

// Complete: the page that is marked as the last one has been read.
func (r *Reader) Complete() bool { return r.complete }

// Offset is where the page in hand begins.
func (r *Reader) Offset() int64 { return r.page.Offset }

// turn reads the next page and checks that it follows the one before.
func (r *Reader) turn() error {
	before := r.page
	if r.complete {
		var after RawPage
		switch err := r.pages.Next(&after); {
		case errors.Is(err, io.EOF):
			return io.EOF
		case err != nil:
			return err
		}
		return ErrSeveralStreams
	}
	if err := r.pages.Next(&r.page); err != nil {
		r.page = RawPage{Serial: before.Serial, Sequence: before.Sequence, Offset: before.Offset}
		r.segment, r.body = 0, 0
		if errors.Is(err, io.EOF) && r.partial {
			r.lose()
			return &DamageError{Offset: before.Offset, Reason: "the file ends inside a packet"}
		}
		return err
	}
	r.segment, r.body, r.ending = 0, 0, 0
	for _, n := range r.page.Segments {
		if n < 255 {
			r.ending++
		}
	}
	r.complete = r.page.Flags&Last != 0
	return r.follow(before)
}

// follow checks the page in hand against the one before.
func (r *Reader) follow(before RawPage) error {
	if !r.began {
		r.began = true
		if r.page.Flags&First == 0 {
			return &DamageError{Offset: r.page.Offset, Reason: "the first page is not marked as first"}
		}
		return nil
	}
	if r.page.Serial != before.Serial || r.page.Flags&First != 0 {
		r.segment = len(r.page.Segments)
		r.page.Serial = before.Serial
		return ErrSeveralStreams
	}
	continued := r.page.Flags&Continued != 0
	gap := r.page.Sequence != before.Sequence+1
	cut := r.partial && !continued
	if gap || continued != r.partial {
		r.lose()
		r.skip = continued
	}
	switch {
	case gap:
		return &DamageError{Offset: r.page.Offset, Reason: "pages are missing before this one"}
	case cut:
		return &DamageError{Offset: r.page.Offset, Reason: "the packet that began on the page before does not go on here"}
	}
	return nil
}

// lose drops the part of a packet in hand.
func (r *Reader) lose() {
	r.packet = r.packet[:0]
	r.partial = false
}
