package udp

import (
	"errors"
	"fmt"
	"net/netip"
	"syscall"
)

// openError names the address and, where it is one that callers act on, the cause.
func openError(local netip.AddrPort, verb string, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("open UDP port %s: %s: %w", local, verb, ErrInUse)
	// ENOSPC: the user's limit of epoll watches (fs.epoll.max_user_watches).
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE), errors.Is(err, syscall.ENOMEM),
		errors.Is(err, syscall.ENOBUFS), errors.Is(err, syscall.ENOSPC):
		return fmt.Errorf("open UDP port %s: %s: %w: %w", local, verb, ErrExhausted, err)
	}
	return fmt.Errorf("open UDP port %s: %s: %w", local, verb, err)
}

// checkLocal refuses what no implementation can bind.
func checkLocal(local netip.AddrPort) error {
	switch a := local.Addr(); {
	case !a.IsValid():
		return errors.New("open UDP port: no address given")
	case a.Zone() != "":
		return fmt.Errorf("open UDP port %s: link-local addresses with a zone are not supported", local)
	}
	return nil
}

// refused counts why a datagram was not sent. The number is not made an error: nobody allocates here.
func (c *Counters) refused(errno syscall.Errno) {
	switch errno {
	case syscall.EAGAIN, syscall.ENOBUFS, syscall.ENOMEM:
		c.SendAgain++
	case syscall.ENETUNREACH, syscall.EHOSTUNREACH, syscall.ECONNREFUSED, syscall.EPERM, syscall.ENETDOWN, syscall.EHOSTDOWN:
		c.SendUnreachable++
	default:
		c.SendErrors++
	}
}
