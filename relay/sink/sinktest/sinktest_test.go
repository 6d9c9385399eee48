package sinktest

import (
	"bytes"
	"errors"
	"testing"

	"github.com/onelane/onelane/relay/sink"
)

// memory keeps frames, with copies of their payloads or, wrongly, without.
type memory struct {
	frames []sink.Frame
	wrong  bool
	closed bool
}

func (m *memory) Write(frames []sink.Frame) error {
	if m.closed {
		return errors.New("closed")
	}
	for _, f := range frames {
		if !m.wrong {
			f.Payload = bytes.Clone(f.Payload)
		}
		m.frames = append(m.frames, f)
	}
	return nil
}

func (m *memory) Close() error {
	m.closed = true
	return nil
}

func (m *memory) same(given []sink.Frame) bool {
	return Describe(m.frames) == Describe(given) && bytes.Equal(payloads(m.frames), payloads(given))
}

func payloads(frames []sink.Frame) (all []byte) {
	for _, f := range frames {
		all = append(all, f.Payload...)
	}
	return all
}

func TestSuiteGivesWhatItTells(t *testing.T) {
	Run(t, func() (sink.Writer, Check) {
		m := new(memory)
		return m, func(t *testing.T, given []sink.Frame) {
			if !m.same(given) {
				t.Errorf("got\n%s\nwant\n%s", Describe(m.frames), Describe(given))
			}
		}
	})
}

func TestSuiteSpoilsWhatIsKept(t *testing.T) {
	Run(t, func() (sink.Writer, Check) {
		m := &memory{wrong: true}
		return m, func(t *testing.T, given []sink.Frame) {
			if len(payloads(given)) > 0 && m.same(given) {
				t.Error("a Writer that keeps payloads is not found out")
			}
		}
	})
}

// The suite itself keeps to the contract of sink.Frame.
func TestSuiteKeepsTheContract(t *testing.T) {
	Run(t, func() (sink.Writer, Check) {
		return new(memory), func(t *testing.T, given []sink.Frame) {
			var reached [sink.Both]int64
			for i, f := range given {
				if f.Direction == 0 {
					if len(f.Payload) > 0 || f.Samples != 0 || f.At < reached[0] {
						t.Errorf("bad mark %+v", f)
					}
					reached[0] = f.At
					continue
				}
				if i == 0 || i == len(given)-1 {
					t.Error("the first and the last frame must be marks")
				}
				if f.At < reached[f.Direction] || f.At < reached[0] || len(f.Payload) == 0 || len(f.Payload) > sink.MaxPayload {
					t.Errorf("%s frame at %d: before %d, or before the mark %d", f.Direction, f.At, reached[f.Direction], reached[0])
				}
				reached[f.Direction] = f.At + int64(f.Samples)
			}
		}
	})
}
