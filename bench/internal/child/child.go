// Package child runs the programs that are measured: on one CPU, before others on the host, and never longer than the program that measures.
package child

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/onelane/onelane/bench/internal/hosts"
)

// Options of a process.
type Options struct {
	CPUs []int    // it may run on these only; none: on all
	Nice int      // its priority; below 0 takes root and is left out where it is not allowed
	Env  []string // besides ours
	// Host is where it runs; the zero value: here.
	Host hosts.Host
	// Log gets its standard error; nil: ours.
	Log *os.File
}

// Process is a program that runs. Use Start.
type Process struct {
	PID int

	cmd    *exec.Cmd
	input  io.Closer
	lines  chan string
	exited chan struct{}
}

// endTime is how long a process may take to end before it is killed.
const endTime = 15 * time.Second

// Start starts a program. What it writes to its standard output is read line by line; its standard input is open until Stop.
func Start(o Options, name string, args ...string) (*Process, error) {
	p := &Process{lines: make(chan string, 64), exited: make(chan struct{})}
	p.cmd = exec.Command(name, args...)
	p.cmd.Env = append(os.Environ(), o.Env...)
	p.cmd.Stderr = os.Stderr
	if o.Log != nil {
		p.cmd.Stderr = o.Log
	}
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	in, err := p.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	p.input = in
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	started := make(chan error)
	// Pdeathsig is sent when the thread that started it ends, so this one stays; CPUs and priority are inherited from it.
	go func() {
		runtime.LockOSThread()
		err := o.become()
		if err == nil {
			err = p.cmd.Start()
		}
		started <- err
		if err == nil {
			<-p.exited
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", filepath.Base(name), err)
	}
	p.PID = p.cmd.Process.Pid
	go p.run(out)
	return p, nil
}

// become gives the calling thread what the process is to inherit.
func (o Options) become() error {
	if o.Nice != 0 {
		_ = unix.Setpriority(unix.PRIO_PROCESS, 0, o.Nice)
	}
	if err := o.Host.Enter(); err != nil {
		return err
	}
	if len(o.CPUs) == 0 {
		return nil
	}
	var set unix.CPUSet
	for _, c := range o.CPUs {
		set.Set(c)
	}
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return fmt.Errorf("run on CPUs %v: %w", o.CPUs, err)
	}
	return nil
}

func (p *Process) run(out io.Reader) {
	for s := bufio.NewScanner(out); s.Scan(); {
		select {
		case p.lines <- s.Text():
		default: // nobody reads them any more
		}
	}
	_ = p.cmd.Wait()
	close(p.exited)
}

// Word waits for a line that begins with a word, and gives the rest of it.
func (p *Process) Word(word string, limit time.Duration) (string, error) {
	timeout := time.After(limit)
	for {
		select {
		case line := <-p.lines:
			if first, rest, _ := strings.Cut(line, " "); first == word {
				return rest, nil
			}
		case <-p.exited:
			return "", fmt.Errorf("%s ended", filepath.Base(p.cmd.Path))
		case <-timeout:
			return "", fmt.Errorf("%s is not ready after %v", filepath.Base(p.cmd.Path), limit)
		}
	}
}

// Ended tells whether the process is gone.
func (p *Process) Ended() bool {
	select {
	case <-p.exited:
		return true
	default:
		return false
	}
}

// Stop ends the process and waits.
func (p *Process) Stop() {
	_ = p.input.Close()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); errors.Is(err, os.ErrProcessDone) {
		return
	}
	select {
	case <-p.exited:
	case <-time.After(endTime):
		_ = p.cmd.Process.Kill()
		<-p.exited
	}
}
