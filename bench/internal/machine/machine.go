// Package machine tells where figures were measured.
package machine

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// Machine is what a figure depends on besides the program.
type Machine struct {
	CPU    string
	CPUs   int
	Kernel string
	Go     string
	Commit string
	Date   string
	Load   string // of the machine before the measurement, over 1, 5 and 15 minutes
}

// Look finds out.
func Look() Machine {
	return Machine{
		CPU: cpu(), CPUs: runtime.NumCPU(), Kernel: first("/proc/sys/kernel/osrelease"), Go: runtime.Version(),
		Commit: commit(), Date: time.Now().UTC().Format(time.DateOnly), Load: Load(),
	}
}

// Load is the load of the machine over 1, 5 and 15 minutes.
func Load() string {
	fields := strings.Fields(first("/proc/loadavg"))
	return strings.Join(fields[:min(3, len(fields))], " ")
}

// Markdown is the machine as a list.
func (m Machine) Markdown() string {
	return fmt.Sprintf("- machine: %s, %d CPUs, Linux %s\n- %s, commit %s, %s\n- load before: %s\n", m.CPU, m.CPUs, m.Kernel, m.Go, m.Commit, m.Date, m.Load)
}

func cpu() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

// first is the first line of a file.
func first(file string) string {
	text, _ := os.ReadFile(file)
	line, _, _ := strings.Cut(string(text), "\n")
	return line
}

func commit() string {
	out, err := exec.Command("git", "rev-parse", "--short=12", "HEAD").Output()
	if err != nil {
		return "unknown"
	}
	name := strings.TrimSpace(string(out))
	// The results themselves are no change of what was measured.
	if out, err := exec.Command("git", "status", "--porcelain", "--untracked-files=no", "--", ".", ":!bench/RESULTS.md").Output(); err == nil && len(out) > 0 {
		name += " with local changes"
	}
	return name
}

// Has says what to install when a program is not there. debian is the package that has it.
func Has(program, debian string) error {
	if _, err := exec.LookPath(program); err != nil {
		return fmt.Errorf("%w: apt-get install %s", err, debian)
	}
	return nil
}
