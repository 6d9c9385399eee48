package udp

// ChanBell is a Bell of the standard library alone, of a channel with room for one ring: make it so. Closing the channel ends it.
type ChanBell chan struct{}

func (b ChanBell) Ring() {
	select {
	case b <- struct{}{}:
	default:
	}
}

func (b ChanBell) Wait() bool {
	_, ok := <-b
	return ok
}
