//go:build linux

package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/onelane/onelane/cmd/relaybench/internal/report"
)

func attachCommand() *cobra.Command {
	var s settings
	var duration time.Duration
	var mixes []string
	cmd := &cobra.Command{
		Use: "attach", Short: "The same calls with one mix of attachments after the other", Args: noArgs,
		Example: "  relaybench attach --start bin/relayd --calls 500 --mix none --mix recording --mix recording,discard",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if len(mixes) == 0 {
				return usageError{fmt.Errorf("give a --mix or more")}
			}
			for _, m := range mixes {
				if _, err := attachments(strings.Split(m, ",")); err != nil {
					return err
				}
			}
			return runMode(cmd, &s, mode{"attach", func() int { return s.load.calls }, func(ctx context.Context, b *bench, r *report.Report) error {
				if err := b.resize(ctx, s.load.calls); err != nil {
					return err
				}
				for _, m := range mixes {
					row, err := b.mix(ctx, m, duration)
					if err != nil {
						return fmt.Errorf("mix %s: %w", m, err)
					}
					r.Rows = append(r.Rows, row)
				}
				compareMixes(r)
				return nil
			}})
		},
	}
	s.flags(cmd.Flags())
	cmd.Flags().StringArrayVar(&mixes, "mix", nil, "attachments of each call, `kind,kind`, or none; repeatable, the first is what the others are compared with")
	cmd.Flags().DurationVarP(&duration, "time", "t", 15*time.Second, "how long packets are counted for each mix")
	return cmd
}

// mix measures the calls with some attachments, and takes them off again.
func (b *bench) mix(ctx context.Context, kinds string, duration time.Duration) (row report.Row, err error) {
	list, err := attachments(strings.Split(kinds, ","))
	if err != nil {
		return row, err
	}
	b.mixes++
	b.changed = true
	for i, a := range list {
		id := fmt.Sprintf("try-%d-%d", b.mixes, i)
		if err := b.fleet.AttachAll(ctx, id, a); err != nil {
			return row, err
		}
		defer func() {
			if end := b.fleet.DetachAll(context.WithoutCancel(ctx), id); err == nil {
				err = end
			}
		}()
	}
	row, err = b.measure(ctx, kinds, duration, nil)
	row.Limits.Attach = kinds
	return row, err
}

func compareMixes(r *report.Report) {
	first := r.Rows[0]
	for _, row := range r.Rows[1:] {
		if first.Target.CPUPerRelayed > 0 {
			r.Notes = append(r.Notes, fmt.Sprintf("%s: %.2f times the CPU a packet of %s, %+.0f KB of memory a call",
				row.Label, row.Target.CPUPerRelayed/first.Target.CPUPerRelayed, first.Label,
				float64(row.Target.ResidentPerCall-first.Target.ResidentPerCall)/1024))
		}
	}
}
