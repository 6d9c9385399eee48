// Command ratios measures relayd against the floor, the naive stack and real peers, and prints what was reached of the goals in one table,
// as its last line as one JSON object. It renews the second part of bench/RESULTS.md.
//
//	go run ./bench/ratios                 all of it, under ten minutes on two cores
//	go run ./bench/ratios --only cost     one section: cost, peer, knee, memory, allocations, setup, keys, growth, shards
//
// What is measured runs on CPU 0 and the load on CPU 1, targets take turns (A B A B), and what counts is ratios of medians. As root targets
// and load run before everything else on the host, and the peers are measured between two network namespaces.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/onelane/onelane/bench/internal/machine"
	"github.com/onelane/onelane/bench/internal/results"
	"github.com/onelane/onelane/bench/internal/rig"
)

// programs are what is measured and what measures.
var programs = []string{
	"cmd/relayd", "cmd/relaybench", "bench/floor", "bench/forward", "bench/naive", "bench/plainload", "bench/probe", "bench/peers/janus", "bench/peers/rtpengine",
}

// bench is one run of this program.
type bench struct {
	*rig.Rig
	figures    figures
	floorCalls float64
	janusRatio float64 // 0: not measured
}

func (b *bench) sections() []rig.Section {
	return []rig.Section{
		{Name: "cost", Run: b.cost},
		{Name: "peer", Run: b.peer},
		{Name: "knee", Run: b.knee},
		{Name: "memory", Run: b.memory},
		{Name: "allocations", Run: b.allocations},
		{Name: "setup", Run: b.setup},
		{Name: "keys", Run: b.keys},
		{Name: "growth", Run: b.growth},
		{Name: "shards", Run: b.shards},
	}
}

func main() {
	o := rig.Options{Rounds: 3, Duration: 4 * time.Second, Settle: time.Second}
	o.Flags(flag.CommandLine)
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := measure(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "ratios:", err)
		os.Exit(1)
	}
}

func measure(ctx context.Context, o rig.Options) error {
	b := &bench{Rig: rig.New(ctx, "ratios", o)}
	chosen, err := rig.Choose(b.sections(), o.Only)
	if err != nil {
		return err
	}
	m := machine.Look()
	if err := b.Build(programs...); err != nil {
		return err
	}
	took, err := b.Measure(chosen)
	if err != nil {
		return err
	}
	fmt.Println(b.table())
	if o.File != "" && o.Only == "" {
		if err := results.Replace(o.File, results.Ratios, b.markdown(m, took)); err != nil {
			return err
		}
	}
	last, err := json.Marshal(b.figures)
	if err != nil {
		return err
	}
	fmt.Println(string(last))
	return nil
}
