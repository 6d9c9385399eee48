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
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/onelane/onelane/bench/internal/machine"
	"github.com/onelane/onelane/bench/internal/results"
)

type options struct {
	rounds   int
	duration time.Duration
	only     string
	file     string
	verbose  bool
}

// section is one part of the measurement.
type section struct {
	name string
	run  func(*bench) error
}

var sections = []section{
	{"cost", (*bench).cost},
	{"peer", (*bench).peer},
	{"knee", (*bench).knee},
	{"memory", (*bench).memory},
	{"allocations", (*bench).allocations},
	{"setup", (*bench).setup},
	{"keys", (*bench).keys},
	{"growth", (*bench).growth},
	{"shards", (*bench).shards},
}

func main() {
	var o options
	flag.IntVar(&o.rounds, "rounds", 3, "how often each target has its turn")
	flag.DurationVar(&o.duration, "time", 5*time.Second, "how long packets are counted each time")
	flag.StringVar(&o.only, "only", "", "sections, separated by commas; empty: all")
	flag.StringVar(&o.file, "file", results.File, "where the results are written; empty: nowhere")
	flag.BoolVar(&o.verbose, "v", false, "show what the programs say")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := measure(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "ratios:", err)
		os.Exit(1)
	}
}

func measure(ctx context.Context, o options) error {
	chosen, err := choose(o.only)
	if err != nil {
		return err
	}
	m := machine.Look()
	b := &bench{options: o, ctx: ctx}
	if err := b.build(); err != nil {
		return err
	}
	began := time.Now()
	for _, s := range chosen {
		b.say("%s, %v after the start", s.name, time.Since(began).Round(time.Second))
		if err := s.run(b); err != nil {
			b.note("%s: not measured: %v", s.name, err)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	took := time.Since(began).Round(time.Second)
	fmt.Println(b.table())
	if o.file != "" && o.only == "" {
		if err := results.Replace(o.file, results.Ratios, b.markdown(m, took)); err != nil {
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

func choose(only string) ([]section, error) {
	if only == "" {
		return sections, nil
	}
	var chosen []section
	for name := range strings.SplitSeq(only, ",") {
		i := slices.IndexFunc(sections, func(s section) bool { return s.name == name })
		if i < 0 {
			return nil, fmt.Errorf("there is no section %q", name)
		}
		chosen = append(chosen, sections[i])
	}
	return chosen, nil
}
