//go:build interop

package interop

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Addresses of the two hosts.
const (
	edgeAddress = "10.77.0.1"
	peerAddress = "10.77.0.2"
)

// namePrefix marks our namespaces; the process id follows, so that two runs do not meet and the remains of a killed one are known.
const namePrefix = "onelane-"

// host is a network namespace.
type host struct{ name string }

// hosts makes the two hosts and takes them down at the end of the test.
func hosts(t *testing.T) (edge, peer host) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("network namespaces need root: run make interop as root")
	}
	sweep()
	edge = host{fmt.Sprintf("%sedge-%d", namePrefix, os.Getpid())}
	peer = host{fmt.Sprintf("%speer-%d", namePrefix, os.Getpid())}
	t.Cleanup(func() {
		for _, h := range []host{edge, peer} {
			// Gone already when it was never made.
			_ = exec.Command("ip", "netns", "del", h.name).Run()
		}
	})
	for _, command := range []string{
		"ip netns add " + edge.name,
		"ip netns add " + peer.name,
		"ip link add v-edge netns " + edge.name + " type veth peer name v-peer netns " + peer.name,
		"ip -n " + edge.name + " addr add " + edgeAddress + "/24 dev v-edge",
		"ip -n " + peer.name + " addr add " + peerAddress + "/24 dev v-peer",
		"ip -n " + edge.name + " link set lo up",
		"ip -n " + peer.name + " link set lo up",
		"ip -n " + edge.name + " link set v-edge up",
		"ip -n " + peer.name + " link set v-peer up",
	} {
		words := strings.Fields(command)
		if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", command, err, out)
		}
	}
	until(t, 5*time.Second, "the veth pair to come up", func() bool {
		out, _ := exec.Command("ip", "-n", peer.name, "link", "show", "v-peer").Output()
		return strings.Contains(string(out), "state UP")
	})
	return edge, peer
}

// sweep removes the hosts of processes that are gone.
func sweep() {
	names, _ := filepath.Glob("/run/netns/" + namePrefix + "*")
	for _, path := range names {
		name := filepath.Base(path)
		pid, err := strconv.Atoi(name[strings.LastIndex(name, "-")+1:])
		if err == nil && syscall.Kill(pid, 0) == syscall.ESRCH {
			_ = exec.Command("ip", "netns", "del", name).Run()
		}
	}
}

// command is a command that runs on the host. "ip netns exec" becomes the command, so signals reach it.
func (h host) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "ip", append([]string{"netns", "exec", h.name, name}, args...)...)
}

// inside runs f on a thread that is on the host: a socket belongs to the namespace that its thread was in when it was made.
func (h host) inside(f func() error) error {
	done := make(chan error, 1)
	go func() {
		// The thread is never unlocked, so it ends with this goroutine and its namespace meets nobody else.
		runtime.LockOSThread()
		done <- h.enter(f)
	}()
	return <-done
}

func (h host) enter(f func() error) error {
	namespace, err := os.Open("/run/netns/" + h.name)
	if err != nil {
		return err
	}
	defer namespace.Close()
	if err := unix.Setns(int(namespace.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter %s: %w", h.name, err)
	}
	return f()
}

// dial connects from the host.
func (h host) dial(ctx context.Context, network, address string) (conn net.Conn, err error) {
	err = h.inside(func() (err error) {
		conn, err = new(net.Dialer).DialContext(ctx, network, address)
		return err
	})
	return conn, err
}

// listen opens a UDP port on the host's loopback for the length of the test, so that what is sent to it is not refused. Nobody reads it.
func (h host) listen(t *testing.T) (port int) {
	t.Helper()
	err := h.inside(func() error {
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
func start(t *testing.T, h host, name string, args ...string) *program {
	t.Helper()
	p := &program{name: filepath.Base(name), log: filepath.Join(t.TempDir(), filepath.Base(name)+".log"), done: make(chan struct{})}
	out, err := os.Create(p.log)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	p.cmd = h.command(context.Background(), name, args...)
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
