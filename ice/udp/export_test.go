package udp

// NewPortable lets the contract run on the fallback where New gives another.
func NewPortable(o Options) Ports { return newPortable(o) }
