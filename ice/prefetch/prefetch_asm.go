//go:build amd64 || arm64

package prefetch

// lines asks for n lines of the cache, more than none, from an address on.
//
//go:noescape
func lines(from, n uintptr)
