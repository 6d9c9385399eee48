//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/onelane/onelane/cmd/relaybench/internal/report"
)

// mode is what a subcommand measures. most is how many calls the relay must take.
type mode struct {
	name string
	most func() int
	run  func(ctx context.Context, b *bench, r *report.Report) error
}

// runMode checks the flags, opens the bench, measures and reports.
func runMode(cmd *cobra.Command, s *settings, m mode) error {
	if err := s.check(); err != nil {
		return err
	}
	p := &progress{out: cmd.ErrOrStderr()}
	r := newReport(m.name)
	b, err := openBench(cmd.Context(), s, m.most(), p)
	if err != nil {
		return err
	}
	err = m.run(cmd.Context(), b, r)
	err = errors.Join(err, b.close())
	return finish(cmd, s, r, err)
}

// finish writes the report of what there is, and says whether it is good.
func finish(cmd *cobra.Command, s *settings, r *report.Report, err error) error {
	if len(r.Rows) == 0 {
		return err
	}
	if s.output.json {
		e := json.NewEncoder(cmd.OutOrStdout())
		err = errors.Join(err, e.Encode(r))
	} else {
		r.Text(cmd.OutOrStdout())
	}
	if s.output.html != "" {
		err = errors.Join(err, writePage(s.output.html, r))
	}
	if err == nil && !r.OK() {
		err = errVerdict
	}
	return err
}

func writePage(path string, r *report.Report) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(r.HTML(f), f.Close())
}

func newReport(mode string) *report.Report {
	host := report.Host{CPUs: runtime.NumCPU(), Go: runtime.Version(), Command: strings.Join(os.Args, " "), Time: time.Now().UTC().Format(time.RFC3339)}
	var name unix.Utsname
	if unix.Uname(&name) == nil {
		host.Kernel = unix.ByteSliceToString(name.Release[:])
	}
	text, _ := os.ReadFile("/proc/cpuinfo") // not there: not named
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			host.CPU = strings.TrimSpace(value)
			break
		}
	}
	return &report.Report{Mode: mode, Host: host, Rows: []report.Row{}, Notes: []string{
		"what is a packet's is over the RTP packets that the relay received; CPU time is the kernel's, in steps of 10 ms",
		"goroutines, heap, stacks, collections, system calls and wake-ups are what the relay tells (GetNode); system calls are those of its media sockets, waits all voluntary context switches of its process",
	}}
}

func runCommand() *cobra.Command {
	var s settings
	var duration time.Duration
	cmd := &cobra.Command{
		Use: "run", Short: "A number of calls for a time", Args: noArgs,
		Example: "  relaybench run --start bin/relayd --calls 500 --attach recording --time 30s",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runMode(cmd, &s, mode{"run", func() int { return s.load.calls }, func(ctx context.Context, b *bench, r *report.Report) error {
				if err := b.resize(ctx, s.load.calls); err != nil {
					return err
				}
				row, err := b.measure(ctx, "run", duration, nil)
				if err != nil {
					return fmt.Errorf("measure: %w", err)
				}
				r.Rows = append(r.Rows, row)
				return nil
			}})
		},
	}
	s.flags(cmd.Flags())
	cmd.Flags().DurationVarP(&duration, "time", "t", 30*time.Second, "how long packets are counted")
	return cmd
}
