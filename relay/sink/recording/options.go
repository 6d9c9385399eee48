package recording

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/onelane/onelane/relay/sink"
	"github.com/onelane/onelane/rtpx/ogg"
)

// Channels says what is recorded.
type Channels uint8

const (
	// Stereo: the caller on the left, the business on the right.
	Stereo Channels = iota
	// MonoCaller: only the caller.
	MonoCaller
	// MonoBusiness: only the business.
	MonoBusiness
)

// directions are what the channels hold, from left to right.
func (c Channels) directions() []sink.Direction {
	switch c {
	case MonoCaller:
		return []sink.Direction{sink.Caller}
	case MonoBusiness:
		return []sink.Direction{sink.Business}
	}
	return []sink.Direction{sink.Caller, sink.Business}
}

// Direction is what a Writer of these channels wants to be given.
func (c Channels) Direction() sink.Direction {
	var d sink.Direction
	for _, one := range c.directions() {
		d |= one
	}
	return d
}

const (
	// vendor marks a file as ours; Repair touches no other.
	vendor = "onelane"
	// layoutTag names the comment with the channels, from left to right.
	layoutTag = "CHANNEL_LAYOUT="
	// maxName leaves room for a number and the suffixes in the 255 bytes of a file name.
	maxName = 200
	// defaultFlush is a page a second: what RFC 7845 section 6 recommends as the most.
	defaultFlush = time.Second
)

// Options of one recording.
type Options struct {
	Folder   *os.Root      // where the file is made; stays the caller's
	Name     string        // of the file without .ogg: [A-Za-z0-9._-], no dot in front, at most 200 bytes
	Channels Channels      //
	Flush    time.Duration // the most audio a page holds; 0: a second, which is also the most
	Started  time.Time     // goes into the DATE tag; zero: no tag
}

func (o *Options) check() error {
	if o.Folder == nil {
		return errors.New("recording: no folder is given")
	}
	if o.Channels > MonoBusiness {
		return fmt.Errorf("recording: no such channels: %d", o.Channels)
	}
	if o.Flush < 0 || o.Flush > defaultFlush {
		return fmt.Errorf("recording: flush is %v; give 20ms to %v", o.Flush, defaultFlush)
	}
	if o.Flush == 0 {
		o.Flush = defaultFlush
	}
	return checkName(o.Name)
}

func checkName(name string) error {
	if name == "" || len(name) > maxName {
		return fmt.Errorf("recording: the name has %d bytes; give 1 to %d", len(name), maxName)
	}
	for i := range len(name) {
		c := name[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '.' && i > 0:
		default:
			return fmt.Errorf("recording: byte %d of the name is %q; use letters, digits, '-', '_' and, not in front, '.'", i, c)
		}
	}
	return nil
}

// headers are the two first pages.
func (o *Options) headers(serial uint32) ([]byte, error) {
	directions := o.Channels.directions()
	head := ogg.Head{Channels: uint8(len(directions)), PreSkip: preSkip, SampleRate: sink.SampleRate}
	layout := directions[0].String()
	if len(directions) == 2 {
		head.Family, head.Streams, head.Mapping = 1, 2, [8]uint8{0, 1}
		layout += "," + directions[1].String()
	}
	tags := ogg.Tags{Vendor: vendor, Comments: []string{layoutTag + layout}}
	if !o.Started.IsZero() {
		tags.Comments = append(tags.Comments, "DATE="+o.Started.UTC().Format(time.RFC3339))
	}
	return ogg.AppendHeaders(nil, serial, head, tags)
}
