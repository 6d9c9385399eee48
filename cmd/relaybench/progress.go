//go:build linux

package main

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// progress writes a line now and then, beside the outcome. Any goroutine may use it.
type progress struct {
	mu  sync.Mutex
	out io.Writer
}

func (p *progress) say(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintln(p.out, line)
}

// every says a line a second until the function that it returns is called.
func (p *progress) every(line func() string) (stop func()) {
	ended, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		ticker := time.NewTicker(time.Second)
		defer ticker.Stop()
		for {
			select {
			case <-ended:
				return
			case <-ticker.C:
				p.say(line())
			}
		}
	}()
	return func() {
		close(ended)
		<-done
	}
}
