// Command relayd is the edge server: it takes WhatsApp calls to and from Meta's media relays and is told by gRPC what to do with them.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/onelane/onelane/ice/udp"
	"github.com/onelane/onelane/relay"
	"github.com/onelane/onelane/relay/config"
	"github.com/onelane/onelane/relay/control"
)

// version is set by the linker.
var version = "dev"

// Exit codes, as relayd --help says.
const (
	exitFailed = 1
	exitConfig = 2
)

// drainTime is how long live calls may go on after SIGTERM: what an orchestrator gives a service that says it needs it. A second signal
// ends them at once.
const drainTime = 10 * time.Minute

// garbage is how much memory may be thrown away before it is collected, in percent of what is in use: Go's default is 100. Set-ups throw
// away what they needed, packets nothing; and each collection stops the media threads for a moment. With 400 set-ups a second the p99 of
// what live calls wait falls to less than half (bench/RESULTS.md). A call keeps about 16 KB, so five times that is little.
const garbage = 400

// socketBuffer is asked for every media port: half a second of a call, so that a pause of the process loses nothing.
const socketBuffer = 64 << 10

// controlVariable tells relayctl where the edge is. It looks like a setting and is none.
const controlVariable = "ONELANE_ADDR"

type configError struct{ error }

var (
	_ control.Edge       = (*relay.Server)(nil)
	_ control.Positioner = (*relay.Server)(nil)
)

func main() {
	root := command()
	err := root.Execute()
	var bad configError
	switch {
	case err == nil:
	case errors.As(err, &bad):
		fmt.Fprintln(os.Stderr, "relayd:", err)
		os.Exit(exitConfig)
	default:
		fmt.Fprintln(os.Stderr, "relayd:", err)
		os.Exit(exitFailed)
	}
}

func command() *cobra.Command {
	var file string
	root := &cobra.Command{
		Use:   "relayd",
		Short: "The media edge for WhatsApp calling",
		Long: `relayd is the media edge for WhatsApp calling. It serves a gRPC API (onelane.relay.v1) that relayctl and signalling services speak.

Settings come from, each winning over the one before: their defaults, the file of --config, the environment (ONELANE_MEDIA_PORT_MIN),
the flags below (--media-port-min). See configs/relayd.yaml for every key with its reason.

SIGTERM and SIGINT drain: no new calls, live ones go on for up to 10 minutes. A second signal ends them at once.

Exit codes: 0 stopped as asked, 1 failed while running, 2 a wrong setting.`,
		Args:          noArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := load(cmd, file)
			if err != nil {
				return err
			}
			return run(cmd.Context(), c, cmd.ErrOrStderr())
		},
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error {
		return configError{fmt.Errorf("%w; relayd --help lists the flags", err)}
	})
	root.PersistentFlags().StringVarP(&file, "config", "c", "", "YAML file of settings")
	config.Flags(root.PersistentFlags())
	root.AddCommand(&cobra.Command{
		Use:   "check",
		Short: "Check the settings and say how many calls fit",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := load(cmd, file)
			if err != nil {
				return err
			}
			for _, w := range warnings(c) {
				fmt.Fprintln(cmd.OutOrStdout(), "warning:", w)
			}
			calls, by := relay.Capacity(c, raiseDescriptors())
			fmt.Fprintln(cmd.OutOrStdout(), "settings are valid")
			fmt.Fprintf(cmd.OutOrStdout(), "%d calls fit, limited by %s\n", calls, by)
			return nil
		},
	}, &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  noArgs,
		Run: func(cmd *cobra.Command, _ []string) {
			fmt.Fprintln(cmd.OutOrStdout(), "relayd", describe())
		},
	})
	return root
}

// noArgs refuses what is no command as what is no flag is refused.
func noArgs(cmd *cobra.Command, args []string) error {
	if err := cobra.NoArgs(cmd, args); err != nil {
		return configError{err}
	}
	return nil
}

// describe is the version with the commit it was built from, where the toolchain knows it.
func describe() string {
	if b, ok := debug.ReadBuildInfo(); ok && version == "dev" {
		for _, s := range b.Settings {
			if s.Key == "vcs.revision" && len(s.Value) >= 12 {
				return version + "+" + s.Value[:12]
			}
		}
	}
	return version
}

func load(cmd *cobra.Command, file string) (config.Config, error) {
	c, err := config.Load(file, cmd.Flags(), os.Environ())
	if err != nil {
		return c, configError{err}
	}
	return c, nil
}

func warnings(c config.Config) []string {
	ephemeral, _ := os.ReadFile(config.EphemeralRangeFile) // not there on other systems: then there is nothing to compare with
	environment := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, controlVariable+"=") })
	return append(c.Warnings(string(ephemeral)), config.UnknownEnvironment(environment)...)
}

// run serves until it is told to stop.
func run(ctx context.Context, c config.Config, out io.Writer) error {
	log := logger(c, out)
	for _, w := range warnings(c) {
		log.Warn(w)
	}
	descriptors := raiseDescriptors()
	edge, err := relay.New(relay.Options{
		Config:      c,
		Kinds:       kinds(c),
		Log:         log,
		Version:     describe(),
		NewPorts:    func() (udp.Ports, error) { return udp.New(udp.Options{ReceiveBuffer: socketBuffer}) },
		Descriptors: descriptors,
		Thread:      mediaFirst(log),
	})
	if err != nil {
		return err
	}
	defer edge.Close()
	api, err := control.New(control.Options{
		Edge:           edge,
		Log:            log,
		TLS:            control.Files{Cert: c.GRPC.TLSCert, Key: c.GRPC.TLSKey, ClientCA: c.GRPC.ClientCA},
		AllowPlaintext: c.GRPC.AllowPlaintext,
	})
	if err != nil {
		return configError{err}
	}
	l, err := net.Listen("tcp", c.GRPC.Listen)
	if err != nil {
		return fmt.Errorf("grpc.listen: %w: choose another address, or stop what has it", err)
	}
	node := edge.Node()
	if node.LimitedBy == "descriptors" {
		log.Warn("the limit of open files bounds the calls: raise it (LimitNOFILE, ulimit -n) or lower calls.max",
			"open_files", descriptors, "calls", node.CallsLimit, "calls.max", c.Calls.Max)
	}
	schedule(node.Shards)
	log.Info("ready", "version", node.Version, "api", l.Addr().String(), "media", strings.Join(node.MediaAddrs, " "),
		"ports", fmt.Sprintf("%d-%d", node.PortMin, node.PortMax), "shards", node.Shards, "calls", node.CallsLimit, "limited_by", node.LimitedBy)
	return serve(ctx, edge, api, l, log)
}

// schedule sets the Go runtime up for shards.
func schedule(shards int) {
	runtime.GOMAXPROCS(runtime.NumCPU() + shards) // a shard's thread keeps a processor of the scheduler also while it waits
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(garbage)
	}
}

// serve runs the API until a signal comes, then drains.
func serve(ctx context.Context, edge *relay.Server, api *control.Server, l net.Listener, log *slog.Logger) error {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT) // until the process ends: one that comes while it does must not make it a failure
	serving, stop := context.WithCancel(ctx)
	defer stop()
	failed := make(chan error, 1)
	go func() { failed <- api.Serve(serving, l) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve the API: %w", err)
	case <-ctx.Done():
	case s := <-signals:
		log.Info("draining: no new calls; again to end the live ones", "signal", s.String(), "calls", edge.Node().Calls)
	}
	api.SetReady(false)
	drain, cancel := context.WithTimeout(ctx, drainTime)
	defer cancel()
	go func() {
		select {
		case <-signals:
			cancel()
		case <-drain.Done():
		}
	}()
	edge.Drain(drain)
	closed := edge.Close() // the last events are told while the API still serves
	stop()
	if err := <-failed; err != nil {
		return fmt.Errorf("stop the API: %w", err)
	}
	log.Info("stopped")
	return closed
}

// logger writes what happens to out. No call id, SDP or address of a phone is ever given to it.
func logger(c config.Config, out io.Writer) *slog.Logger {
	var level slog.Level
	level.UnmarshalText([]byte(c.Log.Level)) // validated with the settings
	o := &slog.HandlerOptions{Level: level}
	if c.Log.Format == "json" {
		return slog.New(slog.NewJSONHandler(out, o))
	}
	return slog.New(slog.NewTextHandler(out, o))
}

// raiseDescriptors lifts the soft limit of open files to the hard one and returns it: every call is a socket. 0: not known.
func raiseDescriptors() int {
	var r unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &r); err != nil {
		return 0
	}
	if r.Cur < r.Max {
		raised := unix.Rlimit{Cur: r.Max, Max: r.Max}
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &raised); err == nil {
			r = raised
		}
	}
	const most = 1 << 24 // what "unlimited" is read as
	return int(min(r.Cur, most))
}
