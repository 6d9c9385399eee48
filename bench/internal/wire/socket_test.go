package wire

import "testing"

func TestDatagramTakesMoreMemoryThanItsBytes(t *testing.T) {
	for _, length := range []int{Header + Tag, 1200} {
		if n, err := Footprint(length); err != nil || n <= length || n > 4*length+4096 {
			t.Errorf("%d bytes take %d, %v", length, n, err)
		}
	}
}
