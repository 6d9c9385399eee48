package relay

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// keptEvents is how many events a watcher may be behind before it is told that some are gone: 65,536 are minutes of a busy edge.
const keptEvents = 1 << 16

// eventLog keeps the last events of the edge. Writers never wait for readers: every reader goes through the ring at its own pace, and one
// that falls out of it is told which events it has missed. Safe for concurrent use.
type eventLog struct {
	epoch string // tells the tokens of this process from those of one before it

	mu      sync.Mutex
	ring    []Event
	last    uint64        // sequence number of the newest event; the first has 1
	changed chan struct{} // closed by the next append
	closed  bool
}

func newEventLog() *eventLog {
	var b [8]byte
	rand.Read(b[:])
	return &eventLog{epoch: hex.EncodeToString(b[:]), changed: make(chan struct{})}
}

// append gives the event its number and wakes the readers.
func (l *eventLog) append(e Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	l.last++
	e.Seq = l.last
	if len(l.ring) < keptEvents {
		l.ring = append(l.ring, e)
	} else {
		l.ring[(e.Seq-1)%keptEvents] = e
	}
	close(l.changed)
	l.changed = make(chan struct{})
}

// close ends every watch once it has seen all events.
func (l *eventLog) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.closed = true
		close(l.changed)
	}
}

// readBatch is how many events a reader takes at once.
const readBatch = 256

// read copies events behind seq into b. A gap that is not zero comes before them.
func (l *eventLog) read(seq uint64, b []Event) (n int, gap Gap, changed <-chan struct{}, closed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	oldest := l.last - uint64(len(l.ring)) + 1
	if seq+1 < oldest {
		gap = Gap{From: seq + 1, To: oldest - 1}
		seq = oldest - 1
	}
	for seq < l.last && n < len(b) {
		b[n] = l.ring[seq%keptEvents]
		n++
		seq++
	}
	return n, gap, l.changed, l.closed
}

func (l *eventLog) token(seq uint64) string { return l.epoch + "-" + strconv.FormatUint(seq, 10) }

// parse reads a resume token. A token of another process resumes nothing: everything there is comes, behind a gap from 0.
func (l *eventLog) parse(token string) (seq uint64, foreign bool, err error) {
	epoch, number, ok := strings.Cut(token, "-")
	seq, numErr := strconv.ParseUint(number, 10, 64)
	if !ok || numErr != nil || len(epoch) != len(l.epoch) {
		return 0, false, fail(InvalidArgument, "RESUME_TOKEN", "resume_token", "not a resume token of this service: use the one of the last event you saw, or none to start with new events")
	}
	if epoch != l.epoch {
		return 0, true, nil
	}
	return seq, false, nil
}

// watch gives events to each, in order, until ctx or the log ends or a function fails.
func (l *eventLog) watch(ctx context.Context, o WatchOptions, each func(Event, string) error, gap func(Gap) error) error {
	l.mu.Lock()
	seq := l.last
	l.mu.Unlock()
	if o.Resume != "" {
		from, foreign, err := l.parse(o.Resume)
		if err != nil {
			return err
		}
		if foreign {
			if err := gap(Gap{}); err != nil {
				return err
			}
		}
		seq = min(from, seq)
	}
	b := make([]Event, readBatch)
	for {
		n, g, changed, closed := l.read(seq, b)
		if g != (Gap{}) {
			if err := gap(g); err != nil {
				return err
			}
			seq = g.To
		}
		for _, e := range b[:n] {
			seq = e.Seq
			if o.covers(e.Tenant, e.CallID) {
				if err := each(e, l.token(e.Seq)); err != nil {
					return err
				}
			}
		}
		if n > 0 {
			continue
		}
		if closed {
			return fail(Unavailable, "SHUTTING_DOWN", "", "the edge shuts down: watch again, with the last resume token, when it is back")
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}

// covers tells whether the options choose a call.
func (o *WatchOptions) covers(tenant, call string) bool {
	return (o.Tenant == "" || o.Tenant == tenant) && (len(o.CallIDs) == 0 || slices.Contains(o.CallIDs, call))
}
