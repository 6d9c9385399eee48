package recording

import (
	"testing"

	"github.com/onelane/onelane/relay/sink"
)

// BenchmarkSecondOfCall is what one second of a stereo recording costs.
func BenchmarkSecondOfCall(b *testing.B) {
	w, _ := open(b, Options{})
	caller, business := speech(b, "caller.ogg"), speech(b, "business.ogg")
	at, i := int64(0), 0
	batch := make([]sink.Frame, 0, 100)
	b.ReportAllocs()
	for b.Loop() {
		batch = batch[:0]
		for range 50 {
			batch = append(batch,
				sink.Frame{At: at, Samples: 960, Direction: sink.Caller, Payload: caller[i%300]},
				sink.Frame{At: at + 100, Samples: 960, Direction: sink.Business, Payload: business[i%300]})
			at += 960
			i++
		}
		if err := w.Write(batch); err != nil {
			b.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkOpen is what a recording costs in memory.
func BenchmarkOpen(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		w, _ := open(b, Options{Name: "x"})
		_ = w.Write([]sink.Frame{{At: 0}, {At: 96000}})
		if err := w.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
