package main

import (
	"math"
	"math/bits"
	"math/cmplx"
	"time"
)

// pcmRate is what recordings are compared at: telephone band is enough to tell one piece of speech from another.
const pcmRate = 8000

const (
	// piece is what is compared at a time: a few syllables. Speech that stands still for a moment, on a machine that is too busy to run
	// the edge, is then missed where that happens and found again behind it.
	piece = time.Second
	// searchRange is how far from its expected place a piece is looked for: a call's jitter, the digits that push a clip back, and the
	// clocks of three programs on a busy machine.
	searchRange = 700 * time.Millisecond
	// alike: the recording has the very packets that were played, so anything well below 1 is damage. Two digits in a second of speech
	// take 0.1 away from it.
	alike = 0.85
	// unlike: the caller and the business reach 0.15 against each other, at the best of all shifts.
	unlike = 0.3
)

// follow compares a stretch of a recording with a clip, piece by piece, each where the one before it was found, and gives their mean
// likeness (a piece counts by its energy: pauses say little) and how much later than expected the last piece was heard. from is where in
// the clip the stretch is expected to begin, in samples; it may lie outside.
func follow(stretch, clip []float64, from int) (mean float64, later int) {
	var sum, total float64
	for begin, n := 0, at(piece); begin+n/2 <= len(stretch); begin += n {
		window := stretch[begin:min(begin+n, len(stretch))]
		var energy float64
		for _, x := range window {
			energy += x * x
		}
		l, moved := likeness(window, clip, from+begin-later, at(searchRange))
		if l >= unlike {
			later += moved
		}
		sum, total = sum+l*energy, total+energy
	}
	if total == 0 {
		return 0, 0
	}
	return sum / total, later
}

// likeness slides a window of a recording along a clip, from most before its expected place to most behind it, and gives the highest
// normalised cross-correlation of the two waveforms (1: the same but for loudness, about 0: nothing in common) and how much later than
// expected the clip was heard. from is where in the clip the window is expected to begin, in samples; it may lie outside.
func likeness(window, clip []float64, from, most int) (best float64, later int) {
	n := len(window)
	reference := make([]float64, n+2*most)
	for i := range reference {
		if at := from - most + i; at >= 0 && at < len(clip) {
			reference[i] = clip[at]
		}
	}
	var energy float64
	for _, x := range window {
		energy += x * x
	}
	if n == 0 || energy == 0 {
		return 0, 0
	}
	products := slide(window, reference)
	var under float64 // energy of the stretch of the reference that lies under the window
	for _, y := range reference[:n] {
		under += y * y
	}
	for lag := range 2*most + 1 {
		if lag > 0 {
			under += reference[lag+n-1]*reference[lag+n-1] - reference[lag-1]*reference[lag-1]
		}
		if under < energy*1e-6 {
			continue // silence is like nothing
		}
		if l := products[lag] / math.Sqrt(energy*under); l > best {
			best, later = l, most-lag
		}
	}
	return best, later
}

// slide gives the sum of the products of short with every stretch of long that it fits on, by way of the Fourier transform: a hundred
// times as fast as doing so.
func slide(short, long []float64) []float64 {
	size := 1 << bits.Len(uint(len(long)+len(short)-1))
	a, b := make([]complex128, size), make([]complex128, size)
	for i, x := range short {
		a[i] = complex(x, 0)
	}
	for i, x := range long {
		b[i] = complex(x, 0)
	}
	transform(a, false)
	transform(b, false)
	for i := range a {
		b[i] *= cmplx.Conj(a[i])
	}
	transform(b, true)
	out := make([]float64, len(long)-len(short)+1)
	for i := range out {
		out[i] = real(b[i]) / float64(size)
	}
	return out
}

// transform is the Fourier transform in place (Cooley and Tukey, radix 2) of a power of two values; the inverse is not scaled.
func transform(a []complex128, inverse bool) {
	n := len(a)
	shift := bits.LeadingZeros(uint(n)) + 1
	for i := range a {
		if j := int(bits.Reverse(uint(i)) >> shift); j > i {
			a[i], a[j] = a[j], a[i]
		}
	}
	turn := -2 * math.Pi
	if inverse {
		turn = -turn
	}
	twiddle := make([]complex128, n/2)
	for i := range twiddle {
		twiddle[i] = cmplx.Rect(1, turn*float64(i)/float64(n))
	}
	for half := 1; half < n; half *= 2 {
		stride := n / (2 * half)
		for start := 0; start < n; start += 2 * half {
			for k := range half {
				odd := a[start+k+half] * twiddle[k*stride]
				a[start+k+half] = a[start+k] - odd
				a[start+k] += odd
			}
		}
	}
}

// at gives the sample at a time.
func at(d time.Duration) int { return int(d.Seconds() * pcmRate) }

// lasting is how long samples last.
func lasting(samples int) time.Duration {
	return time.Duration(samples) * time.Second / pcmRate
}

// cut gives a stretch of a recording, less what lies outside of it.
func cut(pcm []float64, from, to time.Duration) []float64 {
	i := min(max(at(from), 0), len(pcm))
	j := min(max(at(to), i), len(pcm))
	return pcm[i:j]
}
