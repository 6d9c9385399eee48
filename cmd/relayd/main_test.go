package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain makes the test binary relayd: a script that runs relayd runs this process again, as relayd.
func TestMain(m *testing.M) {
	// Scripts wait for packets and timers far more than they compute, so more of them run side by side than there are processors.
	if err := flag.Set("test.parallel", "6"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	testscript.Main(m, map[string]func(){"relayd": main})
}

// patience bounds every wait of a script.
const patience = 20 * time.Second

// TestScripts runs relayd as a process of its own, relayctl against it, and phones (package icetest) at the far end, over UDP on loopback.
// Beside testscript's own commands there are
//
//	edge ...                       relayd itself: see edge_test.go
//	phone NAME ...                 the far end of a call: see phone_test.go
//	watch FILE ARGUMENTS...        relayctl watch --json from the start of the edge on, beside the script, into a file
//	watched                        waits until every watch has ended
//	exits CODE COMMAND...          runs a command and compares its exit code
//	seen FILE TEXT                 waits until a file has a text; "within DURATION" in front bounds the wait
//	field VAR FILE PATH            a field of JSON into a variable; of an event in a watched file with its kind in front
//	events FILE KIND...            a watched file has events of these kinds, in this order, and no others
//	recorded FILE CHANNELS         opusinfo finds a whole Ogg Opus file
//	lasts FILE FROM TO LESS MORE   its length is that of the time between, at most LESS shorter or MORE longer
//	loud FILE LEAST MOST           a WAV file of a length between the two that is not silent
//	free VAR                       a UDP port that nobody has, even, with the one above it
//	bound PORT                     waits until somebody has it
//	mounted FOLDER KIB             a file system of that size in the folder, until the script ends
//	fill FOLDER                    uses up its file system
//	clean-of FILE...               no secret and nothing personal is in the files
func TestScripts(t *testing.T) {
	bin := buildRelayctl(t)
	speech, err := os.ReadFile("testdata/speech.opus")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("PATH", bin+string(filepath.ListSeparator)+env.Getenv("PATH"))
			if err := os.Mkdir(filepath.Join(env.WorkDir, "sounds"), 0o755); err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(env.WorkDir, "sounds", "welcome.opus"), speech, 0o644); err != nil {
				return err
			}
			s := &stage{speech: speech, phones: make(map[string]*phone)}
			env.Values[stageKey] = s
			env.Defer(s.clear)
			return nil
		},
		Condition: func(name string) (bool, error) {
			if name == "root" {
				return os.Geteuid() == 0, nil
			}
			return false, fmt.Errorf("unknown condition %q", name)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"edge": edgeCommand, "phone": phoneCommand, "watch": watch, "watched": watchedAll, "exits": exits, "seen": seen, "field": field, "events": events,
			"recorded": recorded, "lasts": lasts, "loud": loud, "free": free, "bound": bound, "fill": fill, "clean-of": cleanOf, "mounted": mounted,
		},
	})
}

// buildRelayctl builds the command that the scripts control the edge with.
func buildRelayctl(t *testing.T) (folder string) {
	t.Helper()
	folder = t.TempDir()
	out, err := exec.Command("go", "build", "-o", filepath.Join(folder, "relayctl"), "../relayctl").CombinedOutput()
	if err != nil {
		t.Fatalf("build relayctl: %v\n%s", err, out)
	}
	return folder
}

const stageKey = "stage"

// stage is what one script has running.
type stage struct {
	speech []byte
	edge   *edge
	phones map[string]*phone
	others []*exec.Cmd // watches
	mounts []string
}

func on(ts *testscript.TestScript) *stage { return ts.Value(stageKey).(*stage) }

func (s *stage) clear() {
	for _, c := range s.others {
		_ = c.Process.Kill()
		_ = c.Wait()
	}
	for _, p := range s.phones {
		p.close()
	}
	if s.edge != nil {
		s.edge.kill()
	}
	for _, m := range s.mounts {
		_ = syscall.Unmount(m, syscall.MNT_DETACH)
	}
}

// until polls until done says so, and fails the script when that takes too long.
func until(ts *testscript.TestScript, limit time.Duration, done func() bool, otherwise func() string) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	late := time.After(limit)
	for !done() {
		select {
		case <-tick.C:
		case <-late:
			if done() {
				return
			}
			ts.Fatalf("after %v: %s", limit, otherwise())
		}
	}
}

func arguments(ts *testscript.TestScript, neg bool, args []string, least int, usage string) {
	if neg || len(args) < least {
		ts.Fatalf("usage: %s", usage)
	}
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, args, 2, "exits CODE COMMAND...")
	err := ts.Exec(args[1], args[2:]...)
	code := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		code = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
}

func seen(ts *testscript.TestScript, neg bool, args []string) {
	limit := patience
	if len(args) > 2 && args[0] == "within" {
		limit = span(ts, args[1])
		args = args[2:]
	}
	arguments(ts, neg, args, 2, "seen [within DURATION] FILE TEXT")
	var b []byte
	until(ts, limit, func() bool {
		b, _ = os.ReadFile(ts.MkAbs(args[0]))
		return strings.Contains(string(b), args[1])
	}, func() string { return fmt.Sprintf("%s has no %q; it has %q", args[0], args[1], b) })
}

// watch begins at the edge's start, so that it misses nothing, however late it comes to run.
func watch(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, args, 1, "watch FILE ARGUMENTS...")
	relayctl, err := exec.LookPath(filepath.Join(strings.Split(ts.Getenv("PATH"), string(filepath.ListSeparator))[0], "relayctl"))
	ts.Check(err)
	out, err := os.Create(ts.MkAbs(args[0]))
	ts.Check(err)
	defer out.Close()
	c := exec.Command(relayctl, append([]string{"watch", "--json", "--resume", ts.Getenv("TOKEN"), "--addr", ts.Getenv("ONELANE_ADDR")}, args[1:]...)...)
	c.Stdout, c.Stderr = out, out
	ts.Check(c.Start())
	s := on(ts)
	s.others = append(s.others, c)
}

func watchedAll(ts *testscript.TestScript, _ bool, _ []string) {
	s := on(ts)
	for len(s.others) > 0 {
		c := s.others[0]
		s.others = s.others[1:]
		late := time.AfterFunc(patience, func() { _ = c.Process.Kill() })
		err := c.Wait()
		late.Stop()
		if err != nil {
			b, _ := os.ReadFile(ts.MkAbs("events.json"))
			ts.Fatalf("the watch did not end: %v\n%s\n%s", err, b, s.edge.logged())
		}
	}
}

func span(ts *testscript.TestScript, s string) time.Duration {
	d, err := time.ParseDuration(s)
	ts.Check(err)
	return d
}

func number(ts *testscript.TestScript, s string) int {
	n, err := strconv.Atoi(s)
	ts.Check(err)
	return n
}
