// Package discard is the sink that counts frames and drops them: to measure the way to a sink, and to try attaching one.
package discard

import (
	"errors"
	"sync/atomic"

	"github.com/onelane/onelane/relay/sink"
)

// Writer counts what it is given. The zero value is ready. The counts may be read at any time by any goroutine.
type Writer struct {
	// Frames and Bytes count audio; Samples is its length, of both directions together; Lost is what the frames said of losses.
	Frames, Bytes, Samples, Lost atomic.Uint64
	// Marks counts time marks, At is the last one: the length of what was written.
	Marks atomic.Uint64
	At    atomic.Int64

	closed bool
}

var errClosed = errors.New("discard: written to after it was closed")

// Write counts.
func (w *Writer) Write(frames []sink.Frame) error {
	if w.closed {
		return errClosed
	}
	for i := range frames {
		f := &frames[i]
		if f.Direction == 0 {
			w.Marks.Add(1)
			w.At.Store(f.At)
			continue
		}
		w.Frames.Add(1)
		w.Bytes.Add(uint64(len(f.Payload)))
		w.Samples.Add(uint64(f.Samples))
		w.Lost.Add(uint64(f.Lost))
	}
	return nil
}

// Close ends it.
func (w *Writer) Close() error {
	w.closed = true
	return nil
}
