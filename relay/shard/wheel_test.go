package shard

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestWheelFiresEveryDeadlineOnceInTimeAndNeverEarly(t *testing.T) {
	const n = 500
	rng := rand.New(rand.NewPCG(1, 2))
	w := newWheel()
	w.grow(n - 1)
	want := make([]time.Duration, n)
	var now time.Duration
	for i := range want {
		want[i] = time.Duration(rng.Int64N(int64(7 * time.Second)))
		w.arm(int32(i), want[i])
	}
	for i := 0; i < n; i += 7 { // moved, some of them closer
		want[i] = time.Duration(rng.Int64N(int64(3 * time.Second)))
		w.arm(int32(i), want[i])
	}
	for i := 3; i < n; i += 50 {
		want[i] = -1
		w.disarm(int32(i))
	}
	fired := 0
	for now < 8*time.Second {
		at, ok := w.next()
		now += time.Duration(rng.Int64N(int64(5 * time.Millisecond)))
		for i := w.expired(now); i != noCall; i = w.expired(now) {
			if want[i] < 0 {
				t.Fatalf("call %d fired, and has no deadline", i)
			}
			if now < want[i] || now > want[i]+7*time.Millisecond {
				t.Fatalf("call %d fired at %v, its deadline was %v", i, now, want[i])
			}
			if ok && at > want[i]+2*wheelTick {
				t.Fatalf("next said %v, call %d was due at %v", at, i, want[i])
			}
			want[i] = -1
			fired++
		}
	}
	if left := slices.IndexFunc(want, func(d time.Duration) bool { return d >= 0 }); left >= 0 {
		t.Fatalf("call %d never fired (deadline %v); %d did", left, want[left], fired)
	}
	if _, ok := w.next(); ok {
		t.Fatal("an empty wheel has a deadline")
	}
}

func TestWheelSurvivesALongStop(t *testing.T) {
	w := newWheel()
	w.grow(2)
	w.arm(0, 10*time.Millisecond)
	w.arm(1, 4*time.Second)
	w.arm(2, time.Hour)
	got := []int32{w.expired(10 * time.Second), w.expired(10 * time.Second)}
	slices.Sort(got)
	if !slices.Equal(got, []int32{0, 1}) || w.expired(10*time.Second) != noCall {
		t.Fatalf("fired %v", got)
	}
	if w.expired(time.Hour+time.Second) != 2 {
		t.Fatal("the last deadline was lost in the stop")
	}
}
