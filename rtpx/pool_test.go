package rtpx

import "testing"

func TestPoolIsBounded(t *testing.T) {
	pool := NewPool(3)
	seen := map[int32]bool{}
	for range 3 {
		buf, index, ok := pool.Get()
		if !ok || len(buf) != BufferSize || cap(buf) != BufferSize || seen[index] {
			t.Fatalf("buffer %d of %d bytes, %v", index, len(buf), ok)
		}
		seen[index] = true
	}
	if _, index, ok := pool.Get(); ok || index >= 0 || pool.Left() != 0 {
		t.Fatal("a fourth buffer")
	}
	pool.Put(1)
	pool.Put(-1)
	if _, index, ok := pool.Get(); !ok || index != 1 {
		t.Fatalf("buffer %d", index)
	}
	pool.Put(2)
	defer func() {
		if recover() == nil {
			t.Error("a buffer could be given back twice")
		}
	}()
	pool.Put(2)
}
