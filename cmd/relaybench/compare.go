//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/onelane/onelane/cmd/relaybench/internal/report"
)

// variant is one of the two that are compared.
type variant struct {
	path, config string
	set, env     []string
}

func (v variant) of(s settings) settings {
	if v.path != "" {
		s.relay.start = v.path
	}
	if v.config != "" {
		s.relay.config = v.config
	}
	s.relay.set = append(slices.Clone(s.relay.set), v.set...)
	s.relay.env = append(slices.Clone(s.relay.env), v.env...)
	return s
}

func compareCommand() *cobra.Command {
	var s settings
	var duration time.Duration
	var rounds int
	variants := [2]variant{}
	cmd := &cobra.Command{
		Use: "compare", Short: "Two relays or configurations in turn", Args: noArgs,
		Example: "  relaybench compare --start bin/relayd --b-set media.shards=2 --rounds 3\n  relaybench compare --a old/relayd --b new/relayd",
		Long: `compare starts A, loads it, ends it, does the same with B, and so on: A B A B. What else happens on the host then meets both, and what counts
is the ratio of their medians. A and B are --start and its flags, with what --a, --a-config, --a-set, --a-env and --b... change.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			both := [2]settings{variants[0].of(s), variants[1].of(s)}
			for _, v := range both {
				if v.relay.start == "" || v.relay.address != "" {
					return usageError{fmt.Errorf("compare starts both relays itself: give --start, or --a and --b")}
				}
				if err := v.check(); err != nil {
					return err
				}
			}
			if rounds < 1 {
				return usageError{fmt.Errorf("--rounds: at least 1")}
			}
			r := newReport("compare")
			err := compare(cmd.Context(), both, r, rounds, duration, &progress{out: cmd.ErrOrStderr()})
			return finish(cmd, &s, r, err)
		},
	}
	s.flags(cmd.Flags())
	f := cmd.Flags()
	for i, name := range []string{"a", "b"} {
		v := &variants[i]
		f.StringVar(&v.path, name, "", "`path` of the relayd, instead of --start")
		f.StringVar(&v.config, name+"-config", "", "config `file`, instead of --config")
		f.StringArrayVar(&v.set, name+"-set", nil, "a setting besides those of --set, `key=value`; repeatable")
		f.StringArrayVar(&v.env, name+"-env", nil, "a variable besides those of --env, `NAME=value`; repeatable")
	}
	f.IntVar(&rounds, "rounds", 3, "how often each is measured")
	f.DurationVarP(&duration, "time", "t", 15*time.Second, "how long packets are counted each time")
	return cmd
}

func compare(ctx context.Context, both [2]settings, r *report.Report, rounds int, duration time.Duration, p *progress) error {
	var rows [2][]report.Row
	for round := range rounds {
		for i := range both {
			row, err := once(ctx, &both[i], fmt.Sprintf("%c%d", 'A'+i, round+1), duration, p)
			if err != nil {
				return err
			}
			rows[i] = append(rows[i], row)
			r.Rows = append(r.Rows, row)
		}
	}
	r.Ratios = ratios(rows[0], rows[1])
	return nil
}

// once is one relay's turn.
func once(ctx context.Context, s *settings, label string, duration time.Duration, p *progress) (row report.Row, err error) {
	b, err := openBench(ctx, s, s.load.calls, p)
	if err != nil {
		return row, fmt.Errorf("%s: %w", label, err)
	}
	defer func() { err = errors.Join(err, b.close()) }()
	if err := b.resize(ctx, s.load.calls); err != nil {
		return row, fmt.Errorf("%s: %w", label, err)
	}
	return b.measure(ctx, label, duration, nil)
}

// figures are what two relays are compared by.
var figures = []struct {
	name string
	of   func(*report.Row) float64
}{
	{"CPU us a relayed packet", func(r *report.Row) float64 { return r.Target.CPUPerRelayed }},
	{"  user", func(r *report.Row) float64 { return r.Target.UserPerRelayed }},
	{"  system", func(r *report.Row) float64 { return r.Target.SystemPerRelayed }},
	{"system calls a relayed packet", func(r *report.Row) float64 { return r.Target.Sockets.CallsPerPacket }},
	{"wake-ups a relayed packet", func(r *report.Row) float64 { return r.Target.Sockets.WakeupsPerPacket }},
	{"CPU %", func(r *report.Row) float64 { return r.Target.CPUPercent }},
	{"waits a packet", func(r *report.Row) float64 { return r.Target.WaitsPerPacket }},
	{"heap KB a call, with garbage", func(r *report.Row) float64 { return float64(r.Target.Runtime.HeapPerCall) / 1024 }},
	{"goroutines", func(r *report.Row) float64 { return float64(r.Target.Runtime.Goroutines) }},
	{"longest GC pause us", func(r *report.Row) float64 { return r.Target.Runtime.PauseMax }},
	{"RSS MB", func(r *report.Row) float64 { return float64(r.Target.Resident) / 1e6 }},
	{"added latency p50 us", func(r *report.Row) float64 { return r.Latency.P50 }},
	{"added latency p99 us", func(r *report.Row) float64 { return r.Latency.P99 }},
	{"added latency p99.9 us", func(r *report.Row) float64 { return r.Latency.P999 }},
	{"pacing error p99 us", func(r *report.Row) float64 { return r.Pacing.P99 }},
	{"offer to keys p50 ms", func(r *report.Row) float64 { return r.SetUp.Keys.P50 }},
	{"packets lost", func(r *report.Row) float64 { return float64(r.Traffic.Lost) }},
	{"generator CPU us a packet", func(r *report.Row) float64 { return r.Generator.CPUPerPacket }},
}

func ratios(a, b []report.Row) []report.Ratio {
	var all []report.Ratio
	for _, f := range figures {
		x := report.Ratio{Figure: f.name, A: median(a, f.of), B: median(b, f.of)}
		if x.A != 0 {
			x.Ratio = x.B / x.A
		}
		all = append(all, x)
	}
	return all
}

func median(rows []report.Row, of func(*report.Row) float64) float64 {
	var values []float64
	for i := range rows {
		values = append(values, of(&rows[i]))
	}
	slices.Sort(values)
	n := len(values)
	if n == 0 {
		return 0
	}
	return (values[(n-1)/2] + values[n/2]) / 2
}
