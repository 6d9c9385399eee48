package discard

import (
	"testing"

	"github.com/onelane/onelane/relay/sink"
	"github.com/onelane/onelane/relay/sink/sinktest"
)

func TestContract(t *testing.T) {
	sinktest.Run(t, func() (sink.Writer, sinktest.Check) {
		w := new(Writer)
		return w, func(t *testing.T, given []sink.Frame) {
			var want Writer
			_ = want.Write(given)
			if w.Frames.Load() != want.Frames.Load() || w.Bytes.Load() != want.Bytes.Load() || w.Samples.Load() != want.Samples.Load() ||
				w.Lost.Load() != want.Lost.Load() || w.Marks.Load() != want.Marks.Load() || w.At.Load() != want.At.Load() {
				t.Errorf("counted %+v of\n%s", w, sinktest.Describe(given))
			}
		}
	})
}
