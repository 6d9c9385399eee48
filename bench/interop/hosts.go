//go:build interop

package interop

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/onelane/onelane/bench/internal/hosts"
)

// Addresses of the two hosts.
const (
	edgeAddress = hosts.EdgeAddress
	peerAddress = hosts.PeerAddress
)

// pair makes the two hosts and takes them down at the end of the test.
func pair(t *testing.T) (edge, peer hosts.Host) {
	t.Helper()
	p, err := hosts.Make()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Remove)
	return p.Edge, p.Peer
}

// listen opens a UDP port on a host's loopback for the length of the test, so that what is sent to it is not refused. Nobody reads it.
func listen(t *testing.T, h hosts.Host) (port int) {
	t.Helper()
	err := h.Inside(func() error {
		conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			return err
		}
		t.Cleanup(func() { conn.Close() })
		port = conn.LocalAddr().(*net.UDPAddr).Port
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// until waits for something to become true.
func until(t *testing.T, limit time.Duration, what string, true func() bool) {
	t.Helper()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(limit)
	for !true() {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("waited %v in vain for %s", limit, what)
		}
	}
}

// program is a running program whose output is kept.
type program struct {
	name string
	cmd  *exec.Cmd
	log  string
	done chan struct{}
}

// start runs a program for the length of the test, and shows the end of its output if the test fails.
func start(t *testing.T, h hosts.Host, name string, args ...string) *program {
	t.Helper()
	p := &program{name: filepath.Base(name), log: filepath.Join(t.TempDir(), filepath.Base(name)+".log"), done: make(chan struct{})}
	out, err := os.Create(p.log)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	p.cmd = h.Command(context.Background(), name, args...)
	p.cmd.Stdout, p.cmd.Stderr = out, out
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	go p.run()
	t.Cleanup(func() {
		p.stop(t, syscall.SIGTERM)
		if t.Failed() {
			t.Logf("end of %s's output:\n%s", p.name, tail(p.output(), 4000))
		}
	})
	return p
}

func (p *program) run() {
	_ = p.cmd.Wait()
	close(p.done)
}

// stop ends the program and waits until it is gone.
func (p *program) stop(t *testing.T, signal os.Signal) {
	t.Helper()
	_ = p.cmd.Process.Signal(signal)
	select {
	case <-p.done:
	case <-time.After(10 * time.Second):
		t.Errorf("%s did not end within 10 s of %v", p.name, signal)
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

func (p *program) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

func (p *program) output() string {
	content, _ := os.ReadFile(p.log)
	return string(content)
}

func tail(s string, n int) string {
	if len(s) > n {
		return "..." + s[len(s)-n:]
	}
	return s
}
