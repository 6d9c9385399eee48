// Package sinktest is the contract of sink.Writer as tests. Every kind of sink runs it.
package sinktest

import (
	"fmt"
	"testing"

	"github.com/onelane/onelane/relay/sink"
)

// Check looks at what a Writer put out. It is called once, after Close, with a copy of every frame that the Writer was given, marks
// included, in order. No frames means that there was no Write. A kind without an output to look at gives nil.
type Check func(t *testing.T, given []sink.Frame)

// Run runs the suite. open makes a fresh Writer with an output of its own, and the Check for that output.
func Run(t *testing.T, open func() (sink.Writer, Check)) {
	for _, c := range cases() {
		t.Run(c.name, func(t *testing.T) {
			w, check := open()
			s := &session{t: t, writer: w}
			c.run(s)
			s.close()
			if check != nil {
				check(t, s.given)
			}
		})
	}
	t.Run("WriteAfterCloseFails", func(t *testing.T) {
		w, _ := open()
		s := &session{t: t, writer: w}
		s.write(mark(0))
		s.close()
		if err := w.Write([]sink.Frame{mark(960)}); err == nil {
			t.Error("a Write after Close succeeded")
		}
	})
}

// session is one Writer's life. It keeps what it gives and spoils the memory after each Write, so that a Writer that keeps a
// payload is found out.
type session struct {
	t      *testing.T
	writer sink.Writer
	given  []sink.Frame
}

func (s *session) write(frames ...sink.Frame) {
	s.t.Helper()
	batch := make([]sink.Frame, len(frames))
	for i, f := range frames {
		kept := f
		kept.Payload = append([]byte(nil), f.Payload...)
		s.given = append(s.given, kept)
		batch[i] = f
		batch[i].Payload = append([]byte(nil), f.Payload...)
		if f.Direction == 0 {
			batch[i].Payload = nil
		}
	}
	if err := s.writer.Write(batch); err != nil {
		s.t.Fatalf("Write: %v", err)
	}
	for i := range batch {
		for j := range batch[i].Payload {
			batch[i].Payload[j] = 0xAA
		}
		batch[i] = sink.Frame{At: -1, Samples: -1, Direction: sink.Both}
	}
}

func (s *session) close() {
	s.t.Helper()
	if err := s.writer.Close(); err != nil {
		s.t.Fatalf("Close: %v", err)
	}
}

func mark(at int64) sink.Frame { return sink.Frame{At: at} }

// The TOC bytes of the frames (RFC 6716 section 3.1): mono, one frame a packet.
const (
	tocSILK20 = 0x48 // wide band
	tocSILK40 = 0x50
	tocSILK60 = 0x58
	tocCELT20 = 0xF8 // full band
)

// audio is a packet of length bytes with contents of their own.
func audio(d sink.Direction, at int64, length int) sink.Frame {
	return sink.Frame{At: at, Samples: sink.FrameSamples, Direction: d, Payload: payload(tocSILK20, at, length)}
}

func uncut(d sink.Direction, at int64, toc byte, samples int32) sink.Frame {
	return sink.Frame{At: at, Samples: samples, Direction: d, Uncut: true, Payload: payload(toc, at, 90)}
}

func payload(toc byte, at int64, length int) []byte {
	b := make([]byte, length)
	x := uint32(at)*2654435761 + 12345
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	b[0] = toc
	return b
}

type scenario struct {
	name string
	run  func(*session)
}

func cases() []scenario {
	return []scenario{
		{"CloseWithoutWrite", func(*session) {}},
		{"EmptyBatch", func(s *session) { s.write(); s.write(mark(0)); s.write(); s.write(mark(0)) }},
		{"EmptyCall", func(s *session) { s.write(mark(0)); s.write(mark(0)) }},
		{"QuietCall", quiet},
		{"OneFrame", func(s *session) { s.write(mark(0), audio(sink.Caller, 0, 50), mark(960)) }},
		{"CallerOnly", func(s *session) { talk(s, sink.Caller) }},
		{"BusinessOnly", func(s *session) { talk(s, sink.Business) }},
		{"BothDirections", both},
		{"LateStart", func(s *session) { s.write(mark(96_000), audio(sink.Caller, 144_000, 40), mark(192_000)) }},
		{"Holes", holes},
		{"Losses", losses},
		{"Uncut", uncutFrames},
		{"BigAndSmallFrames", sizes},
		{"ManyBatches", batches},
		{"DirectionsOutOfStep", skewed},
	}
}

func quiet(s *session) {
	for at := int64(0); at <= 5*sink.SampleRate; at += sink.SampleRate {
		s.write(mark(at))
	}
}

func talk(s *session, d sink.Direction) {
	s.write(mark(0))
	var at int64
	for range 50 {
		s.write(audio(d, at, 50))
		at += sink.FrameSamples
	}
	s.write(mark(at))
}

func both(s *session) {
	s.write(mark(0))
	var at int64
	for range 50 {
		s.write(audio(sink.Caller, at, 50), audio(sink.Business, at, 60))
		at += sink.FrameSamples
	}
	s.write(mark(at))
}

// holes: DTX and mute. Not every hole is a multiple of 20 ms.
func holes(s *session) {
	s.write(mark(0), audio(sink.Caller, 0, 50))
	s.write(audio(sink.Caller, 960+400*48, 3))
	s.write(mark(2 * sink.SampleRate))
	s.write(audio(sink.Caller, 2*sink.SampleRate+123, 50), audio(sink.Business, 2*sink.SampleRate+480, 50))
	s.write(mark(3 * sink.SampleRate))
	s.write(mark(4 * sink.SampleRate))
}

func losses(s *session) {
	s.write(mark(0))
	var at int64
	for i := range 20 {
		f := audio(sink.Caller, at, 50)
		if i%5 == 4 {
			f.Lost = uint16(i / 5)
			f.At += int64(f.Lost) * sink.FrameSamples
		}
		at = f.At + sink.FrameSamples
		s.write(f)
	}
	f := audio(sink.Caller, at+500*sink.FrameSamples, 50)
	f.Lost = 500
	s.write(f, mark(f.At+sink.FrameSamples))
}

func uncutFrames(s *session) {
	s.write(mark(0),
		uncut(sink.Caller, 0, tocSILK60, 2880), audio(sink.Business, 0, 50), audio(sink.Business, 960, 50), audio(sink.Business, 1920, 50),
		uncut(sink.Caller, 2880, tocSILK40, 1920), audio(sink.Business, 2880, 50),
		uncut(sink.Business, 3840, tocSILK60, 2880), uncut(sink.Caller, 4800, tocSILK60, 2880),
		audio(sink.Business, 6720, 50), mark(7680))
}

// sizes: from the TOC alone (DTX) to the longest packet there is.
func sizes(s *session) {
	s.write(mark(0))
	var at int64
	for _, n := range []int{1, 2, 3, 50, 159, 160, 161, 250, 251, 252, 253, 254, 255, 256, 509, 510, 511, 1000, 1275, sink.MaxPayload, 1} {
		a, b := audio(sink.Caller, at, n), audio(sink.Business, at, n)
		a.Payload[0], b.Payload[0] = tocCELT20, tocCELT20
		s.write(a)
		s.write(b)
		at += sink.FrameSamples
	}
	s.write(mark(at))
}

// batches: thirty seconds in batches of 1 to 128 frames.
func batches(s *session) {
	s.write(mark(0))
	var at int64
	for size := 1; at < 30*sink.SampleRate; size = size%128 + 13 {
		var batch []sink.Frame
		for len(batch) < size {
			batch = append(batch, audio(sink.Caller, at, 40), audio(sink.Business, at, 41))
			at += sink.FrameSamples
		}
		s.write(batch...)
	}
	s.write(mark(at))
}

// skewed: the caller's frames come 100 ms after the business's of the same time, as after the reorder window, on a grid of its own.
func skewed(s *session) {
	s.write(mark(0))
	const late = 5
	for i := int64(0); i < 100; i++ {
		if i < 100-late {
			s.write(audio(sink.Business, i*sink.FrameSamples, 50))
		}
		if i >= late {
			s.write(audio(sink.Caller, (i-late)*sink.FrameSamples+333, 50))
		}
		if i%50 == 49 {
			s.write(mark((i - late) * sink.FrameSamples))
		}
	}
	s.write(mark(100 * sink.FrameSamples))
}

// Describe prints frames, one a line, for the messages of a failing Check.
func Describe(frames []sink.Frame) string {
	var out []byte
	for _, f := range frames {
		if f.Direction == 0 {
			out = fmt.Appendf(out, "mark at %d\n", f.At)
			continue
		}
		out = fmt.Appendf(out, "%s at %d, %d samples, lost %d, %d bytes, toc %#02x\n", f.Direction, f.At, f.Samples, f.Lost, len(f.Payload), f.Payload[0])
	}
	return string(out)
}
