// Package prefetch asks the processor for memory that is needed soon.
//
// A relay meets each call 50 times a second. With a thousand calls nothing of a call is in the cache when its packet comes, and a packet
// that fetches its state line by line as it goes waits for each line in turn, for longer than it works. Asked for together, the lines of
// some packets come at the same time.
package prefetch

import "unsafe"

// line is how much memory comes at once.
const line = 64

// Value asks for the memory of *p.
func Value[T any](p *T) { Memory(unsafe.Pointer(p), int(unsafe.Sizeof(*p))) }

// Memory asks for size bytes, more than none, from p on. No address is wrong: what cannot be read is not fetched.
func Memory(p unsafe.Pointer, size int) {
	first := uintptr(p) &^ (line - 1)
	lines(first, (uintptr(p)+uintptr(size)-first+line-1)/line)
}
