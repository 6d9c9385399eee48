package udptest

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"
)

func ringEndsAWait(t *testing.T, r Rig) {
	bell := r.Ports.Bell()
	if r.Ports.Bell() != bell {
		t.Error("another bell")
	}
	var done, rung atomic.Int64 // by the owner, and as seen by who waits
	waited := make(chan struct{})
	go func() {
		defer close(waited)
		for bell.Wait() {
			rung.Store(done.Load())
		}
	}()
	const rings = 1000
	for range rings {
		done.Add(1)
		bell.Ring()
	}
	for deadline := time.Now().Add(patience); rung.Load() != rings; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("after %d rings who waits has seen what was done before ring %d", rings, rung.Load())
		}
	}
	if err := r.Ports.Shutdown(); err != nil {
		t.Fatal(err)
	}
	<-waited
}

func shutdownEndsTheBell(t *testing.T, r Rig) {
	if err := r.Ports.Shutdown(); err != nil {
		t.Fatal(err)
	}
	bell := r.Ports.Bell()
	for range 2 {
		if bell.Wait() {
			t.Error("rung after Shutdown")
		}
	}
}
