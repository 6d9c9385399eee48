package main

import (
	"bytes"
	"runtime"
	"runtime/trace"
	"strings"
	"testing"
)

func TestStopsOfCollectionsAreReadFromATrace(t *testing.T) {
	const collections = 5
	var b bytes.Buffer
	if err := trace.Start(&b); err != nil {
		t.Fatal(err)
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
			}
		}
	}()
	for range collections {
		runtime.GC()
	}
	trace.Stop()
	close(stop)
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
