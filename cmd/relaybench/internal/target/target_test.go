//go:build linux

package target

import (
	"context"
	"slices"
	"strings"
	"testing"
)

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
		t.Fatal(err)
	}
	<-p.exited
	if err := p.Ready(t.Context(), func(context.Context) error { return p.err }); err == nil || !strings.Contains(err.Error(), "ended") {
		t.Errorf("got %v", err)
	}
}
