// Command relayctl is what an operator types to control the calls of an edge. Every RPC of the control API is a command.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	pb "github.com/onelane/onelane/relay/control/controlpb"
)

// version is set by the linker.
var version = "dev"

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	a := &app{stdin: os.Stdin, out: output{w: os.Stdout}, stderr: os.Stderr}
	root := a.command()
	err := root.ExecuteContext(ctx)
	if err != nil && !a.started { // before a command began to run, everything is about the command line
		err = usageError{err}
	}
	return a.report(err)
}

// app is one run of the command.
type app struct {
	stdin   io.Reader
	out     output
	stderr  io.Writer
	connect connection
	timeout time.Duration
	started bool
}

const long = `relayctl controls the calls of an edge.

Exit codes:
  0  done
  1  failed, in a way that none of the others names
  2  the command or its request is wrong; repeating it is useless
  3  no such call, attachment, kind or file
  4  refused as things stand: the call is in another state, or the id is taken
  5  the edge cannot be reached, is draining or is full, or did not answer in time; try again or elsewhere

With --json every result is one JSON object a line, in the form of onelane.relay.v1 (durations are "1.5s", 64-bit numbers strings), and a
failure is one on standard error: {"code","reason","message","fields","line","retry"}.`

const example = `  relayctl call create wacid.HBgL --offer offer.sdp --sdp-out answer.sdp
  relayctl call open wacid.HBgL
  relayctl attach wacid.HBgL recording
  relayctl watch wacid.HBgL --until call_ended --json`

func (a *app) command() *cobra.Command {
	root := &cobra.Command{
		Use: "relayctl", Short: "Control the calls of an edge", Long: long, Example: example, Version: buildVersion(),
		SilenceErrors: true, SilenceUsage: true,
		PersistentPreRunE: func(*cobra.Command, []string) error {
			if err := a.connect.check(); err != nil {
				return err
			}
			a.started = true
			return nil
		},
	}
	root.SetOut(a.out.w)
	root.SetErr(a.stderr)
	root.SetVersionTemplate("relayctl {{.Version}}\n")
	f := root.PersistentFlags()
	a.connect.flags(f)
	f.BoolVar(&a.out.json, "json", false, "results and failures as JSON, one object a line")
	f.DurationVar(&a.timeout, "timeout", 10*time.Second, "how long one request may take")
	group(root)
	root.AddCommand(a.call(), a.attach(), a.detach(), a.source(), a.dtmf(), a.watch(), a.node(), a.recording())
	return root
}

// group makes a command that only holds others: alone it shows its help, and a wrong name is an error.
func group(c *cobra.Command) *cobra.Command {
	c.Args = cobra.NoArgs
	c.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
	return c
}

// request makes one RPC.
func (a *app) request(c *cobra.Command, do func(ctx context.Context, edge pb.RelayServiceClient) error) error {
	conn, err := a.connect.dial()
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	ctx, cancel := context.WithTimeout(c.Context(), a.timeout)
	defer cancel()
	return do(ctx, pb.NewRelayServiceClient(conn))
}

// usageError is a mistake on the command line.
type usageError struct{ error }

func (u usageError) Unwrap() error { return u.error }

func usage(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

func buildVersion() string {
	if i, ok := debug.ReadBuildInfo(); ok && version == "dev" && i.Main.Version != "" {
		return i.Main.Version
	}
	return version
}

// readSDP reads a session description from a file, or from standard input for "-".
func (a *app) readSDP(name string) (string, error) {
	in := a.stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return "", err
		}
		defer func() { _ = f.Close() }()
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(in, maxSDP+1))
	if err != nil {
		return "", fmt.Errorf("read the SDP: %w", err)
	}
	return checkSDP(b)
}

// writeSDP writes a session description where --sdp-out says.
func (a *app) writeSDP(name, sdp string) error {
	switch {
	case name == "":
		return nil
	case sdp == "":
		return errors.New("the edge gave no SDP")
	case name == "-":
		_, err := io.WriteString(a.out.w, sdp)
		return err
	}
	return os.WriteFile(name, []byte(sdp), 0o600) // it has a password in it
}
