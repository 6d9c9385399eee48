package icetest

import (
	"container/heap"
	"sync"
	"time"
)

// pace is the shortest sleep. Hundreds of calls have their deadlines all over a millisecond: waking once for all of them is what
// keeps the pacing goroutine cheap.
const pace = time.Millisecond

type job struct {
	at   time.Duration
	task func(now time.Duration) (time.Duration, bool)
}

// jobs is a heap, earliest first. It holds pointers, so that going through container/heap's interface allocates nothing.
type jobs []*job

func (j jobs) Len() int           { return len(j) }
func (j jobs) Less(a, b int) bool { return j[a].at < j[b].at }
func (j jobs) Swap(a, b int)      { j[a], j[b] = j[b], j[a] }
func (j *jobs) Push(x any)        { *j = append(*j, x.(*job)) }
func (j *jobs) Pop() any {
	old := *j
	last := old[len(old)-1]
	old[len(old)-1] = nil
	*j = old[:len(old)-1]
	return last
}

// pacer runs tasks at their times on one goroutine with one timer.
type pacer struct {
	now    func() time.Duration
	wake   chan struct{} // capacity 1: something earlier was added
	done   chan struct{}
	closer sync.Once

	mu    sync.Mutex
	queue jobs
}

func newPacer(now func() time.Duration) *pacer {
	return &pacer{now: now, wake: make(chan struct{}, 1), done: make(chan struct{})}
}

func (p *pacer) add(at time.Duration, task func(time.Duration) (time.Duration, bool)) {
	p.mu.Lock()
	first := len(p.queue) == 0 || at < p.queue[0].at
	heap.Push(&p.queue, &job{at, task})
	p.mu.Unlock()
	if first {
		select {
		case p.wake <- struct{}{}:
		default:
		}
	}
}

func (p *pacer) stop() { p.closer.Do(func() { close(p.done) }) }

func (p *pacer) run(owner *sync.WaitGroup) {
	defer owner.Done()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		timer.Reset(p.due())
		select {
		case <-p.done:
			return
		case <-p.wake:
		case <-timer.C:
		}
	}
}

// due runs what is due and returns how long to sleep.
func (p *pacer) due() time.Duration {
	now := p.now()
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.queue) > 0 && p.queue[0].at <= now {
		j := heap.Pop(&p.queue).(*job)
		p.mu.Unlock() // a task may schedule another
		next, again := j.task(now)
		p.mu.Lock()
		if again {
			j.at = max(next, now+1) // a task that is behind catches up at the next turn: it must not hold this one
			heap.Push(&p.queue, j)
		}
	}
	if len(p.queue) == 0 {
		return time.Hour
	}
	return max(p.queue[0].at-now, pace)
}
