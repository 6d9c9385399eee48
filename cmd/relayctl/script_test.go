package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"

	"github.com/onelane/onelane/relay"
	"github.com/onelane/onelane/relay/control"
	"github.com/onelane/onelane/relay/control/controltest"
	"github.com/onelane/onelane/relay/sink"
	"github.com/onelane/onelane/relay/sink/recording"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"relayctl": main})
}

// TestScripts runs relayctl as a process of its own against an edge in this one. Beside testscript's own commands there are
//
//	edge start|stop         the edge's door; its calls and events outlive it
//	edge tls                opens it with TLS and writes ca.pem, cert.pem and key.pem for a client; the door without closes
//	edge emit CALL DIGIT    the user of a call pressed a digit
//	edge refuse REASON      every method of the edge fails with UNAVAILABLE; without a reason it works again
//	edge keep N             the edge keeps only so many events
//	exits CODE relayctl...  runs a command and compares its exit code
//	torn FILE               writes what a killed edge leaves of a recording of two seconds
//	seen FILE TEXT          waits until a command that runs has written a text to a file
func TestScripts(t *testing.T) {
	t.Cleanup(func() { goleak.VerifyNone(t) })
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			d := &door{edge: controltest.New(), folder: env.WorkDir}
			env.Values["door"] = d
			env.Defer(d.close)
			if err := d.open(); err != nil {
				return err
			}
			env.Setenv("ONELANE_ADDR", d.addr)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"edge": edge, "exits": exits, "seen": seen, "torn": torn},
	})
}

// door is a fake edge behind a real control API.
type door struct {
	edge   *controltest.Edge
	folder string
	addr   string // fixed by the first open
	tls    control.Files
	cancel context.CancelFunc
	done   chan error
}

func (d *door) open() error {
	addr := d.addr
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	d.addr = l.Addr().String()
	s, err := control.New(control.Options{Edge: d.edge, Log: slog.New(slog.DiscardHandler), TLS: d.tls})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	d.cancel, d.done = cancel, make(chan error, 1)
	go func() { d.done <- s.Serve(ctx, l) }()
	return nil
}

func (d *door) close() {
	if d.cancel != nil {
		d.cancel()
		<-d.done
		d.cancel = nil
	}
}

// certify makes certificates for the door and for a client.
func (d *door) certify() error {
	a, err := controltest.NewAuthority("edges")
	if err != nil {
		return err
	}
	tomorrow := time.Now().Add(24 * time.Hour)
	cert, key, err := a.Issue("127.0.0.1", tomorrow)
	if err != nil {
		return err
	}
	clientCert, clientKey, err := a.Issue("operator", tomorrow)
	if err != nil {
		return err
	}
	in := func(name string) string { return filepath.Join(d.folder, name) }
	for name, content := range map[string][]byte{
		"ca.pem": a.PEM(), "cert.pem": clientCert, "key.pem": clientKey, "door-cert.pem": cert, "door-key.pem": key,
	} {
		if err := os.WriteFile(in(name), content, 0o600); err != nil {
			return err
		}
	}
	d.tls = control.Files{Cert: in("door-cert.pem"), Key: in("door-key.pem"), ClientCA: in("ca.pem")}
	return nil
}

func edge(ts *testscript.TestScript, neg bool, args []string) {
	d := ts.Value("door").(*door)
	if neg || len(args) == 0 {
		ts.Fatalf("usage: edge start|stop|emit|refuse|keep")
	}
	switch args[0] {
	case "start":
		ts.Check(d.open())
	case "tls":
		d.close()
		ts.Check(d.certify())
		ts.Check(d.open())
	case "stop":
		d.close()
	case "emit":
		d.edge.Emit(relay.Event{Kind: relay.EventDigit, CallID: args[1], Digit: args[2], Duration: 120 * time.Millisecond})
	case "keep":
		n, err := strconv.Atoi(args[1])
		ts.Check(err)
		d.edge.Keep(n)
	case "refuse":
		d.edge.Refuse(nil)
		if len(args) > 1 {
			d.edge.Refuse(&relay.Error{Code: relay.Unavailable, Reason: args[1], Message: "the edge is draining; create the call on another edge"})
		}
	default:
		ts.Fatalf("edge %s: unknown", args[0])
	}
}

func exits(ts *testscript.TestScript, _ bool, args []string) {
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

func seen(ts *testscript.TestScript, _ bool, args []string) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	late := time.After(20 * time.Second)
	for {
		b, err := os.ReadFile(ts.MkAbs(args[0]))
		if err == nil && strings.Contains(string(b), args[1]) {
			return
		}
		select {
		case <-tick.C:
		case <-late:
			ts.Fatalf("%s never had %q; it has %q", args[0], args[1], b)
		}
	}
}

func torn(ts *testscript.TestScript, _ bool, args []string) {
	folder, err := os.OpenRoot(ts.MkAbs("."))
	ts.Check(err)
	defer func() { _ = folder.Close() }()
	w, err := recording.Open(recording.Options{Folder: folder, Name: "whole"})
	ts.Check(err)
	frames := []sink.Frame{{}}
	for at := int64(0); at < 2*sink.SampleRate; at += sink.FrameSamples {
		for _, d := range []sink.Direction{sink.Caller, sink.Business} {
			frames = append(frames, sink.Frame{At: at, Samples: sink.FrameSamples, Direction: d, Payload: []byte{0xf8, 0xff, 0xfe}})
		}
	}
	ts.Check(w.Write(append(frames, sink.Frame{At: 2 * sink.SampleRate})))
	ts.Check(w.Close())
	whole, err := os.ReadFile(ts.MkAbs("whole.ogg"))
	ts.Check(err)
	ts.Check(os.Remove(ts.MkAbs("whole.ogg")))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), whole[:len(whole)-100], 0o600)) // in the middle of the last page
}
