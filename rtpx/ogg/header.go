package ogg

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Head is the identification header (RFC 7845 section 5.1).
type Head struct {
	Channels   uint8
	PreSkip    uint16
	SampleRate uint32 // of the original, for information
	Gain       int16  // Q7.8 dB
	Family     uint8  // channel mapping family; the fields below are written only when it is not 0
	Streams    uint8
	Coupled    uint8
	Mapping    [8]uint8 // only the first Channels count
}

// ErrNotOpus: the stream is some other codec's.
var ErrNotOpus = errors.New("ogg: not an Opus stream")

const (
	headMagic = "OpusHead"
	tagsMagic = "OpusTags"
	// maxFamily1 is how many channels families 0 and 1 define an order for (RFC 7845 section 5.1.1.2).
	maxFamily1 = 8
	// maxComments bounds what ParseTags keeps: more is a broken or a hostile file.
	maxComments = 1024
)

// Append encodes the header.
func (h Head) Append(dst []byte) []byte {
	dst = append(dst, headMagic...)
	dst = append(dst, 1, h.Channels)
	dst = binary.LittleEndian.AppendUint16(dst, h.PreSkip)
	dst = binary.LittleEndian.AppendUint32(dst, h.SampleRate)
	dst = binary.LittleEndian.AppendUint16(dst, uint16(h.Gain))
	dst = append(dst, h.Family)
	if h.Family == 0 {
		return dst
	}
	dst = append(dst, h.Streams, h.Coupled)
	return append(dst, h.Mapping[:min(int(h.Channels), maxFamily1)]...)
}

// ParseHead reads the first packet of a stream. Families other than 0 and 1 are refused. For family 0 the fields of the mapping
// are filled in.
func ParseHead(b []byte) (Head, error) {
	var h Head
	if len(b) < len(headMagic) || string(b[:8]) != headMagic {
		return h, ErrNotOpus
	}
	if len(b) < 19 {
		return h, fmt.Errorf("ogg: OpusHead is %d bytes, at least 19 are needed", len(b))
	}
	if b[8] > 15 { // only the upper four bits tell an incompatible version
		return h, fmt.Errorf("ogg: OpusHead has version %d, only 0 to 15 can be read", b[8])
	}
	h.Channels = b[9]
	h.PreSkip = binary.LittleEndian.Uint16(b[10:])
	h.SampleRate = binary.LittleEndian.Uint32(b[12:])
	h.Gain = int16(binary.LittleEndian.Uint16(b[16:]))
	h.Family = b[18]
	if h.Family == 0 {
		h.Streams, h.Coupled, h.Mapping = 1, 0, [8]uint8{0, 1}
		if h.Channels == 2 {
			h.Coupled = 1
		}
		return h, h.check()
	}
	if h.Family == 1 && h.Channels <= maxFamily1 {
		if len(b) < 21+int(h.Channels) {
			return h, errors.New("ogg: OpusHead ends inside the channel mapping")
		}
		h.Streams, h.Coupled = b[19], b[20]
		copy(h.Mapping[:], b[21:21+int(h.Channels)])
	}
	return h, h.check()
}

func (h Head) check() error {
	switch {
	case h.Family > 1:
		return fmt.Errorf("ogg: channel mapping family %d, only 0 and 1 are known", h.Family)
	case h.Channels == 0:
		return errors.New("ogg: OpusHead has no channels")
	case h.Family == 0 && h.Channels > 2:
		return fmt.Errorf("ogg: channel mapping family 0 with %d channels, at most 2 are allowed", h.Channels)
	case h.Family == 0:
		return nil
	case h.Channels > maxFamily1:
		return fmt.Errorf("ogg: channel mapping family 1 with %d channels, at most 8 are allowed", h.Channels)
	case h.Streams == 0 || h.Coupled > h.Streams || int(h.Streams)+int(h.Coupled) > 255:
		return fmt.Errorf("ogg: %d streams of which %d are coupled", h.Streams, h.Coupled)
	}
	for i, m := range h.Mapping[:h.Channels] {
		if m != 255 && int(m) >= int(h.Streams)+int(h.Coupled) {
			return fmt.Errorf("ogg: channel %d is mapped to decoder %d of %d", i, m, int(h.Streams)+int(h.Coupled))
		}
	}
	return nil
}

// Tags is the comment header (RFC 7845 section 5.2). Comments are NAME=value.
type Tags struct {
	Vendor   string
	Comments []string
}

// Append encodes the header.
func (t Tags) Append(dst []byte) []byte {
	dst = append(dst, tagsMagic...)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(t.Vendor)))
	dst = append(dst, t.Vendor...)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(t.Comments)))
	for _, c := range t.Comments {
		dst = binary.LittleEndian.AppendUint32(dst, uint32(len(c)))
		dst = append(dst, c...)
	}
	return dst
}

// ParseTags reads the second packet of a stream. It allocates no more than the packet is long.
func ParseTags(b []byte) (Tags, error) {
	var t Tags
	if len(b) < len(tagsMagic) || string(b[:8]) != tagsMagic {
		return t, errors.New("ogg: the second packet is not OpusTags")
	}
	b = b[8:]
	vendor, b, ok := text(b)
	if !ok || len(b) < 4 {
		return t, errors.New("ogg: OpusTags ends inside the vendor")
	}
	t.Vendor = vendor
	n := binary.LittleEndian.Uint32(b)
	if n > maxComments {
		return t, fmt.Errorf("ogg: OpusTags claims %d comments, more than %d", n, maxComments)
	}
	b = b[4:]
	for i := range n {
		var c string
		if c, b, ok = text(b); !ok {
			return t, fmt.Errorf("ogg: OpusTags ends inside comment %d of %d", i+1, n)
		}
		t.Comments = append(t.Comments, c)
	}
	return t, nil
}

// text takes a string with its length in front.
func text(b []byte) (s string, rest []byte, ok bool) {
	if len(b) < 4 {
		return "", nil, false
	}
	n := binary.LittleEndian.Uint32(b)
	if uint64(n) > uint64(len(b)-4) {
		return "", nil, false
	}
	return string(b[4 : 4+n]), b[4+n:], true
}
