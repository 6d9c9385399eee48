package ogg

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// RawPage is a page that was read. Its slices are valid until the next page is read.
type RawPage struct {
	Offset   int64
	Flags    Flags
	Granule  int64
	Serial   uint32
	Sequence uint32
	Segments []byte
	Body     []byte
	Bytes    []byte // all of it, header included
}

// Pages reads pages of any number of streams. It holds one page at most. For one goroutine.
type Pages struct {
	r      *bufio.Reader
	offset int64
	held   int // bytes of the page handed out last, not yet discarded
}

var capture = []byte("OggS")

// NewPages reads from r.
func NewPages(r io.Reader) *Pages {
	return &Pages{r: bufio.NewReaderSize(r, MaxPage)}
}

// Next reads a page. At the end it returns io.EOF. A [*DamageError] means that there are bytes which are no whole page; the next
// call goes on at the next whole page, if there is one.
func (p *Pages) Next(page *RawPage) error {
	p.discard(p.held)
	p.held = 0
	b, reason, err := p.whole()
	if err != nil {
		return err
	}
	if reason == "" {
		p.held = len(b)
		fill(page, b, p.offset)
		return nil
	}
	damage := &DamageError{Offset: p.offset, Reason: reason}
	if err := p.resync(); err != nil {
		return err
	}
	return damage
}

// whole looks at the next page without consuming it. The reason is empty when it is whole.
func (p *Pages) whole() (b []byte, reason string, err error) {
	b, err = p.r.Peek(HeaderSize)
	switch {
	case len(b) == 0 && errors.Is(err, io.EOF):
		return nil, "", io.EOF
	case err != nil && !errors.Is(err, io.EOF):
		return nil, "", err
	case len(b) < HeaderSize:
		return nil, "the file ends inside a page header", nil
	case !bytes.Equal(b[:4], capture):
		return nil, "no page begins here", nil
	case b[4] != 0:
		return nil, fmt.Sprintf("page version is %d, not 0", b[4]), nil
	}
	size := HeaderSize + int(b[26])
	for range 2 { // the segment table, and then the body that it tells the length of
		if b, err = p.r.Peek(size); err != nil {
			if errors.Is(err, io.EOF) {
				return nil, "the file ends inside a page", nil
			}
			return nil, "", err
		}
		size = HeaderSize + int(b[26])
		for _, n := range b[HeaderSize:size] {
			size += int(n)
		}
	}
	if binary.LittleEndian.Uint32(b[22:]) != pageChecksum(b) {
		return nil, "checksum of the page does not match", nil
	}
	return b, "", nil
}

// resync drops at least one byte and goes to the next whole page or to the end.
func (p *Pages) resync() error {
	p.discard(1)
	for {
		b, err := p.r.Peek(p.r.Size())
		if len(b) == 0 {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		i := bytes.Index(b, capture)
		if i < 0 {
			// The last three bytes may be the beginning of a capture pattern.
			p.discard(max(1, len(b)-len(capture)+1))
			continue
		}
		p.discard(i)
		_, reason, err := p.whole()
		if err != nil || reason == "" {
			return err
		}
		p.discard(1)
	}
}

func (p *Pages) discard(n int) {
	d, _ := p.r.Discard(n) // never more than was peeked
	p.offset += int64(d)
}

func fill(page *RawPage, b []byte, offset int64) {
	n := int(b[26])
	*page = RawPage{
		Offset:   offset,
		Flags:    Flags(b[5]),
		Granule:  int64(binary.LittleEndian.Uint64(b[6:])),
		Serial:   binary.LittleEndian.Uint32(b[14:]),
		Sequence: binary.LittleEndian.Uint32(b[18:]),
		Segments: b[HeaderSize : HeaderSize+n],
		Body:     b[HeaderSize+n:],
		Bytes:    b,
	}
}
