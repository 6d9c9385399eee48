package main

import (
	"bytes"
	"runtime"
	"runtime/trace"
	"strings"
	"sync/atomic"
	"testing"
)

func TestStopsOfCollectionsAreReadFromATrace(t *testing.T) {
	const collections = 5
	var b bytes.Buffer
	if err := trace.Start(&b); err != nil {
		t.Fatal(err)
	}
	var over atomic.Bool
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		for !over.Load() { // something has to be stopped
		}
	}()
	for range collections {
		runtime.GC()
	}
	trace.Stop()
	over.Store(true)
	<-stopped
	s, err := readStops(&b)
	if err != nil {
		t.Fatal(err)
	}
	if s.Count < 2*collections || s.Stood <= 0 || s.Stood > s.Took || s.Held != 0 {
		t.Errorf("%+v of %d collections", s, collections)
	}
}

func TestWhatIsNoTraceIsRefused(t *testing.T) {
	if _, err := readStops(strings.NewReader("404 page not found")); err == nil {
		t.Error("taken")
	}
}
