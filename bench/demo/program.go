package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// packages of Debian, for people who lack a program.
var packages = map[string]string{"opusinfo": "opus-tools", "opusdec": "opus-tools", "ffprobe": "ffmpeg"}

func installed(name string) error {
	if _, err := exec.LookPath(name); err != nil {
		return fmt.Errorf("%s is not installed: make demo installs it as root on Debian; elsewhere: sudo apt-get install %s", name, packages[name])
	}
	return nil
}

// run runs a program and gives what it prints.
func run(ctx context.Context, name string, args ...string) (string, error) {
	return runIn(ctx, "", name, args...)
}

func runIn(ctx context.Context, folder, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = folder
	var printed, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &printed, &complaints
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", filepath.Base(name), strings.Join(args, " "), err, trim(complaints.String()+printed.String()))
	}
	// opusinfo warns on the one and ffprobe on the other.
	return printed.String() + complaints.String(), nil
}

func trim(s string) string { return strings.TrimSpace(s) }

const (
	// startTime is how long a program may take until it says that it is ready.
	startTime = 20 * time.Second
	// askTime is how long it may take to end after it was asked. relayd drains for as long as calls live, and ends them when it is asked
	// again.
	askTime = 3 * time.Second
	// endTime is how long it may take after the second time; then it is killed.
	endTime = 10 * time.Second
)

// program is something that runs beside the demo and ends with it.
type program struct {
	name  string
	cmd   *exec.Cmd
	lines *lines
	ended chan struct{} // closed when err is set
	err   error
}

// start starts a program whose output goes to a log. announced looks at each line and tells whether it is the one that says ready.
func start(name, path, log string, announced func(line string) bool, env []string, args ...string) (*program, error) {
	file, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	p := &program{name: name, cmd: exec.Command(path, args...), ended: make(chan struct{})}
	p.lines = &lines{file: file, announced: announced, ready: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = p.lines, p.lines
	p.cmd.Env = append(os.Environ(), env...)
	// A process group of its own: ^C is for the demo, which ends its programs in order.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		file.Close()
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	go p.wait()
	return p, nil
}

func (p *program) wait() {
	p.err = p.cmd.Wait()
	p.lines.file.Close()
	close(p.ended)
}

// ready waits until the program says that it is.
func (p *program) ready(ctx context.Context) error {
	late := time.NewTimer(startTime)
	defer late.Stop()
	select {
	case <-p.lines.ready:
		return nil
	case <-p.ended:
		return fmt.Errorf("%s ended before it was ready (%v): %s", p.name, p.err, p.lines.last())
	case <-late.C:
		return fmt.Errorf("%s is not ready after %v; its log: %s", p.name, startTime, p.lines.file.Name())
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// stop ends the program and waits for that.
func (p *program) stop() error {
	for _, wait := range []time.Duration{askTime, endTime} {
		if p.cmd.Process.Signal(syscall.SIGTERM) != nil {
			break // it has ended
		}
		if p.over(wait) {
			break
		}
	}
	if !p.over(0) {
		_ = p.cmd.Process.Kill()
		<-p.ended
		return fmt.Errorf("%s did not end when it was asked to and had to be killed; its log: %s", p.name, p.lines.file.Name())
	}
	if p.err != nil {
		return fmt.Errorf("%s failed: %w; its log: %s", p.name, p.err, p.lines.file.Name())
	}
	return nil
}

func (p *program) over(wait time.Duration) bool {
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-p.ended:
		return true
	default:
	}
	select {
	case <-p.ended:
		return true
	case <-t.C:
		return false
	}
}

// keptLines is how much of a log an error quotes.
const keptLines = 3

// lines writes a log and looks through it.
type lines struct {
	file      *os.File
	announced func(line string) bool
	ready     chan struct{}

	mu   sync.Mutex // guards what follows
	told bool
	part []byte
	tail []string
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, _ = l.file.Write(b) // a full disk must not end the program with a broken pipe
	l.part = append(l.part, b...)
	for {
		line, rest, whole := bytes.Cut(l.part, []byte("\n"))
		if !whole {
			return len(b), nil
		}
		l.part = rest
		l.tail = append(l.tail, string(line))
		l.tail = l.tail[max(0, len(l.tail)-keptLines):]
		if !l.told && l.announced(string(line)) {
			l.told = true
			close(l.ready)
		}
	}
}

// last gives the last lines.
func (l *lines) last() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.tail, "; ")
}
