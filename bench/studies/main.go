// Command studies measures choices that relayd could make otherwise: options of a UDP socket, how much a port may queue, how long to
// sleep between two looks at the sockets, how many shards and whether their threads stay on one CPU. It prints tables and renews the third
// part of bench/RESULTS.md.
//
//	go run ./bench/studies                  all of it, under eight minutes on two cores
//	go run ./bench/studies --only tick      one study: options, poll, buffer, tick, shards
//
// In each study the variants take turns (A B C A B C), and what counts is ratios of medians. The choices that do not depend on what a relay
// does with a packet are tried on the floor, which does nothing with it.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/onelane/onelane/bench/internal/machine"
	"github.com/onelane/onelane/bench/internal/results"
	"github.com/onelane/onelane/bench/internal/rig"
)

// programs are what is measured and what measures.
var programs = []string{"cmd/relayd", "cmd/relaybench", "bench/floor", "bench/plainload"}

// studies is one run of this program.
type studies struct {
	*rig.Rig
	parts []string // of the results, in Markdown
}

func (s *studies) sections() []rig.Section {
	return []rig.Section{
		{Name: "options", Run: s.options},
		{Name: "poll", Run: s.poll},
		{Name: "buffer", Run: s.buffer},
		{Name: "tick", Run: s.tick},
		{Name: "shards", Run: s.shards},
	}
}

func main() {
	o := rig.Options{Rounds: 3, Duration: 2 * time.Second, Settle: 300 * time.Millisecond}
	o.Flags(flag.CommandLine)
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := measure(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "studies:", err)
		os.Exit(1)
	}
}

func measure(ctx context.Context, o rig.Options) error {
	s := &studies{Rig: rig.New(ctx, "studies", o)}
	chosen, err := rig.Choose(s.sections(), o.Only)
	if err != nil {
		return err
	}
	m := machine.Look()
	if err := s.Build(programs...); err != nil {
		return err
	}
	took, err := s.Measure(chosen)
	if err != nil {
		return err
	}
	text := s.markdown(m, took)
	fmt.Print(text)
	if o.File == "" || o.Only != "" {
		return nil
	}
	return results.Replace(o.File, results.Studies, text)
}

// markdown writes the part about studies.
func (s *studies) markdown(m machine.Machine, took time.Duration) string {
	var b strings.Builder
	fmt.Fprintf(&b, "## Studies\n\n%s\n", m.Markdown())
	fmt.Fprintf(&b, "Written by `make bench-studies` in %v: medians of %d turns of %v, in brackets each turn. 80 bytes of payload, 50 packets/s to each port and back, on loopback where nothing else is said; the target on CPU %d and the load on CPU %d. CPU is user and system time of the target over the packets that it received; on loopback the kernel's work of receiving is done by the sender and not in it. %s\n",
		took, s.Options.Rounds, s.Options.Duration, rig.TargetCPU, rig.LoadCPU, rule)
	for _, p := range s.parts {
		b.WriteString("\n" + p)
	}
	if len(s.Notes) > 0 {
		b.WriteString("\n### Notes\n\n")
	}
	for _, n := range s.Notes {
		b.WriteString("- " + n + "\n")
	}
	return b.String()
}
