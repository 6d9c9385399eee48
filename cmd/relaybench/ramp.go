//go:build linux

package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/onelane/onelane/cmd/relaybench/internal/report"
)

func rampCommand() *cobra.Command {
	var s settings
	var duration time.Duration
	var from, to, step int
	cmd := &cobra.Command{
		Use: "ramp", Short: "More and more calls, a row for each number", Args: noArgs,
		Example: "  relaybench ramp --start bin/relayd --from 100 --to 1000 --step 100",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if from < 1 || to < from || step < 1 {
				return usageError{fmt.Errorf("--from %d --to %d --step %d: from 1 up, by 1 or more", from, to, step)}
			}
			if err := noCalls(cmd); err != nil {
				return err
			}
			return runMode(cmd, &s, mode{"ramp", func() int { return to }, func(ctx context.Context, b *bench, r *report.Report) error {
				for n := from; n <= to; n += step {
					row, err := b.level(ctx, n, duration)
					if err != nil {
						return err
					}
					r.Rows = append(r.Rows, row)
				}
				return nil
			}})
		},
	}
	s.flags(cmd.Flags())
	f := cmd.Flags()
	f.IntVar(&from, "from", 100, "calls at first")
	f.IntVar(&to, "to", 1000, "calls at last")
	f.IntVar(&step, "step", 100, "calls more each time")
	f.DurationVarP(&duration, "time", "t", 10*time.Second, "how long packets are counted at each number")
	return cmd
}

// level measures with a number of calls.
func (b *bench) level(ctx context.Context, n int, duration time.Duration) (report.Row, error) {
	if err := b.resize(ctx, n); err != nil {
		return report.Row{}, err
	}
	return b.measure(ctx, fmt.Sprint(n), duration, nil)
}

// bounds are what a number of calls must keep to be held.
type bounds struct {
	latency, pacing time.Duration // 99th percentiles
	worst           time.Duration // the pacing error of any packet; 0: not bounded
}

// held says whether a row keeps the bounds, and if not what it breaks.
func (l bounds) held(r *report.Row) (bool, string) {
	switch {
	case len(r.Problems) > 0:
		return false, r.Problems[0]
	case r.Latency.P99 > float64(l.latency)/1e3:
		return false, fmt.Sprintf("p99 added latency %.2f ms is over %v", r.Latency.P99/1e3, l.latency)
	case r.Pacing.P99 > float64(l.pacing)/1e3:
		return false, fmt.Sprintf("p99 pacing error %.2f ms is over %v", r.Pacing.P99/1e3, l.pacing)
	case l.worst > 0 && r.Pacing.Max > float64(l.worst)/1e3:
		return false, fmt.Sprintf("the longest pacing error %.2f ms is over %v", r.Pacing.Max/1e3, l.worst)
	}
	return true, ""
}

// search finds the most calls that are held: by half as many more each time, and then by halves between the last that was held and the
// first that was not.
type search struct {
	from, most, precision int
	tries                 int // a number fails when it does so this often in a row: one bad second is not the relay's limit
}

// next is the number to try after held calls were held and failed (0: none yet) were not; 0 when it is known well enough.
func (s search) next(held, failed int) int {
	switch {
	case held == 0 && failed == 0:
		return min(s.from, s.most)
	case failed == 0 && held >= s.most:
		return 0
	case failed == 0:
		return min(held+held/2+1, s.most)
	case failed-held <= max(1, failed*s.precision/100):
		return 0
	}
	return held + (failed-held)/2
}

func kneeCommand() *cobra.Command {
	var s settings
	var duration time.Duration
	var l bounds
	var q search
	cmd := &cobra.Command{
		Use: "knee", Short: "The most calls without loss and within bounds", Args: noArgs,
		Example: "  relaybench knee --start bin/relayd --relay-cpus 0 --own-cpus 1 --rtp",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if q.from < 1 || q.most < q.from || q.precision < 1 || q.tries < 1 {
				return usageError{fmt.Errorf("--from, --to, --precision and --tries: 1 or more, and --to not below --from")}
			}
			if err := noCalls(cmd); err != nil {
				return err
			}
			return runMode(cmd, &s, mode{"knee", func() int { return q.most }, func(ctx context.Context, b *bench, r *report.Report) error {
				return b.knee(ctx, r, q, l, duration)
			}})
		},
	}
	s.flags(cmd.Flags())
	f := cmd.Flags()
	f.IntVar(&q.from, "from", 200, "calls at first")
	f.IntVar(&q.most, "to", 4000, "no more than this many")
	f.IntVar(&q.precision, "precision", 5, "how exactly, in per cent")
	f.IntVar(&q.tries, "tries", 2, "how often a number has to fail")
	f.DurationVar(&l.latency, "max-latency", 2*time.Millisecond, "99th percentile of the added latency, at most")
	f.DurationVar(&l.pacing, "max-pacing", 10*time.Millisecond, "99th percentile of the pacing error, at most")
	f.DurationVar(&l.worst, "worst-pacing", 60*time.Millisecond, "pacing error of any packet, at most: more than a phone's shortest jitter buffer hides; 0: not bounded")
	f.DurationVarP(&duration, "time", "t", 10*time.Second, "how long packets are counted at each number")
	return cmd
}

// moreTries is how often a measurement that is doubtful is made again, besides the tries.
const moreTries = 2

// spent is how much of the CPUs that it may use, in per cent, a relay has used when it can do no more: packets come in bursts, and for the
// length of one it uses all.
const spent = 85

// counts tells whether a failure is the relay's: nothing disturbed the measurement, or the relay has come to its end whatever did. cpus is how
// many it may use; 0: that is not known.
func counts(row *report.Row, cpus int) bool {
	return len(row.Doubts) == 0 || cpus > 0 && row.Target.CPUPercent >= float64(spent*cpus)
}

// holds tries a number of calls. sound is false when no failure counted.
func (b *bench) holds(ctx context.Context, r *report.Report, n int, q search, l bounds, duration time.Duration) (good, sound bool, err error) {
	cpus, err := cpuList(b.settings.relay.cpus)
	if err != nil {
		return false, false, err
	}
	failures := 0
	for try := 0; try < q.tries+moreTries && failures < q.tries; try++ {
		row, err := b.level(ctx, n, duration)
		if err != nil {
			return false, false, err
		}
		good, why := l.held(&row)
		if good {
			r.Rows = append(r.Rows, row)
			return true, true, nil
		}
		if late := row.Generator.Late.Max; l.worst > 0 && late > float64(l.worst)/2e3 {
			row.Doubts = append(row.Doubts, fmt.Sprintf("a packet was sent %.1f ms late, which a pacing error may come from", late/1e3))
		}
		if counts(&row, len(cpus)) {
			failures++
		}
		b.progress.say(fmt.Sprintf("%d calls: %s", n, why))
		row.Label += " over"
		row.Doubts = append(row.Doubts, "not held: "+why)
		row.Problems = []string{} // that is what was looked for
		r.Rows = append(r.Rows, row)
	}
	return false, failures > 0, nil
}

func (b *bench) knee(ctx context.Context, r *report.Report, q search, l bounds, duration time.Duration) error {
	var held, failed, doubtful int
	bounded := ""
	if room := b.room(q.most); room < q.most {
		q.most = room
		bounded = fmt.Sprintf("; the relay takes no more than %d (limited by %s)", room, limiter(b.first))
	}
	for n := q.next(0, 0); n > 0; n = q.next(held, failed) {
		good, sound, err := b.holds(ctx, r, n, q, l, duration)
		if err != nil {
			return err
		}
		if good {
			held = n
		} else {
			failed = n
		}
		if !sound {
			doubtful++
		}
		if held == 0 && failed <= 1 {
			break
		}
	}
	if held == 0 && len(r.Rows) > 0 {
		last := &r.Rows[len(r.Rows)-1]
		last.Problems = append(last.Problems, "not one number of calls was held")
	}
	r.Summary = map[string]any{"calls_held": held, "calls_failed": failed, "max_latency_us": float64(l.latency) / 1e3, "max_pacing_us": float64(l.pacing) / 1e3}
	note := fmt.Sprintf("knee: %d calls held, %d not", held, failed)
	if failed == 0 {
		note = fmt.Sprintf("knee: %d calls held, and no more were tried", held)
	}
	if doubtful > 0 {
		note += fmt.Sprintf("; %d numbers failed only while the generator itself was disturbed: the knee may be higher", doubtful)
	}
	r.Notes = append(r.Notes, note+bounded)
	return nil
}
