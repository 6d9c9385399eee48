package udp

// chanBell is a Bell of the standard library alone, of a channel with room for one ring. Closing the channel ends it.
type chanBell chan struct{}

func (b chanBell) Ring() {
	select {
	case b <- struct{}{}:
	default:
	}
}

func (b chanBell) Wait() bool {
	_, ok := <-b
	return ok
}
