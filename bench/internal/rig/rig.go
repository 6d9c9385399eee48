// Package rig is what the programs that measure have in common: the programs that are measured and how they are started, the load on the
// other CPU, what is said on the way and what is noted for the results.
package rig

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/onelane/onelane/bench/internal/child"
	"github.com/onelane/onelane/bench/internal/hosts"
	"github.com/onelane/onelane/bench/internal/results"
)

// Options are the flags of a program that measures, and Settle, how long packets flow to a plain forwarder before they are counted.
type Options struct {
	Rounds   int
	Duration time.Duration
	Settle   time.Duration
	Only     string
	File     string
	Verbose  bool
}

// Flags declares them, with the values that o has as defaults.
func (o *Options) Flags(f *flag.FlagSet) {
	f.IntVar(&o.Rounds, "rounds", o.Rounds, "how often each target has its turn")
	f.DurationVar(&o.Duration, "time", o.Duration, "how long packets are counted each time")
	f.StringVar(&o.Only, "only", "", "sections, separated by commas; empty: all")
	f.StringVar(&o.File, "file", results.File, "where the results are written; empty: nowhere")
	f.BoolVar(&o.Verbose, "v", false, "show what the programs say")
}

// Rig is one run of a program that measures. Use New. It belongs to one goroutine, but for Output and Relaybench.
type Rig struct {
	Options Options
	Context context.Context
	// Notes are what a reader of the results has to know.
	Notes []string
	// Link is what targets are loaded over.
	Link Link

	name string
	bin  string
}

const (
	// TargetCPU and LoadCPU keep what is measured and what measures apart.
	TargetCPU = 0
	LoadCPU   = 1
	// Before puts a target before everything else on the host but the load, which is in real time, and leaves relayd's media threads
	// room to go before the rest of relayd.
	Before = -10
	// ReadyTime is how long a program may take to be ready.
	ReadyTime = 15 * time.Second
)

// New makes a rig for the program of that name.
func New(ctx context.Context, name string, o Options) *Rig {
	return &Rig{Options: o, Context: ctx, Link: Loopback, name: name, bin: filepath.Join("build", "bench")}
}

// Say tells how far it is.
func (r *Rig) Say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, r.name+": "+format+"\n", args...)
}

// Note keeps what a reader of the results has to know.
func (r *Rig) Note(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	r.Notes = append(r.Notes, text)
	r.Say("%s", text)
}

// Section is one part of a measurement.
type Section struct {
	Name string
	Run  func() error
}

// Measure runs the sections that were chosen, in order, and tells how long that took. One that fails is noted, and the others follow.
func (r *Rig) Measure(sections []Section) (time.Duration, error) {
	began := time.Now()
	for _, s := range sections {
		r.Say("%s, %v after the start", s.Name, time.Since(began).Round(time.Second))
		if err := s.Run(); err != nil {
			r.Note("%s: not measured: %v", s.Name, err)
		}
		if r.Context.Err() != nil {
			return 0, r.Context.Err()
		}
	}
	return time.Since(began).Round(time.Second), nil
}

// Choose gives the sections that are named; all for none.
func Choose(sections []Section, only string) ([]Section, error) {
	if only == "" {
		return sections, nil
	}
	var chosen []Section
	for name := range strings.SplitSeq(only, ",") {
		i := slices.IndexFunc(sections, func(s Section) bool { return s.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("there is no section %q", name)
		}
		chosen = append(chosen, sections[i])
	}
	return chosen, nil
}

// Build builds programs of the module, by their folders.
func (r *Rig) Build(programs ...string) error {
	if err := os.MkdirAll(r.bin, 0o755); err != nil {
		return err
	}
	args := []string{"build", "-trimpath", "-o", r.bin + "/"}
	for _, p := range programs {
		args = append(args, "./"+p)
	}
	if out, err := exec.CommandContext(r.Context, "go", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("build: %w: %s", err, out)
	}
	return nil
}

// Path is where a program that was built is.
func (r *Rig) Path(name string) string { return filepath.Join(r.bin, name) }

// Start starts a target on its host and CPU.
func (r *Rig) Start(name string, args ...string) (*child.Process, error) {
	return r.StartOn([]int{TargetCPU}, name, args...)
}

// StartOn starts a target that may run on some CPUs; on all for none.
func (r *Rig) StartOn(cpus []int, name string, args ...string) (*child.Process, error) {
	return child.Start(child.Options{CPUs: cpus, Nice: Before, Host: r.Link.Target, Log: r.log()}, r.Path(name), args...)
}

// StartLoad starts a program that is part of the load, on the load's host and CPU.
func (r *Rig) StartLoad(name string, args ...string) (*child.Process, error) {
	return child.Start(child.Options{CPUs: []int{LoadCPU}, Host: r.Link.Load, Log: r.log()}, r.Path(name), args...)
}

// log is where the programs' errors go; nil: ours.
func (r *Rig) log() *os.File {
	if r.Options.Verbose {
		return nil
	}
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return nil
	}
	return null
}

// Output runs a program and gives what it prints.
func (r *Rig) Output(name string, args ...string) ([]byte, error) {
	return r.output("", name, args...)
}

func (r *Rig) output(h hosts.Host, name string, args ...string) ([]byte, error) {
	cmd := h.Command(r.Context, name, args...)
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	if r.Options.Verbose {
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

// Pause waits, or until the program is told to end.
func (r *Rig) Pause(d time.Duration) {
	select {
	case <-time.After(d):
	case <-r.Context.Done():
	}
}
