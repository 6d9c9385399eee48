//go:build linux

package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/onelane/onelane/cmd/relaybench/internal/report"
)

// churn is calls that come and go beside the live ones.
type churn struct {
	bench *bench
	rate  float64       // set-ups a second; 0: as many as parallel ones can
	hold  time.Duration // a call lives
	most  int           // calls at a time

	done    atomic.Uint64 // set up
	ended   atomic.Uint64 // torn down
	skipped atomic.Uint64 // not begun: most were there
	failed  atomic.Value  // the first error
}

func churnCommand() *cobra.Command {
	var s settings
	var duration time.Duration
	var c churn
	cmd := &cobra.Command{
		Use: "churn", Short: "Set-ups and tear-downs beside live calls", Args: noArgs,
		Example: "  relaybench churn --start bin/relayd --calls 200 --rate 100 --time 30s",
		Long: `churn keeps --calls calls alive and counts their packets, while other calls are set up --rate times a second, live for --hold and end.
With --rate 0 as many are set up as --parallel ones can, one after the other.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if c.rate < 0 || c.hold < 0 {
				return usageError{fmt.Errorf("--rate and --hold are not negative")}
			}
			if c.most = s.load.parallel; c.rate > 0 {
				c.most = int(c.rate*(c.hold.Seconds()+churnSetUp.Seconds())) + 1
			}
			return runMode(cmd, &s, mode{"churn", func() int { return s.load.calls + c.most }, func(ctx context.Context, b *bench, r *report.Report) error {
				if err := b.resize(ctx, s.load.calls); err != nil {
					return err
				}
				live := b.fleet.Timings() // those of the live calls are not what is measured
				c.bench = b
				row, err := b.measure(ctx, "churn", duration, func(ctx context.Context) error { return c.run(ctx, duration) })
				if err != nil {
					return err
				}
				row.SetUp.PerSecond, row.SetUp.Ended = float64(c.done.Load())/row.Seconds, float64(c.ended.Load())/row.Seconds
				r.Rows = append(r.Rows, row)
				r.Notes = append(r.Notes, c.notes(row, live.Failed)...)
				return nil
			}})
		},
	}
	s.flags(cmd.Flags())
	cmd.Flags().Float64Var(&c.rate, "rate", 100, "set-ups a second; 0: as many as possible")
	cmd.Flags().DurationVar(&c.hold, "hold", time.Second, "how long a call lives that comes and goes")
	cmd.Flags().DurationVarP(&duration, "time", "t", 30*time.Second, "how long")
	return cmd
}

// churnSetUp is how long set-ups may take before new ones are left out.
const churnSetUp = 2 * time.Second

func (c *churn) notes(row report.Row, liveFailed int) []string {
	notes := []string{fmt.Sprintf("%.1f set-ups and %.1f tear-downs a second beside %d live calls, wanted %s; %d left out because %d were under way",
		row.SetUp.PerSecond, row.SetUp.Ended, row.Calls, c.wanted(), c.skipped.Load(), c.most)}
	if err := c.failed.Load(); err != nil {
		notes = append(notes, fmt.Sprintf("the first failure: %v", err))
	}
	if liveFailed > 0 {
		notes = append(notes, fmt.Sprintf("%d set-ups of live calls failed", liveFailed))
	}
	return notes
}

func (c *churn) wanted() string {
	if c.rate == 0 {
		return "as many as possible"
	}
	return fmt.Sprint(c.rate)
}

// run sets calls up for a time and awaits the end of each.
func (c *churn) run(ctx context.Context, duration time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, duration)
	defer cancel()
	var calls sync.WaitGroup
	defer calls.Wait()
	if c.rate == 0 {
		for range c.most {
			calls.Go(func() {
				for ctx.Err() == nil {
					c.call(ctx)
				}
			})
		}
		return nil
	}
	ticker := time.NewTicker(time.Duration(float64(time.Second) / c.rate))
	defer ticker.Stop()
	slots := make(chan struct{}, c.most)
	began, begun := time.Now(), 0
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		// A ticker leaves ticks out when it is late; the rate is kept all the same.
		for due := int(time.Since(began).Seconds() * c.rate); begun < due; begun++ {
			select {
			case slots <- struct{}{}:
				calls.Go(func() {
					defer func() { <-slots }()
					c.call(ctx)
				})
			default:
				c.skipped.Add(1)
			}
		}
	}
}

// call is the life of one call. It is set up and ended also when the time is over meanwhile.
func (c *churn) call(ctx context.Context) {
	whole := context.WithoutCancel(ctx)
	call, err := c.bench.fleet.SetUp(whole)
	if err != nil {
		c.failed.CompareAndSwap(nil, err.Error())
		return
	}
	if ctx.Err() == nil {
		c.done.Add(1)
	}
	_ = wait(ctx, c.hold)
	if err := c.bench.fleet.End(whole, call); err != nil {
		c.failed.CompareAndSwap(nil, err.Error())
		return
	}
	if ctx.Err() == nil {
		c.ended.Add(1)
	}
}
