package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// The simulated caches: those of a core of a present server, of which the last is its own second level. What misses that goes to a cache that
// all cores share, or to memory.
const (
	firstCache = "32768,8,64"
	lastCache  = "1048576,16,64"
)

// event is what is counted.
type event int

const (
	instructions event = iota
	codeMisses         // first level, instructions
	dataMisses         // first level, data, reads and writes
	farMisses          // last level, data, reads and writes
	events
)

// names are callgrind's of each event; their sum counts.
var names = [events][]string{
	instructions: {"Ir"},
	codeMisses:   {"I1mr"},
	dataMisses:   {"D1mr", "D1mw"},
	farMisses:    {"DLmr", "DLmw"},
}

// tally is the number of each event, of a run or of an operation.
type tally [events]float64

// operation gives the events of one operation.
func operation(ctx context.Context, binary string, s subject) (tally, error) {
	low, err := run(ctx, binary, s, s.low)
	if err != nil {
		return tally{}, err
	}
	high, err := run(ctx, binary, s, s.low+s.more)
	if err != nil {
		return tally{}, err
	}
	return each(low, high, s.more), nil
}

// each is the part of one operation of what a run with more operations counts more.
func each(low, high tally, more int) tally {
	var t tally
	for e := range t {
		t[e] = (high[e] - low[e]) / float64(more)
	}
	return t
}

// run counts the events of a benchmark that does n operations.
func run(ctx context.Context, binary string, s subject, n int) (tally, error) {
	folder, err := os.MkdirTemp(filepath.Dir(binary), "run")
	if err != nil {
		return tally{}, err
	}
	defer os.RemoveAll(folder)
	file := filepath.Join(folder, "out")
	args := []string{"--tool=callgrind", "--cache-sim=yes", "--I1=" + firstCache, "--D1=" + firstCache, "--LL=" + lastCache, "--callgrind-out-file=" + file}
	if s.only != "" {
		args = append(args, "--toggle-collect="+s.only)
	}
	args = append(args, binary, "-test.run=^$", "-test.bench="+s.pattern(), "-test.benchtime="+strconv.Itoa(n)+"x")
	cmd := exec.CommandContext(ctx, "valgrind", args...)
	// No collection and no change of goroutine where a clock says so: a clock is slow in there, and no count would repeat.
	cmd.Env = append(os.Environ(), "GOGC=off", "GOMAXPROCS=1", "GODEBUG=asyncpreemptoff=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return tally{}, fmt.Errorf("valgrind: %w: %s", err, tail(string(out)))
	}
	if !strings.Contains(string(out), "ns/op") {
		return tally{}, errors.New("there is no such benchmark: put its name right in bench/counts/subject.go")
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return tally{}, err
	}
	return parse(string(text))
}

// tail is the last lines of what a program said.
func tail(out string) string {
	out = strings.TrimSpace(out)
	return out[max(0, len(out)-500):]
}

// parse reads the sums in the file that callgrind writes.
func parse(text string) (tally, error) {
	var head, totals []string
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, "events:"); ok {
			head = strings.Fields(rest)
		}
		if rest, ok := strings.CutPrefix(line, "totals:"); ok {
			totals = strings.Fields(rest)
		}
	}
	if len(head) == 0 || len(totals) == 0 {
		return tally{}, errors.New("callgrind wrote no totals")
	}
	values := map[string]float64{}
	for i, text := range totals[:min(len(head), len(totals))] { // zeros at the end are left out
		v, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return tally{}, fmt.Errorf("callgrind's totals: %w", err)
		}
		values[head[i]] = v
	}
	if values["Ir"] == 0 {
		return tally{}, errors.New("nothing was counted: the function that counts has another name now; put it right in bench/counts/subject.go")
	}
	var t tally
	for e, parts := range names {
		for _, name := range parts {
			t[e] += values[name]
		}
	}
	return t, nil
}
