// Package hosts makes two hosts on one machine: network namespaces, joined by a veth pair and with no way out. WebRTC servers refuse to
// talk over loopback, and a packet between two hosts costs both of them what it costs in life: loopback spares the receiver its routing.
package hosts

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/onelane/onelane/bench/internal/machine"
)

// Where the two hosts are.
const (
	EdgeAddress = "10.77.0.1"
	PeerAddress = "10.77.0.2"
	EdgeDevice  = "v-edge"
	PeerDevice  = "v-peer"
	Network     = "10.77.0.0/24"
)

const (
	// namePrefix marks our namespaces; the process id follows, so that two runs do not meet and the remains of a killed one are known.
	namePrefix = "onelane-"
	// namespaces is where ip keeps the namespaces that have a name.
	namespaces = "/run/netns/"
	// upTime is how long the pair may take to come up.
	upTime = 5 * time.Second
)

// Host is the name of a network namespace. The zero value is the one that this process is in.
type Host string

// Pair is the two hosts. Use Make.
type Pair struct{ Edge, Peer Host }

// Missing says what two hosts need that is not there.
func Missing() error {
	if os.Geteuid() != 0 {
		return errors.New("network namespaces need root: run it as root")
	}
	return machine.Has("ip", "iproute2")
}

// Make makes two hosts. What a killed process has left behind is removed first.
func Make() (Pair, error) {
	p := Pair{Host(fmt.Sprintf("%sedge-%d", namePrefix, os.Getpid())), Host(fmt.Sprintf("%speer-%d", namePrefix, os.Getpid()))}
	if err := Missing(); err != nil {
		return p, err
	}
	sweep()
	edge, peer := string(p.Edge), string(p.Peer)
	for _, command := range []string{
		"ip netns add " + edge,
		"ip netns add " + peer,
		"ip link add " + EdgeDevice + " netns " + edge + " type veth peer name " + PeerDevice + " netns " + peer,
		"ip -n " + edge + " addr add " + EdgeAddress + "/24 dev " + EdgeDevice,
		"ip -n " + peer + " addr add " + PeerAddress + "/24 dev " + PeerDevice,
		"ip -n " + edge + " link set lo up",
		"ip -n " + peer + " link set lo up",
		"ip -n " + edge + " link set " + EdgeDevice + " up",
		"ip -n " + peer + " link set " + PeerDevice + " up",
	} {
		words := strings.Fields(command)
		if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
			p.Remove()
			return p, fmt.Errorf("%s: %w: %s", command, err, strings.TrimSpace(string(out)))
		}
	}
	if err := p.up(); err != nil {
		p.Remove()
		return p, err
	}
	return p, nil
}

// up waits until the pair carries packets.
func (p Pair) up() error {
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for deadline := time.Now().Add(upTime); ; <-ticker.C {
		out, err := exec.Command("ip", "-n", string(p.Peer), "link", "show", PeerDevice).CombinedOutput()
		if strings.Contains(string(out), "state UP") {
			return nil
		}
		if time.Now().After(deadline) {
			return errors.Join(fmt.Errorf("%s did not come up in %v: %s", PeerDevice, upTime, out), err)
		}
	}
}

// Remove takes the hosts down. Programs that still run on them keep them in memory until they end.
func (p Pair) Remove() {
	for _, h := range []Host{p.Edge, p.Peer} {
		// Gone already when it was never made.
		_ = exec.Command("ip", "netns", "del", string(h)).Run()
	}
}

// sweep removes the hosts of processes that are gone.
func sweep() {
	names, _ := filepath.Glob(namespaces + namePrefix + "*")
	for _, path := range names {
		name := filepath.Base(path)
		if pid, ok := owner(name); ok && syscall.Kill(pid, 0) == syscall.ESRCH {
			_ = exec.Command("ip", "netns", "del", name).Run()
		}
	}
}

// owner is the process that made a namespace of ours.
func owner(name string) (pid int, ok bool) {
	rest, ours := strings.CutPrefix(name, namePrefix)
	pid, err := strconv.Atoi(rest[strings.LastIndexByte(rest, '-')+1:])
	return pid, ours && err == nil && pid > 0
}

// Command is a command that runs on the host. "ip netns exec" becomes the command, so signals reach it and its process id is the same.
func (h Host) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	if h == "" {
		return exec.CommandContext(ctx, name, args...)
	}
	return exec.CommandContext(ctx, "ip", append([]string{"netns", "exec", string(h), name}, args...)...)
}

// Enter brings the calling thread to the host, with what it starts and opens from then on. The thread must be locked to its goroutine, and
// end with it.
func (h Host) Enter() error {
	if h == "" {
		return nil
	}
	namespace, err := os.Open(namespaces + string(h))
	if err != nil {
		return err
	}
	defer namespace.Close()
	if err := unix.Setns(int(namespace.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter %s: %w", h, err)
	}
	return nil
}

// Inside runs f on a thread that is on the host: a socket belongs to the namespace that its thread was in when it was made.
func (h Host) Inside(f func() error) error {
	done := make(chan error, 1)
	go func() {
		// The thread is never unlocked, so it ends with this goroutine and its namespace meets nobody else.
		runtime.LockOSThread()
		err := h.Enter()
		if err == nil {
			err = f()
		}
		done <- err
	}()
	return <-done
}

// Dial connects from the host.
func (h Host) Dial(ctx context.Context, network, address string) (conn net.Conn, err error) {
	err = h.Inside(func() (err error) {
		conn, err = new(net.Dialer).DialContext(ctx, network, address)
		return err
	})
	return conn, err
}

// FreeAddress is an address of the host with a port that neither UDP nor TCP uses.
func (h Host) FreeAddress(ip string) (free string, err error) {
	err = h.Inside(func() error {
		l, err := net.Listen("tcp", net.JoinHostPort(ip, "0"))
		if err != nil {
			return err
		}
		defer l.Close()
		free = l.Addr().String()
		c, err := net.ListenPacket("udp", free)
		if err != nil {
			return err
		}
		return c.Close()
	})
	return free, err
}
