package ogg

import (
	"errors"
	"io"
)

// Extent is what a cut file still has.
type Extent struct {
	Head     Head
	Tags     Tags
	Serial   uint32
	Pages    int          // whole pages, the two headers included
	Granule  int64        // of the last whole page on which a packet ends
	Last     int64        // offset of the last whole page
	Sequence uint32       // of the last whole page
	End      int64        // offset of the byte after it: what lies behind is no page
	Complete bool         // the last whole page is marked as the last
	Damage   *DamageError // the first place, before the last whole page, where a page is missing or broken; nil in a file that was only cut
}

// Scan reads a file that one Writer wrote and that may have been cut anywhere, and finds its last whole page. It fails when the
// headers are not whole: such a file has nothing to save. Pages of other streams are damage.
func Scan(r io.Reader) (Extent, error) {
	var x Extent
	var damage *DamageError // seen, and in the middle only if a whole page follows
	note := func(d *DamageError) {
		if damage == nil {
			damage = d
		}
	}
	pages := NewPages(r)
	var page RawPage
	for {
		err := pages.Next(&page)
		var d *DamageError
		switch {
		case errors.Is(err, io.EOF):
			if x.Pages < 2 {
				return x, cmpError(damage, &DamageError{Offset: 0, Reason: "the headers are not whole"})
			}
			return x, nil
		case errors.As(err, &d):
			if x.Pages < 2 {
				return x, d
			}
			note(d)
			continue
		case err != nil:
			return x, err
		}
		if x.Pages < 2 {
			if err := x.header(&page); err != nil {
				return x, err
			}
		} else if page.Serial != x.Serial || page.Flags&First != 0 {
			note(&DamageError{Offset: page.Offset, Reason: "a page of another stream"})
			continue
		} else if page.Sequence != x.Sequence+1 {
			note(&DamageError{Offset: page.Offset, Reason: "pages are missing before this one"})
		}
		x.Pages++
		x.Last, x.End = page.Offset, page.Offset+int64(len(page.Bytes))
		x.Sequence = page.Sequence
		x.Complete = page.Flags&Last != 0
		x.Damage = damage
		if page.Granule != NoGranule {
			x.Granule = page.Granule
		}
	}
}

// header reads one of the first two pages.
func (x *Extent) header(page *RawPage) (err error) {
	if x.Pages == 0 {
		x.Serial = page.Serial
		x.Head, err = ParseHead(page.Body)
		return err
	}
	if page.Serial != x.Serial || page.Sequence != 1 {
		return &DamageError{Offset: page.Offset, Reason: "the second page is not the comment header"}
	}
	x.Tags, err = ParseTags(page.Body)
	return err
}

func cmpError(first, second *DamageError) error {
	if first != nil {
		return first
	}
	return second
}
