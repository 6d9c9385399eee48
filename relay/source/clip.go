// Package source has what speaks to the phone: clips, which are files read once and shared by every call that plays them.
package source

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/onelane/onelane/rtpx/ogg"
	"github.com/onelane/onelane/rtpx/opus"
)

// ErrClip is wrapped by every error that says that a file is no clip; the message says how to make one.
var ErrClip = errors.New("cannot be played")

// remedy makes a clip out of any sound file.
const remedy = "make it anew: opusenc --framesize 20 --bitrate 20 --speech in.wav out.ogg"

// Clip is an immutable list of Opus packets of 20 ms. It is shared by calls and safe for concurrent use.
type Clip struct {
	packets []byte
	ends    []uint32 // of each packet in packets
	stereo  bool
}

// Frames is how many packets of 20 ms there are.
func (c *Clip) Frames() int { return len(c.ends) }

// Frame is one packet, 0 to Frames()-1. It must not be changed.
func (c *Clip) Frame(i int) []byte {
	from := uint32(0)
	if i > 0 {
		from = c.ends[i-1]
	}
	return c.packets[from:c.ends[i]:c.ends[i]]
}

// Duration is how long it plays.
func (c *Clip) Duration() time.Duration { return time.Duration(c.Frames()) * frame }

// Stereo: some packets have two channels.
func (c *Clip) Stereo() bool { return c.stereo }

// Size is how many bytes of memory it takes.
func (c *Clip) Size() int { return cap(c.packets) + 4*cap(c.ends) }

const frame = 20 * time.Millisecond

// maxClipBytes bounds a clip's memory whatever its length: 64 kbit/s for two hours. Offsets are 32 bits.
const maxClipBytes = 64 << 20

// ReadClip reads an Ogg Opus file of one stream, mono or stereo, that plays for at most max. Packets are cut to 20 ms; the pre-skip is
// honoured by whole frames, since nothing is decoded, and so is the end. Other files are refused with an error that wraps ErrClip.
func ReadClip(r io.Reader, max time.Duration) (*Clip, error) {
	c := &clipReader{ogg: ogg.NewReader(r), clip: &Clip{}, limit: int(max/frame) + 1}
	if err := c.headers(); err != nil {
		return nil, err
	}
	for {
		packet, granule, err := c.ogg.Next()
		switch {
		case errors.Is(err, io.EOF):
			return c.finish()
		case errors.Is(err, ogg.ErrSeveralStreams):
			return nil, refuse("the file holds more than one stream", remedy)
		case err != nil:
			return nil, c.broken(err)
		}
		if err := c.packet(packet, granule); err != nil {
			return nil, err
		}
	}
}

type clipReader struct {
	ogg    *ogg.Reader
	cutter opus.Cutter
	clip   *Clip
	limit  int // in frames: one more than asked for, since the pre-skip's part of a frame is played
	skip   int // frames to go that the pre-skip cuts away
	head   ogg.Head
	end    int64 // granule of the last page, or NoGranule
	read   int64 // samples so far
}

func refuse(what, do string) error {
	return fmt.Errorf("%w: %s; %s", ErrClip, what, do)
}

// broken tells a file that is damaged from a disk that is.
func (c *clipReader) broken(err error) error {
	var d *ogg.DamageError
	if errors.As(err, &d) {
		return refuse(err.Error(), "copy the file again, or "+remedy)
	}
	return fmt.Errorf("reading a clip: %w", err)
}

func (c *clipReader) headers() error {
	c.end = ogg.NoGranule
	packet, _, err := c.ogg.Next()
	var d *ogg.DamageError
	switch {
	case errors.Is(err, io.EOF):
		return refuse("the file is empty", remedy)
	case errors.As(err, &d):
		return refuse("it is not an Ogg file", remedy)
	case err != nil:
		return fmt.Errorf("reading a clip: %w", err)
	}
	c.head, err = ogg.ParseHead(packet)
	switch {
	case errors.Is(err, ogg.ErrNotOpus):
		return refuse("it is Ogg, but not Opus", remedy)
	case err != nil:
		return refuse(err.Error(), remedy)
	case c.head.Streams > 1 || c.head.Channels > 2:
		return refuse(fmt.Sprintf("it has %d channels in %d Opus streams, only one stream can be sent to a phone", c.head.Channels, c.head.Streams),
			"mix it down: opusdec in.ogg - | opusenc --downmix-mono --framesize 20 --bitrate 20 - out.ogg")
	case c.head.Gain != 0:
		return refuse(fmt.Sprintf("its header asks for a gain of %.1f dB, which cannot be applied without decoding", float64(c.head.Gain)/256),
			"apply it: opusdec in.ogg - | opusenc --framesize 20 --bitrate 20 - out.ogg")
	}
	c.skip = int(c.head.PreSkip) / opus.FrameSamples
	// The comments are passed over. A packet that is too long is reported as damage of the page, and pictures are why.
	if packet, _, err = c.ogg.Next(); err != nil {
		if errors.As(err, &d) {
			return refuse("its comment header is damaged or longer than 60 KB", "leave pictures and comments out: opusenc --discard-pictures --discard-comments")
		}
		if errors.Is(err, io.EOF) {
			return refuse("it ends after its first header", "copy the file again, or "+remedy)
		}
		return fmt.Errorf("reading a clip: %w", err)
	}
	if _, err := ogg.ParseTags(packet); err != nil {
		return refuse(err.Error(), remedy)
	}
	return nil
}

// packet cuts one packet and keeps its frames.
func (c *clipReader) packet(packet []byte, granule int64) error {
	if granule != ogg.NoGranule {
		c.end = granule
	}
	if f := c.cutter.Push(packet); f != opus.OK {
		return refuse(fmt.Sprintf("packet at %v is no valid Opus packet: %v", c.position(), f), remedy)
	}
	for {
		b, samples, uncut, ok := c.cutter.Next()
		if !ok {
			return nil
		}
		if uncut {
			return refuse(fmt.Sprintf("its frames are %d ms, which cannot be cut to the 20 ms that a phone needs", samples/48), remedy)
		}
		c.read += int64(samples)
		if c.skip > 0 {
			c.skip--
			continue
		}
		if len(c.clip.ends) >= c.limit {
			return refuse(fmt.Sprintf("it is longer than %v", time.Duration(c.limit-1)*frame), "cut it, or raise player.max_seconds")
		}
		if len(c.clip.packets)+len(b) > maxClipBytes {
			return refuse("it is larger than 64 MB", remedy)
		}
		c.clip.stereo = c.clip.stereo || opus.TOC(b[0]).Stereo()
		c.clip.packets = append(c.clip.packets, b...)
		c.clip.ends = append(c.clip.ends, uint32(len(c.clip.packets)))
	}
}

func (c *clipReader) position() time.Duration {
	return time.Duration(c.read) * time.Second / opus.SampleRate
}

// finish cuts the frames that lie wholly behind the end (RFC 7845 section 4.4). A file without a marked last page was cut off, and is
// played as far as it goes.
func (c *clipReader) finish() (*Clip, error) {
	if c.ogg.Complete() && c.end != ogg.NoGranule {
		for behind := c.read - c.end; behind >= opus.FrameSamples && len(c.clip.ends) > 0; behind -= opus.FrameSamples {
			c.clip.ends = c.clip.ends[:len(c.clip.ends)-1]
		}
	}
	if len(c.clip.ends) == 0 {
		return nil, refuse("it has no audio", remedy)
	}
	last := c.clip.ends[len(c.clip.ends)-1]
	return &Clip{ // at its exact size: it is kept
		packets: append([]byte(nil), c.clip.packets[:last]...),
		ends:    append([]uint32(nil), c.clip.ends...),
		stereo:  c.clip.stereo,
	}, nil
}
