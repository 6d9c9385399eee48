package main

import (
	"log/slog"
	"sync"

	"golang.org/x/sys/unix"
)

// mediaBefore is by how much a shard's thread goes before the process's others. Handshakes, recordings and the control API run on those,
// and a signature takes longer than a packet may wait: where they share a core, media goes first.
const mediaBefore = 10

const mostNice = -20

// mediaFirst gives what a shard runs on its thread. Without the right to raise a priority (CAP_SYS_NICE; LimitNICE in the unit) it says
// so once and changes nothing.
func mediaFirst(log *slog.Logger) func() {
	var told sync.Once
	return func() {
		thread := unix.Gettid()
		now := 0
		if raw, err := unix.Getpriority(unix.PRIO_PROCESS, thread); err == nil {
			now = 20 - raw // as the system call counts
		}
		if err := unix.Setpriority(unix.PRIO_PROCESS, thread, max(mostNice, now-mediaBefore)); err != nil {
			told.Do(func() {
				log.Info("media threads run at normal priority: calls that are set up may delay packets of live ones on a full host; allow it with LimitNICE=-10 in the unit", "error", err)
			})
		}
	}
}
