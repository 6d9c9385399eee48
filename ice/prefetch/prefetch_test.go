package prefetch_test

import (
	"testing"
	"unsafe"

	"github.com/onelane/onelane/ice/prefetch"
)

// What is asked for is only a wish: no address and no size faults, and nothing is changed.
func TestAnythingMayBeAskedFor(t *testing.T) {
	b := make([]byte, 3*4096)
	for _, at := range []int{0, 1, 63, 64, 4095} {
		for _, size := range []int{1, 63, 64, 65, 129, 4096} {
			prefetch.Memory(unsafe.Pointer(&b[at]), size)
		}
	}
	var v [1000]byte
	prefetch.Value(&v)
	prefetch.Value((*[1000]byte)(nil))
	prefetch.Memory(nil, 4096)
	for _, x := range b {
		if x != 0 {
			t.Fatal("memory was changed")
		}
	}
}

func BenchmarkThirtyLines(b *testing.B) {
	v := make([][1920]byte, 1000)
	for n := 0; b.Loop(); n++ {
		prefetch.Value(&v[n%len(v)])
	}
}
