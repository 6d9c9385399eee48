//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc"

	"github.com/onelane/onelane/cmd/relaybench/internal/farend"
	"github.com/onelane/onelane/cmd/relaybench/internal/fleet"
	"github.com/onelane/onelane/cmd/relaybench/internal/proc"
	"github.com/onelane/onelane/cmd/relaybench/internal/report"
	"github.com/onelane/onelane/cmd/relaybench/internal/target"
	"github.com/onelane/onelane/relay/control/controlpb"
)

const (
	// readyTime is how long a relay that was started may take to serve.
	readyTime = 15 * time.Second
	// drainTime is how long packets may be away before they are lost: far over any latency that is of use in a call.
	drainTime = 500 * time.Millisecond
	// spareCalls lets calls be set up while others end.
	spareCalls = 64
)

// bench is a relay under measurement with the fleet that loads it.
type bench struct {
	settings *settings
	process  *target.Process // nil when it was not started here
	pid      int
	folder   string
	conns    []*grpc.ClientConn
	node     controlpb.RelayServiceClient
	exchange *farend.Exchange
	fleet    *fleet.Fleet
	empty    proc.Usage      // of the relay before its first call
	first    *controlpb.Node // what it told then
	progress *progress
	mixes    int  // that were attached
	changed  bool // since packets were counted
}

// openBench starts or finds the relay, for up to most calls.
func openBench(ctx context.Context, s *settings, most int, p *progress) (*bench, error) {
	b := &bench{settings: s, pid: s.relay.pid, progress: p}
	if err := b.open(ctx, most); err != nil {
		return nil, errors.Join(err, b.close())
	}
	return b, nil
}

func (b *bench) open(ctx context.Context, most int) error {
	raiseDescriptors()
	own, err := cpuList(b.settings.load.cpus)
	if err != nil {
		return err
	}
	address := b.settings.relay.address
	if b.settings.relay.start != "" {
		if err := b.start(most); err != nil {
			return err
		}
		address = b.process.Address
	}
	if len(own) > 0 {
		if err := target.PinSelf(own); err != nil {
			return err
		}
	}
	if b.conns, err = fleet.Dial(address, b.settings.load.controllers, most); err != nil {
		return err
	}
	b.node = controlpb.NewRelayServiceClient(b.conns[0])
	if err := b.ready(ctx, address); err != nil {
		return err
	}
	answer, err := b.node.GetNode(ctx, &controlpb.GetNodeRequest{})
	if err != nil {
		return fmt.Errorf("ask the relay what it holds: %w", err)
	}
	b.first = answer.GetNode()
	if b.pid != 0 {
		if b.empty, err = proc.Read(b.pid); err != nil {
			return err
		}
	}
	return b.load()
}

func (b *bench) start(most int) error {
	r := b.settings.relay
	first, last, err := r.portRange()
	if err != nil {
		return err
	}
	if slack := (last - first) / 4; r.ports == "" && slack > 0 {
		first += rand.IntN(slack) // two that look at the same time begin at different ports
	}
	cpus, err := cpuList(r.cpus)
	if err != nil {
		return err
	}
	if b.folder, err = os.MkdirTemp("", "relaybench-"); err != nil {
		return err
	}
	b.process, err = target.Start(target.Options{
		Path: r.start, Config: r.config, Set: r.set, Env: r.env, Calls: most + spareCalls, PortMin: first, PortMax: last, CPUs: cpus, Nice: r.nice, Folder: b.folder,
	})
	if err == nil {
		b.pid = b.process.PID
	}
	return err
}

func (b *bench) ready(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, readyTime)
	defer cancel()
	probe := func(ctx context.Context) error {
		_, err := b.node.GetNode(ctx, &controlpb.GetNodeRequest{})
		return err
	}
	if b.process != nil {
		return b.process.Ready(ctx, probe)
	}
	if err := probe(ctx); err != nil {
		return fmt.Errorf("relayd at %s: %w", address, err)
	}
	return nil
}

// load opens the far end and the fleet.
func (b *bench) load() error {
	l := &b.settings.load
	ip, err := netip.ParseAddr(l.listen)
	if err != nil {
		return usageError{fmt.Errorf("--listen: %w", err)}
	}
	profile, err := l.srtp()
	if err != nil {
		return err
	}
	mirror, err := l.mirrorAt(ip)
	if err != nil {
		return err
	}
	attach, err := l.attachments()
	if err != nil {
		return err
	}
	b.exchange, err = farend.New(farend.Options{
		Local: netip.AddrPortFrom(ip, 0), Profile: profile, Payload: l.payload, Period: time.Second / time.Duration(l.pps), Slot: l.slot,
		Mirror: mirror, Realtime: l.realtime,
	})
	if err != nil {
		return err
	}
	controllers := make([]grpc.ClientConnInterface, len(b.conns))
	for i, c := range b.conns {
		controllers[i] = c
	}
	b.fleet = fleet.New(fleet.Options{
		Controllers: controllers, Exchange: b.exchange, Tenant: fmt.Sprintf("relaybench-%d-%d", os.Getpid(), time.Now().UnixNano()),
		Source: l.source(), Attach: attach, Parallel: l.parallel,
	})
	return nil
}

// closeTime bounds the ending of all calls.
const closeTime = 30 * time.Second

// close ends the calls, and the relay if it was started here. It also works on a bench that was opened half.
func (b *bench) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	var problems []error
	if b.fleet != nil {
		problems = append(problems, b.fleet.Close(ctx))
	}
	if b.exchange != nil {
		b.exchange.Close()
	}
	for _, c := range b.conns {
		problems = append(problems, c.Close())
	}
	if b.process != nil {
		problems = append(problems, b.process.Stop())
	}
	if b.folder != "" && !b.settings.relay.keep {
		problems = append(problems, os.RemoveAll(b.folder))
	}
	return errors.Join(problems...)
}

// room is how many calls the relay can take besides those that it had before; most when it does not say.
func (b *bench) room(most int) int {
	if limit := int(b.first.GetCallsLimit()); limit > 0 {
		return min(most, limit-int(b.first.GetCalls()))
	}
	return most
}

// resize sets calls up or ends some, with progress.
func (b *bench) resize(ctx context.Context, n int) error {
	if room := b.room(n); n > room {
		return fmt.Errorf("%d calls do not fit: the relay takes %d more (%d of %d, limited by %s)", n, room, b.first.GetCalls(), b.first.GetCallsLimit(), limiter(b.first))
	}
	b.changed = true
	done := b.progress.every(func() string { return fmt.Sprintf("set-up: %d of %d calls", b.fleet.Size(), n) })
	defer done()
	return b.fleet.Resize(ctx, n)
}

func raiseDescriptors() {
	var r unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &r) == nil && r.Cur < r.Max {
		r.Cur = r.Max
		_ = unix.Setrlimit(unix.RLIMIT_NOFILE, &r) // what there is will be reported
	}
}

// limiter names what bounds the relay's calls.
func limiter(n *controlpb.Node) string {
	return strings.ToLower(strings.TrimPrefix(n.GetLimitedBy().String(), "CAPACITY_LIMIT_"))
}

func (b *bench) limits(n *controlpb.Node) report.Limits {
	l := b.settings.load
	profile, _ := l.srtp() // was checked
	limits := report.Limits{
		PortMin: int(n.GetPortMin()), PortMax: int(n.GetPortMax()), CallsLimit: int(n.GetCallsLimit()), Shards: int(n.GetShards()),
		LimitedBy:            limiter(n),
		GeneratorDescriptors: proc.DescriptorLimit(os.Getpid()), ReceiveBuffer: b.exchange.ReceiveBuffer(),
		Payload: l.payload, PacketsPerSecond: l.pps, Profile: profile.String(), Source: string(l.source()), Attach: strings.Join(l.attach, ","),
		Realtime: b.exchange.Thread() != 0, Nice: b.settings.relay.nice, TargetCPUs: b.settings.relay.cpus, GeneratorCPUs: l.cpus,
	}
	limits.TargetDescriptors = int(n.GetProcess().GetDescriptorsLimit())
	if b.pid != 0 {
		limits.TargetDescriptors = proc.DescriptorLimit(b.pid)
	}
	return limits
}
