package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	pb "github.com/onelane/onelane/relay/control/controlpb"
)

// edge is relayd as a process of its own. All it says goes to edge.log.
//
//	edge start [-ports N] [-nofile N] [-fsize KIB] FLAGS...   on a free range of ports; ONELANE_ADDR is set, and TOKEN for relayctl watch --resume
//	edge logs TEXT      waits until it has logged a text
//	edge signal NAME    TERM, KILL, STOP, CONT; the time goes into a variable of that name
//	edge exits CODE     waits until it has ended; killed is a code, too
//	edge stop           ends it by two SIGTERM; it must have logged no error
type edge struct {
	process *exec.Cmd
	log     string
	ended   chan struct{} // closed when process.Wait has returned
}

const edgeUsage = "edge start|logs|signal|exits|stop"

func edgeCommand(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, args, 1, edgeUsage)
	s := on(ts)
	if args[0] == "start" {
		startEdge(ts, s, args[1:])
		return
	}
	if s.edge == nil {
		ts.Fatalf("no edge runs")
	}
	switch {
	case args[0] == "logs" && len(args) == 2:
		until(ts, patience, func() bool { return strings.Contains(s.edge.logged(), args[1]) },
			func() string { return fmt.Sprintf("edge.log has no %q:\n%s", args[1], s.edge.logged()) })
	case args[0] == "signal" && len(args) == 2:
		signals := map[string]syscall.Signal{"TERM": syscall.SIGTERM, "KILL": syscall.SIGKILL, "STOP": syscall.SIGSTOP, "CONT": syscall.SIGCONT}
		ts.Setenv(args[1], time.Now().Format(time.RFC3339Nano))
		ts.Check(s.edge.process.Process.Signal(signals[args[1]]))
	case args[0] == "exits" && len(args) == 2:
		s.edge.exits(ts, args[1])
	case args[0] == "stop":
		ts.Check(s.edge.process.Process.Signal(syscall.SIGTERM))
		until(ts, patience, func() bool { return s.edge.over() || strings.Contains(s.edge.logged(), "draining") }, s.edge.logged)
		_ = s.edge.process.Process.Signal(syscall.SIGTERM)
		s.edge.exits(ts, "0")
		for _, bad := range []string{"level=ERROR", "DATA RACE", "panic"} {
			if strings.Contains(s.edge.logged(), bad) {
				ts.Fatalf("edge.log has %q:\n%s", bad, s.edge.logged())
			}
		}
	default:
		ts.Fatalf("usage: %s", edgeUsage)
	}
}

func startEdge(ts *testscript.TestScript, s *stage, args []string) {
	options := map[string]int{"-ports": 16, "-nofile": 0, "-fsize": 0}
	for len(args) > 1 {
		if _, ok := options[args[0]]; !ok {
			break
		}
		options[args[0]] = number(ts, args[1])
		args = args[2:]
	}
	ports := options["-ports"]
	first, err := freePorts(ports)
	ts.Check(err)
	flags := []string{
		"--grpc-listen=127.0.0.1:0", "--media-addresses=127.0.0.1", "--media-allow-networks=127.0.0.0/8", "--media-shards=1",
		fmt.Sprintf("--media-port-min=%d", first), fmt.Sprintf("--media-port-max=%d", first+ports-1), fmt.Sprintf("--calls-max=%d", ports),
		"--recording-folder=" + ts.MkAbs("recordings"), "--player-folder=" + ts.MkAbs("sounds"),
	}
	shell := ""
	if n := options["-nofile"]; n > 0 {
		shell += fmt.Sprintf("ulimit -n %d && ", n)
	}
	if n := options["-fsize"]; n > 0 {
		shell += fmt.Sprintf("ulimit -f %d && ", 2*n) // POSIX counts in blocks of 512
	}
	e := &edge{log: ts.MkAbs("edge.log"), ended: make(chan struct{})}
	e.process = exec.Command("sh", append(append([]string{"-c", shell + `exec relayd "$@"`, "sh"}, flags...), args...)...)
	e.process.Dir = ts.MkAbs(".")
	e.process.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "ONELANE_") }), "PATH="+ts.Getenv("PATH"))
	out, err := os.OpenFile(e.log, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	ts.Check(err)
	e.process.Stdout, e.process.Stderr = out, out
	err = e.process.Start()
	_ = out.Close()
	ts.Check(err)
	go func() { defer close(e.ended); _ = e.process.Wait() }()
	s.edge = e
	ready := regexp.MustCompile(`msg"?[=:]"?ready.*api"?[=:]"?([0-9.:]+)`)
	until(ts, patience, func() bool { return e.over() || ready.MatchString(e.logged()) }, e.logged)
	m := ready.FindStringSubmatch(e.logged())
	if m == nil {
		ts.Fatalf("relayd ended before it was ready:\n%s", e.logged())
	}
	ts.Setenv("ONELANE_ADDR", m[1])
	token, err := position(m[1])
	ts.Check(err)
	ts.Setenv("TOKEN", token)
}

// position is the resume token of the newest event: a watch that begins with it misses nothing, whenever it comes to run.
func position(addr string) (string, error) {
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return "", err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	watch, err := pb.NewRelayServiceClient(conn).WatchEvents(ctx, &pb.WatchEventsRequest{})
	if err != nil {
		return "", err
	}
	first, err := watch.Recv()
	return first.GetResumeToken(), err
}

func (e *edge) logged() string {
	b, _ := os.ReadFile(e.log)
	return string(b)
}

func (e *edge) over() bool {
	select {
	case <-e.ended:
		return true
	default:
		return false
	}
}

func (e *edge) exits(ts *testscript.TestScript, want string) {
	until(ts, patience, e.over, func() string { return "relayd runs on:\n" + e.logged() })
	got := strconv.Itoa(e.process.ProcessState.ExitCode())
	if status, ok := e.process.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		got = status.Signal().String()
	}
	if got != want {
		ts.Fatalf("relayd ended with %s, want %s:\n%s", got, want, e.logged())
	}
}

func (e *edge) kill() {
	_ = e.process.Process.Kill()
	<-e.ended
}

// The scripts take their ports from a part of the port space where the kernel takes none by itself.
const lowestPort, highestPort = 12000, 30000

// nextPort is where the search goes on: scripts run side by side, and so do other tests of this machine.
var nextPort atomic.Int64

func init() { nextPort.Store(int64(os.Getpid()*64) % (highestPort - lowestPort)) }

// freePorts finds n UDP ports in a row that nobody has on 127.0.0.1, the first of them even.
func freePorts(n int) (first int, err error) {
	n += n % 2
	for range 1000 {
		at := lowestPort + int(nextPort.Add(int64(n)))%(highestPort-lowestPort)
		at -= at % 2
		free := true
		for p := at; p < at+n && free; p++ {
			c, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(p))))
			if free = err == nil; free {
				_ = c.Close()
			}
		}
		if free {
			return at, nil
		}
	}
	return 0, fmt.Errorf("no %d free UDP ports in a row", n)
}

func free(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, args, 1, "free VAR")
	port, err := freePorts(2)
	ts.Check(err)
	ts.Setenv(args[0], strconv.Itoa(port))
}

// bound waits until a process has a UDP port.
func bound(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, args, 1, "bound PORT")
	want := fmt.Sprintf(":%04X ", number(ts, args[0]))
	until(ts, patience, func() bool {
		for _, file := range []string{"/proc/net/udp", "/proc/net/udp6"} {
			if b, _ := os.ReadFile(file); strings.Contains(string(b), want) {
				return true
			}
		}
		return false
	}, func() string { return "nobody has port " + args[0] })
}
