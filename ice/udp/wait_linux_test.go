//go:build linux && (amd64 || arm64)

package udp

import (
	"testing"
	"time"
)

func TestAlarmIsSetOnceForManyWaits(t *testing.T) {
	a, err := newAlarm()
	if err != nil {
		t.Fatal(err)
	}
	defer a.close()
	for _, c := range []struct {
		now, until, want time.Duration
		rang             bool
	}{
		{now: 0, until: never, want: never},
		{now: 0, until: time.Hour, want: time.Hour},
		{now: 1, until: time.Hour + 1, want: time.Hour},
		{now: 2, until: never, want: time.Hour},
		{now: 3, until: time.Minute, want: time.Minute},
		{now: 4, until: time.Hour, want: time.Minute},
		{now: 5, until: time.Hour, want: time.Hour, rang: true},
		{now: 6, until: never - 1, want: time.Hour},
	} {
		if c.rang {
			a.rang()
		}
		if errno := a.set(c.now, c.until); errno != 0 || a.at != c.want {
			t.Errorf("%+v: set for %s, %v", c, a.at, errno)
		}
	}
}

// The alarm of a wait that ended early stays set. It must neither end a later wait too early nor be missing for one that ends before it.
func TestAlarmOfAnEarlierWait(t *testing.T) {
	p := newEpoll(t, Options{})
	port, to := open(t, p, local4)
	batch := make([]Datagram, 4)
	left := func(wait time.Duration) {
		t.Helper()
		p.Send([]Datagram{{Port: port, Remote: to, Data: []byte("x")}})
		if n, err := p.Receive(batch, wait); n != 1 || err != nil {
			t.Fatal(n, err)
		}
	}
	waits := func(wait, most time.Duration) {
		t.Helper()
		start := time.Now()
		for time.Since(start) < wait { // a signal of the runtime's ends a wait
			began := time.Now()
			n, err := p.Receive(batch, wait-time.Since(start))
			if n != 0 || err != nil {
				t.Fatal(n, err)
			}
			if time.Since(began) > most {
				t.Fatalf("told to wait %s, waited %s", wait, time.Since(began))
			}
		}
	}
	left(time.Hour)
	waits(time.Millisecond, 10*time.Second)
	left(2 * time.Millisecond)
	waits(20*time.Millisecond, 10*time.Second)
	left(time.Millisecond)
	before := p.Counters().Wakeups
	go p.Wake()
	if n, err := p.Receive(batch, -1); n != 0 || err != nil {
		t.Fatal(n, err)
	}
	waits(5*time.Millisecond, 10*time.Second)
	if after := p.Counters().Wakeups; after-before > 20 {
		t.Errorf("%d returns for two waits", after-before)
	}
	left(1 << 62)
	left(1<<63 - 1)
}
