//go:build unix

package recording

import (
	"errors"
	"os"
	"syscall"
)

// lock marks a file as being written, for as long as the process has it open: a kill takes the mark away. Only Repair asks for it.
// File systems without locks are taken as they are.
func lock(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return errBusy
	}
	return nil
}
