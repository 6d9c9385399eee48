//go:build linux

// Package target starts and ends the relay that is measured.
package target

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Options of a relay to start.
type Options struct {
	Path    string   // of the program
	Config  string   // its --config; empty: none
	Env     []string // "GOMAXPROCS=2": more variables
	Set     []string // "media.shards=2": more settings, which win
	Calls   int      // calls.max
	PortMin int
	PortMax int
	CPUs    []int  // it may run on these only; none: on all
	Nice    int    // its priority: negative is before others on this host
	Folder  string // where recordings go
}

// Process is a relay that runs. Use Start.
type Process struct {
	PID     int
	Address string // of its control API

	cmd    *exec.Cmd
	exited chan struct{}
	err    error // after exited

	mu   sync.Mutex
	last []string // lines of its log
}

const (
	keptLines = 20
	// endTime is how long a relay may take to end its calls, and killTime how long after a second signal it is killed.
	endTime  = 5 * time.Second
	killTime = 10 * time.Second
)

// flags are the settings of a relay on loopback.
func (o Options) flags(grpc string) []string {
	settings := []string{
		"media.addresses=127.0.0.1",
		"media.allow_networks=127.0.0.0/8",
		"media.port_min=" + strconv.Itoa(o.PortMin),
		"media.port_max=" + strconv.Itoa(o.PortMax),
		"calls.max=" + strconv.Itoa(o.Calls),
		"grpc.listen=" + grpc,
		"recording.folder=" + filepath.Join(o.Folder, "recordings"),
		"rtp.allow_networks=127.0.0.0/8",
		"log.level=warn",
	}
	var args []string
	if o.Config != "" {
		args = append(args, "--config="+o.Config)
	}
	for _, s := range append(settings, o.Set...) {
		key, value, _ := strings.Cut(s, "=")
		args = append(args, "--"+strings.NewReplacer(".", "-", "_", "-").Replace(key)+"="+value)
	}
	return args
}

// Start starts a relay. It may not serve yet.
func Start(o Options) (*Process, error) {
	address, err := freePort()
	if err != nil {
		return nil, err
	}
	p := &Process{Address: address, exited: make(chan struct{})}
	p.cmd = exec.Command(o.Path, o.flags(address)...)
	p.cmd.Env = append(os.Environ(), o.Env...)
	// It must not outlive us, nor get the signal of a terminal before its calls have ended.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	out, err := p.cmd.StderrPipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", o.Path, err)
	}
	started := make(chan error)
	ending := make(chan struct{})
	// Pdeathsig is sent when the thread that started it ends, so this one stays; and its CPUs and priority are inherited.
	go func() {
		runtime.LockOSThread()
		if err := o.place(); err != nil {
			started <- err
			return
		}
		err := p.cmd.Start()
		started <- err
		if err == nil {
			<-ending
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", o.Path, err)
	}
	p.PID = p.cmd.Process.Pid
	go p.run(out, ending)
	return p, nil
}

// place gives the calling thread the CPUs and the priority of the relay.
func (o Options) place() error {
	if len(o.CPUs) > 0 {
		if err := Pin(0, o.CPUs); err != nil {
			return err
		}
	}
	if o.Nice != 0 {
		if err := unix.Setpriority(unix.PRIO_PROCESS, 0, o.Nice); err != nil {
			return fmt.Errorf("priority %d: %w", o.Nice, err)
		}
	}
	return nil
}

// run reads the log until the process ends.
func (p *Process) run(out io.Reader, ending chan struct{}) {
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		p.line(lines.Text())
	}
	_, _ = io.Copy(io.Discard, out) // a line that is too long ends the scanner, and must not stop the relay
	p.err = p.cmd.Wait()
	close(ending)
	close(p.exited)
}

func (p *Process) line(s string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.last) == keptLines {
		p.last = p.last[1:]
	}
	p.last = append(p.last, s)
}

// Ready waits until probe succeeds.
func (p *Process) Ready(ctx context.Context, probe func(context.Context) error) error {
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := probe(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.exited:
			return fmt.Errorf("the relay ended (%v): %s", p.err, p.log())
		case <-ctx.Done():
			return fmt.Errorf("the relay does not serve: %w: %s", err, p.log())
		case <-ticker.C:
		}
	}
}

func (p *Process) log() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.last, "\n")
}

// Stop ends the relay: as an operator would, and in the end by force.
func (p *Process) Stop() error {
	for _, s := range []struct {
		signal os.Signal
		wait   time.Duration
	}{{syscall.SIGTERM, endTime}, {syscall.SIGTERM, killTime}, {syscall.SIGKILL, killTime}} {
		if err := p.cmd.Process.Signal(s.signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return fmt.Errorf("end the relay: %w", err)
		}
		select {
		case <-p.exited:
			if p.err != nil {
				return fmt.Errorf("the relay ended with %w: %s", p.err, p.log())
			}
			return nil
		case <-time.After(s.wait):
		}
	}
	return fmt.Errorf("the relay, process %d, does not end", p.PID)
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// Pin lets a thread (0: this one) run on some CPUs only.
func Pin(tid int, cpus []int) error {
	var set unix.CPUSet
	for _, c := range cpus {
		set.Set(c)
	}
	if err := unix.SchedSetaffinity(tid, &set); err != nil {
		return fmt.Errorf("run on CPUs %v: %w", cpus, err)
	}
	return nil
}

// PinSelf pins every thread of this process.
func PinSelf(cpus []int) error {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	for _, t := range threads {
		tid, err := strconv.Atoi(t.Name())
		if err != nil {
			continue
		}
		if err := Pin(tid, cpus); err != nil && !errors.Is(err, unix.ESRCH) {
			return err
		}
	}
	return nil
}
