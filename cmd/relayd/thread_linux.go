package main

import (
	"log/slog"
	"sync"

	"golang.org/x/sys/unix"
)

// mediaNice is the priority of a shard's thread. Handshakes, recordings and the control API run on the process's other threads, and a
// signature takes longer than a packet may wait: where they share a core, media goes first.
const mediaNice = -10

// mediaFirst gives what a shard runs on its thread. Without the right to raise a priority (CAP_SYS_NICE; LimitNICE in the unit) it says
// so once and changes nothing.
func mediaFirst(log *slog.Logger) func() {
	var told sync.Once
	return func() {
		if err := unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), mediaNice); err != nil {
			told.Do(func() {
				log.Info("media threads run at normal priority: calls that are set up may delay packets of live ones on a full host; allow it with LimitNICE=-10 in the unit", "error", err)
			})
		}
	}
}
