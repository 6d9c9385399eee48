// Command metasim stands in for Meta's calling endpoint: the signalling, the media relay and the phone behind it. It is strict where
// Meta is strict: a phone hangs up, with the reason, when a rule is broken.
//
//	metasim serve --media 127.0.0.1:3480 --listen 127.0.0.1:8090 --webhook-url http://127.0.0.1:8091/hook --recordings heard/
//	metasim call --speech hello.opus --digit 5@2000 --duration 20s     a phone dials the business and is waited for
//	metasim show wacid...                                              what the phone made of it
//
// The HTTP interface, Graph's and the simulator's own, is documented in the package internal/graph; what a phone can be asked to do in
// internal/phone (Scenario), and the rules in internal/rules (All).
//
// All calls share one UDP ip:port an address family, as at Meta. Exit codes: 0 well, 1 failed, 2 wrong usage, 3 a rule was broken.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// errBroken: the call ended, and at least one rule was broken.
var errBroken = errors.New("rules were broken")

// usageError is a mistake on the command line.
type usageError struct{ error }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is the program but for the process around it.
func run(ctx context.Context, args []string, out, log io.Writer) int {
	root := command()
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(log)
	err := root.ExecuteContext(ctx)
	var usage usageError
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errBroken):
		return 3
	}
	fmt.Fprintln(log, "metasim:", err)
	if errors.As(err, &usage) {
		return 2
	}
	return 1
}

func command() *cobra.Command {
	root := &cobra.Command{
		Use: "metasim", Short: "Stands in for Meta's calling endpoint",
		SilenceErrors: true, SilenceUsage: true,
		Args: noArgs, RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w; %s --help lists the flags", err, c.CommandPath())}
	})
	root.AddCommand(serveCommand(), callCommand(), showCommand(), hangupCommand())
	return root
}
