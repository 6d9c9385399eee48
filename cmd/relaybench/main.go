//go:build linux

// Command relaybench loads a running relayd with simulated calls and measures what it does to them: set-up by gRPC, then real ICE, DTLS and
// SRTP from many phones behind one ICE-lite ip:port.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"
)

// Exit codes, as relaybench --help says.
const (
	exitFailed = 1 // the relay lost packets or broke a stream
	exitUsage  = 2
	exitBroken = 3 // there is no measurement
)

// collectAbove is how much memory may be garbage during a measurement.
const collectAbove = 1 << 30

// errVerdict: there is a measurement, and the relay failed it.
var errVerdict = errors.New("the relay failed")

type usageError struct{ error }

func main() {
	runtime.GOMAXPROCS(runtime.NumCPU() + 2) // the phones keep one to themselves, also while they sleep
	// The collector runs between measurements only, unless memory gets short: it would stop the phones.
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(collectAbove)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := command().ExecuteContext(ctx)
	var usage usageError
	switch {
	case err == nil:
		return
	case errors.Is(err, errVerdict):
		fmt.Fprintln(os.Stderr, "relaybench:", err)
		os.Exit(exitFailed)
	case errors.As(err, &usage):
		fmt.Fprintln(os.Stderr, "relaybench:", err)
		os.Exit(exitUsage)
	default:
		fmt.Fprintln(os.Stderr, "relaybench:", err)
		os.Exit(exitBroken)
	}
}

func command() *cobra.Command {
	root := &cobra.Command{
		Use:   "relaybench",
		Short: "Load a relayd with simulated calls and measure it",
		Long: `relaybench puts simulated calls on a relayd by its control API and is the phone at the far end of each: ICE-lite behind one ip:port,
DTLS, and SRTP at 50 packets a second, which the relay sends back (by its echo, or by a plain RTP leg). It counts every packet: loss,
order, added latency, pacing, and whether SSRC, sequence number and timestamp go on as a phone needs them; and what the relay uses.

The relay is a running one (--relayd, with --pid for its CPU and memory when it is on this host) or one that is started on loopback for
the measurement (--start). It must allow the phones' network: media.allow_networks 127.0.0.0/8 on loopback.

The first table shows for each row what the phones saw: packets sent and lost, added latency (sent to received, by the kernel's stamp) in
microseconds, the pacing error, and beside it this program's own CPU and how late it sent. The second shows what the relay used: CPU in per
cent of one CPU and in microseconds a packet that it received, from /proc; system calls of its media sockets and wake-ups a packet,
goroutines, heap and stacks a call, collections and the longest pause, as it tells itself. "not told" stands where it does not. Below,
every row has the limits that its figures hold within.

Exit codes: 0 good, 1 the relay lost packets or broke a stream (or a set-up), 2 wrong usage, 3 no measurement.`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w; %s --help lists the flags", err, c.CommandPath())}
	})
	root.AddCommand(runCommand(), attachCommand(), churnCommand(), rampCommand(), kneeCommand(), soakCommand(), compareCommand())
	return root
}

func noArgs(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError{fmt.Errorf("%q: there are no arguments, only flags", args[0])}
	}
	return nil
}
