//go:build linux

package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/onelane/onelane/cmd/relaybench/internal/report"
)

func soakCommand() *cobra.Command {
	var s settings
	var duration, every time.Duration
	cmd := &cobra.Command{
		Use: "soak", Short: "The same calls for a long time, a row now and then", Args: noArgs,
		Example: "  relaybench soak --relayd 127.0.0.1:7070 --pid 1234 --calls 200 --time 12h --row 10m",
		Long: `soak keeps --calls calls alive and gives a row for every --row of them. Half a second between two rows is not counted, so that what is on its way
at the end of a row is not taken for lost. At the end it says what has grown.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if every < time.Second || duration < every {
				return usageError{fmt.Errorf("--row is 1s or more, --time not shorter")}
			}
			return runMode(cmd, &s, mode{"soak", func() int { return s.load.calls }, func(ctx context.Context, b *bench, r *report.Report) error {
				if err := b.resize(ctx, s.load.calls); err != nil {
					return err
				}
				return b.soak(ctx, r, int(duration/every), every)
			}})
		},
	}
	s.flags(cmd.Flags())
	cmd.Flags().DurationVarP(&duration, "time", "t", time.Hour, "how long")
	cmd.Flags().DurationVar(&every, "row", time.Minute, "a row every so often")
	return cmd
}

// soak measures some rows one after the other. When it is interrupted, those that are there are reported.
func (b *bench) soak(ctx context.Context, r *report.Report, rows int, every time.Duration) error {
	for i := range rows {
		row, err := b.measure(ctx, (time.Duration(i+1) * every).String(), every, nil)
		if err != nil {
			if ctx.Err() != nil && len(r.Rows) > 0 {
				r.Notes = append(r.Notes, "interrupted")
				break
			}
			return err
		}
		r.Rows = append(r.Rows, row)
	}
	first, last := r.Rows[0].Target, r.Rows[len(r.Rows)-1].Target
	if a, z := first.Runtime, last.Runtime; a.Known && z.Known {
		r.Notes = append(r.Notes, fmt.Sprintf("from the first row to the last: goroutines %+d, heap alive %+.1f MB, stacks %+.1f MB",
			z.Goroutines-a.Goroutines, float64(z.HeapLive-a.HeapLive)/1e6, float64(z.Stack-a.Stack)/1e6))
	}
	if first.PID != 0 {
		r.Notes = append(r.Notes, fmt.Sprintf("from the first row to the last: memory %+.1f MB, descriptors %+d, CPU a packet %+.1f %%",
			float64(last.Resident-first.Resident)/1e6, last.Descriptors-first.Descriptors,
			100*(last.CPUPerRelayed-first.CPUPerRelayed)/max(first.CPUPerRelayed, 0.001)))
	}
	return nil
}
