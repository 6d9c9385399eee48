//go:build !(linux && (amd64 || arm64))

package udp

// New makes a set of ports. This system is one to develop on: see portablePorts.
func New(o Options) (Ports, error) { return newPortable(o), nil }
