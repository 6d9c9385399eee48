// Command counts counts what a packet costs apart from time: instructions and cache misses an operation of the packet path's benchmarks,
// warm and cold. Times differ from run to run and from machine to machine; counts do not, so that they show a change of one per cent.
//
//	go run ./bench/counts                    all of it, under five minutes on two cores
//	go run ./bench/counts --only Core/echo   what begins so
//	go run ./bench/counts --times 2          and how far two runs are apart
//
// The benchmarks run in valgrind's callgrind, which carries out the program on a processor of its own with caches of a given size. Each runs
// twice, for a low and a high number of operations; the difference over the difference of the numbers is an operation's, and what a benchmark
// does before and after falls out. It renews the third part of bench/RESULTS.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/onelane/onelane/bench/internal/machine"
	"github.com/onelane/onelane/bench/internal/results"
)

type options struct {
	only  string
	file  string
	times int
}

func main() {
	var o options
	flag.StringVar(&o.only, "only", "", "benchmarks whose name begins so; empty: all")
	flag.StringVar(&o.file, "file", results.File, "where the results are written when all ran; empty: nowhere")
	flag.IntVar(&o.times, "times", 1, "how often each is counted; the median is told")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := measure(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "counts:", err)
		os.Exit(1)
	}
}

func measure(ctx context.Context, o options) error {
	chosen := choose(o.only)
	if len(chosen) == 0 || o.times < 1 {
		return fmt.Errorf("nothing to count: no benchmark begins with %q, or --times is below 1", o.only)
	}
	folder, err := os.MkdirTemp("", "counts")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	began := time.Now()
	m := machine.Look()
	if err := build(ctx, folder, chosen); err != nil {
		return err
	}
	rows, err := count(ctx, folder, chosen, o.times)
	if err != nil {
		return err
	}
	fmt.Println(table(rows))
	notes := []string{hardware(ctx)}
	if o.times > 1 {
		notes = append(notes, apart(rows))
	}
	for _, n := range notes {
		fmt.Println(n)
	}
	if o.file == "" || o.only != "" {
		return nil
	}
	return results.Replace(o.file, results.Counts, markdown(m, rows, notes, o.times, time.Since(began).Round(time.Second)))
}

// build makes one test binary a package.
func build(ctx context.Context, folder string, chosen []subject) error {
	built := map[string]bool{}
	for _, s := range chosen {
		if built[s.folder] {
			continue
		}
		built[s.folder] = true
		out, err := exec.CommandContext(ctx, "go", "test", "-c", "-trimpath", "-o", binary(folder, s), "./"+s.folder).CombinedOutput()
		if err != nil {
			return fmt.Errorf("build the tests of %s: %w: %s", s.folder, err, out)
		}
	}
	return nil
}

func binary(folder string, s subject) string {
	return filepath.Join(folder, strings.ReplaceAll(s.folder, "/", "-")+".test")
}

// count counts all, as many at a time as there are CPUs: what else the machine does changes no count.
func count(ctx context.Context, folder string, chosen []subject, times int) ([]row, error) {
	rows := make([]row, len(chosen))
	problems := make([]error, len(chosen))
	free := make(chan struct{}, runtime.NumCPU())
	var all sync.WaitGroup
	for i, s := range chosen {
		free <- struct{}{}
		all.Go(func() {
			defer func() { <-free }()
			rows[i].subject = s
			for range times {
				c, err := operation(ctx, binary(folder, s), s)
				if err != nil {
					problems[i] = fmt.Errorf("%s: %w", s.name, err)
					return
				}
				rows[i].runs = append(rows[i].runs, c)
			}
			fmt.Fprintf(os.Stderr, "counts: %s: %.0f instructions\n", s.name, rows[i].median()[instructions])
		})
	}
	all.Wait()
	return rows, errors.Join(problems...)
}

// hardware tells whether the machine lets us count its own events.
func hardware(ctx context.Context) string {
	cmd := exec.CommandContext(ctx, "perf", "stat", "-x", ",", "-e", "instructions:u", "true")
	out, err := cmd.CombinedOutput()
	if err == nil && counts(string(out)) {
		return "the machine's own counters are to be had (perf stat); these are callgrind's all the same, which count one function and repeat"
	}
	return "the machine's own counters (perf stat -e instructions) are not to be had here: these are callgrind's"
}

// counts tells whether the output of perf stat -x , has a number.
func counts(out string) bool {
	for line := range strings.Lines(out) {
		value, rest, ok := strings.Cut(line, ",")
		if ok && strings.Contains(rest, "instructions") {
			return value != "" && strings.Trim(value, "0123456789") == ""
		}
	}
	return false
}
