package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/onelane/onelane/bench/internal/child"
	"github.com/onelane/onelane/bench/internal/hosts"
	"github.com/onelane/onelane/bench/internal/results"
)

// bench is one run of this program.
type bench struct {
	options    options
	ctx        context.Context
	bin        string
	figures    figures
	floorCalls float64
	janusRatio float64 // 0: not measured
	notes      []string
}

const (
	// targetCPU and loadCPU keep what is measured and what measures apart.
	targetCPU = 0
	loadCPU   = 1
	// before puts a target before everything else on the host but the load, which is in real time, and leaves relayd's media threads
	// room to go before the rest of relayd.
	before = -10
	// readyTime is how long a program may take to be ready.
	readyTime = 15 * time.Second
)

// say tells how far it is.
func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "ratios: "+format+"\n", args...)
}

// note keeps what a reader of the results has to know.
func (b *bench) note(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	b.notes = append(b.notes, text)
	b.say("%s", text)
}

func (b *bench) build() error {
	b.bin = filepath.Join("build", "bench")
	if err := os.MkdirAll(b.bin, 0o755); err != nil {
		return err
	}
	args := []string{"build", "-trimpath", "-o", b.bin + "/"}
	for _, p := range []string{"cmd/relayd", "cmd/relaybench", "bench/floor", "bench/forward", "bench/naive", "bench/plainload", "bench/probe", "bench/peers/janus", "bench/peers/rtpengine"} {
		args = append(args, "./"+p)
	}
	if out, err := exec.CommandContext(b.ctx, "go", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("build: %w: %s", err, out)
	}
	return nil
}

func (b *bench) path(name string) string { return filepath.Join(b.bin, name) }

// start starts a target on its CPU.
func (b *bench) start(name string, args ...string) (*child.Process, error) {
	return child.Start(child.Options{CPUs: []int{targetCPU}, Nice: before, Log: b.log()}, b.path(name), args...)
}

// log is where the programs' errors go; nil: ours.
func (b *bench) log() *os.File {
	if b.options.verbose {
		return nil
	}
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return nil
	}
	return null
}

// spread is a distribution in relaybench's report.
type spread struct {
	P50, P99, P999, Max float64
}

// row is what is used of a row of relaybench's report.
type row struct {
	Label   string  `json:"label"`
	Calls   int     `json:"calls"`
	Seconds float64 `json:"seconds"`
	Traffic struct {
		Sent     uint64 `json:"sent"`
		Received uint64 `json:"received"`
		Lost     uint64 `json:"lost"`
	} `json:"traffic"`
	Latency spread `json:"added_latency_us"`
	SetUp   struct {
		Failed    int     `json:"failed"`
		PerSecond float64 `json:"per_second"`
		Keys      spread  `json:"offer_to_keys_ms"`
	} `json:"set_up"`
	Target struct {
		CPU           float64 `json:"cpu_percent"`
		CPUPerRelayed float64 `json:"cpu_us_per_relayed_packet"`
		Relayed       uint64  `json:"datagrams_received"`
		Resident      int64   `json:"rss_bytes_per_call"`
		Runtime       struct {
			Cycles   int     `json:"gc_cycles"`
			PauseMax float64 `json:"gc_pause_max_us"`
		} `json:"runtime"`
	} `json:"target"`
	Generator struct {
		CPU float64 `json:"cpu_percent"`
	} `json:"generator"`
	Problems []string `json:"problems"`
	Doubts   []string `json:"doubts"`
}

// report is what is used of it.
type report struct {
	Rows    []row `json:"rows"`
	Summary struct {
		Held   int `json:"calls_held"`
		Failed int `json:"calls_failed"`
	} `json:"summary"`
	Ratios []struct {
		Figure string  `json:"figure"`
		Ratio  float64 `json:"b_over_a"`
		A      float64 `json:"a"`
		B      float64 `json:"b"`
	} `json:"ratios"`
}

// relaybench runs it in one mode, on the load's CPU.
func (b *bench) relaybench(mode string, args ...string) (report, error) {
	return b.relaybenchOn("", mode, args...)
}

// relaybenchOn runs it on a host.
func (b *bench) relaybenchOn(h hosts.Host, mode string, args ...string) (report, error) {
	args = append([]string{mode, "--json", "--own-cpus", strconv.Itoa(loadCPU), "--settle", "1s"}, args...)
	var r report
	out, err := b.outputOn(h, b.path("relaybench"), args...)
	var status *exec.ExitError
	if err != nil && (!errors.As(err, &status) || len(out) == 0) { // with an outcome, the error is the verdict that stands in it
		return r, fmt.Errorf("relaybench %s: %w", mode, err)
	}
	if err := json.Unmarshal(out, &r); err != nil {
		return r, fmt.Errorf("relaybench %s: %w", mode, err)
	}
	for _, row := range r.Rows {
		for _, p := range row.Problems {
			b.say("  %s: %s", row.Label, p)
		}
	}
	if len(r.Rows) == 0 {
		return r, fmt.Errorf("relaybench %s: no row", mode)
	}
	return r, nil
}

// relayd is the flags that have relaybench start the edge on the target's CPU.
func (b *bench) relayd(more ...string) []string {
	return append([]string{"--start", b.path("relayd"), "--relay-cpus", strconv.Itoa(targetCPU), "--relay-nice", strconv.Itoa(before)}, more...)
}

// output runs a program and gives what it prints.
func (b *bench) output(name string, args ...string) ([]byte, error) {
	return b.outputOn("", name, args...)
}

func (b *bench) outputOn(h hosts.Host, name string, args ...string) ([]byte, error) {
	cmd := h.Command(b.ctx, name, args...)
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	if b.options.verbose {
		cmd.Stderr = io.MultiWriter(&problems, os.Stderr)
	}
	err := cmd.Run()
	if err != nil {
		err = fmt.Errorf("%w: %s", err, lastLine(problems.String()))
	}
	return out.Bytes(), err
}

func lastLine(s string) string {
	s = strings.TrimSpace(s)
	return s[strings.LastIndexByte(s, '\n')+1:]
}

func (b *bench) seconds() string { return b.options.duration.String() }

// series are the values of one target's turns.
type series []float64

func (s series) median() float64 { return results.Median(s) }

func (s series) String() string {
	var parts []string
	for _, v := range s {
		parts = append(parts, fmt.Sprintf("%.2f", v))
	}
	return strings.Join(parts, ", ")
}
