package main

import (
	"math"
	"math/rand/v2"
	"testing"
)

// voice is noise that swells and fades as syllables do: as hard to tell apart by loudness as speech.
func voice(seed uint64, seconds int) []float64 {
	r := rand.New(rand.NewPCG(seed, 1))
	out := make([]float64, seconds*pcmRate)
	var low float64
	for i := range out {
		low = 0.8*low + r.NormFloat64()
		out[i] = low * (1 + math.Sin(2*math.Pi*4*float64(i)/pcmRate))
	}
	return out
}

func TestSlideIsTheSumOfProducts(t *testing.T) {
	long, short := voice(1, 1)[:300], voice(2, 1)[:77]
	for lag, got := range slide(short, long) {
		var want float64
		for i, x := range short {
			want += x * long[lag+i]
		}
		if math.Abs(got-want) > 1e-6 {
			t.Fatalf("lag %d: %v, want %v", lag, got, want)
		}
	}
}

func TestSpeechIsFoundWhereItWasPlayed(t *testing.T) {
	clip := voice(3, 10)
	most := at(searchRange)
	for _, moved := range []int{0, 1, -1, 160, -2400, most, -most} {
		// The recording has the clip from second 4 on, moved samples later than expected, at a third of its loudness.
		window := make([]float64, 3*pcmRate)
		for i := range window {
			window[i] = clip[4*pcmRate-moved+i] / 3
		}
		got, later := likeness(window, clip, 4*pcmRate, most)
		if got < 0.999 || later != moved {
			t.Errorf("moved by %d: likeness %.4f, later by %d", moved, got, later)
		}
	}
}

func TestLikenessForgivesDigitsAndNotDamage(t *testing.T) {
	clip := voice(4, 10)
	stretch := append([]float64(nil), clip[pcmRate:4*pcmRate]...)
	clear(stretch[8000 : 8000+2*800]) // two digits of 100 ms
	if got, later := follow(stretch, clip, pcmRate); got < 0.95 || later != 0 {
		t.Errorf("two digits: %.3f, later by %d", got, later)
	}
	for i := 0; i+320 < len(stretch); i += 640 {
		clear(stretch[i : i+320]) // every other packet of 40 ms is lost
	}
	if got, _ := follow(stretch, clip, pcmRate); got >= alike {
		t.Errorf("half of it lost: %.3f", got)
	}
}

func TestSpeechIsFollowedOverAStop(t *testing.T) {
	clip := voice(7, 12)
	const stop = 2400 // 300 ms, in which nothing is heard, and the clip waits
	stretch := append([]float64(nil), clip[pcmRate:3*pcmRate+600]...)
	stretch = append(stretch, make([]float64, stop)...)
	stretch = append(stretch, clip[3*pcmRate+600:8*pcmRate]...)
	if got, later := follow(stretch, clip, pcmRate+80); got < alike || later != 80+stop {
		t.Errorf("likeness %.3f, later by %d", got, later)
	}
}

func TestOtherSpeechAndSilenceAreUnlike(t *testing.T) {
	window, other := voice(5, 3), voice(6, 10)
	if got, _ := likeness(window, other, 2*pcmRate, at(searchRange)); got > unlike {
		t.Errorf("other speech: %.3f", got)
	}
	if got, _ := likeness(window, make([]float64, 10*pcmRate), 0, at(searchRange)); got != 0 {
		t.Errorf("a silent clip: %.3f", got)
	}
	if got, _ := likeness(make([]float64, pcmRate), other, 0, at(searchRange)); got != 0 {
		t.Errorf("a silent recording: %.3f", got)
	}
	if got, _ := follow(voice(5, 5), other, 2*pcmRate); got > unlike {
		t.Errorf("other speech, followed: %.3f", got)
	}
	if got, _ := follow(nil, other, 0); got != 0 {
		t.Errorf("nothing, followed: %.3f", got)
	}
	if got, _ := likeness(nil, other, 0, at(searchRange)); got != 0 {
		t.Errorf("no recording: %.3f", got)
	}
	if got, _ := likeness(window, other, 60*pcmRate, at(searchRange)); got != 0 {
		t.Errorf("behind the clip's end: %.3f", got)
	}
}
