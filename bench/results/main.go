// Command results runs the benchmarks of the module and writes the first part of bench/RESULTS.md: the median of each, with the machine
// they ran on. Run it from the root of the module:
//
//	go run ./bench/results
//
// What the benchmarks printed is kept in build/bench.txt, ready for benchstat.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/onelane/onelane/bench/internal/machine"
	"github.com/onelane/onelane/bench/internal/results"
)

// packages have the benchmarks.
var packages = []string{"./rtpx/...", "./ice", "./ice/secure", "./ice/udp", "./relay/sink/...", "./relay/shard", "./bench/stages"}

func main() {
	count := flag.Int("count", 6, "how often each benchmark runs; the median is told")
	benchtime := flag.String("benchtime", "50ms", "how long each runs")
	pattern := flag.String("bench", ".", "which ones")
	raw := flag.String("raw", "build/bench.txt", "where the output of the benchmarks is kept")
	file := flag.String("file", results.File, "what is written")
	flag.Parse()
	if err := run(*count, *benchtime, *pattern, *raw, *file); err != nil {
		fmt.Fprintln(os.Stderr, "results:", err)
		os.Exit(1)
	}
}

func run(count int, benchtime, pattern, raw, file string) error {
	if err := os.MkdirAll(filepath.Dir(raw), 0o755); err != nil {
		return err
	}
	out, err := os.Create(raw)
	if err != nil {
		return err
	}
	defer out.Close()
	var text bytes.Buffer
	args := []string{"test", "-run", "^$", "-bench", pattern, "-benchmem", "-count", fmt.Sprint(count), "-benchtime", benchtime, "-p", "1", "-timeout", "20m"}
	cmd := exec.Command("go", append(args, packages...)...)
	cmd.Stdout, cmd.Stderr = io.MultiWriter(&text, out, os.Stdout), os.Stderr
	before := machine.Load()
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("go test: %w", err)
	}
	suites := parse(&text)
	if len(suites) == 0 {
		return errors.New("no benchmark matched")
	}
	m := machine.Look()
	m.Load = before
	return results.Replace(file, results.Benchmarks, markdown(m, suites, count, benchtime))
}
