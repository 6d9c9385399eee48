//go:build linux

package target

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestTraceOfTheCollectorIsRead(t *testing.T) {
	var g Garbage
	for _, line := range []string{
		"gc 7 @1.204s 1%: 0.032+1.9+0.004 ms clock, 0.064+0.5/1.6/0+0.008 ms cpu, 11->12->6 MB, 12 MB goal, 0 MB stacks, 0 MB globals, 2 P",
		"gc 8 @2.204s 1%: 0.012+1.1+0.25 ms clock, 0.064+0.5/1.6/0+0.008 ms cpu, 11->12->7 MB, 12 MB goal, 0 MB stacks, 0 MB globals, 2 P (forced)",
	} {
		if !g.read(line) {
			t.Fatalf("not read: %s", line)
		}
	}
	want := Garbage{Cycles: 2, Live: 7 << 20, Pause: 250 * time.Microsecond, Total: 298 * time.Microsecond}
	if g != want {
		t.Errorf("got %+v, want %+v", g, want)
	}
	for _, line := range []string{"", "gc", "gc 7 forced", `level=WARN msg="gc 1 @"`, "gc 1 @1s 1%: a+b+c ms clock, x"} {
		if g.read(line) {
			t.Errorf("read as a trace: %q", line)
		}
	}
}

func TestSettingsBecomeFlagsAndTheUsersComeLast(t *testing.T) {
	args := Options{Config: "x.yaml", Set: []string{"media.shards=2", "calls.max=7"}, Calls: 500, PortMin: 10000, PortMax: 19999, Folder: "out"}.flags("127.0.0.1:7000")
	if args[0] != "--config=x.yaml" {
		t.Errorf("the file comes %v", args)
	}
	first, last := slices.Index(args, "--calls-max=500"), slices.Index(args, "--calls-max=7")
	if first < 0 || last < first || !slices.Contains(args, "--media-shards=2") || !slices.Contains(args, "--recording-folder=out/recordings") {
		t.Errorf("flags are %s", strings.Join(args, " "))
	}
}

func TestRelayThatEndsAtOnceIsTold(t *testing.T) {
	p, err := Start(Options{Path: "false"})
	if err != nil {
		t.Skip(err)
	}
	<-p.exited
	if err := p.Ready(t.Context(), func(context.Context) error { return p.err }); err == nil || !strings.Contains(err.Error(), "ended") {
		t.Errorf("got %v", err)
	}
}
