//go:build linux && (amd64 || arm64)

package udp

// NewRing lets the contract run on io_uring.
func NewRing(o Options) (Ports, error) { return newRingPorts(o) }
