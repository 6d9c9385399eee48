//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"slices"
	"time"

	"github.com/onelane/onelane/cmd/relaybench/internal/proc"
	"github.com/onelane/onelane/cmd/relaybench/internal/report"
	"github.com/onelane/onelane/relay/control/controlpb"
)

// Above these the generator may have shaped what was measured.
const (
	doubtfulLate = 2000 // microseconds that 1 % of the packets were sent late, or more
	doubtfulCPU  = 90   // per cent of one CPU: its thread was busy all the time
)

// reading is what relay and generator have used at one time.
type reading struct {
	at     time.Time
	target proc.Usage
	own    proc.Usage
	node   *controlpb.Node
}

func (b *bench) read(ctx context.Context) (reading, error) {
	var r reading
	answer, err := b.node.GetNode(ctx, &controlpb.GetNodeRequest{})
	if err != nil {
		return r, fmt.Errorf("read the relay's counters: %w", err)
	}
	r.node = answer.GetNode()
	return r, b.usage(&r)
}

func (b *bench) usage(r *reading) error {
	r.at = time.Now()
	var err error
	if r.own, err = proc.Read(os.Getpid()); err != nil {
		return err
	}
	if b.pid != 0 {
		r.target, err = proc.Read(b.pid)
	}
	return err
}

// measure counts the packets of all calls that are up for a time. during, if any, runs beside it and ends by itself.
func (b *bench) measure(ctx context.Context, label string, duration time.Duration, during func(context.Context) error) (report.Row, error) {
	row := report.Row{Label: label, Problems: []string{}, Doubts: []string{}}
	if b.changed {
		if err := wait(ctx, b.settings.load.settle); err != nil {
			return row, err
		}
		b.changed = false
	}
	before, err := b.read(ctx)
	if err != nil {
		return row, err
	}
	runtime.GC()
	if during == nil { // what runs beside it must not go before the relay
		defer b.prefer()()
	}
	b.exchange.Begin()
	beside := make(chan error, 1)
	if during != nil {
		go func() { beside <- during(ctx) }()
	} else {
		beside <- nil
	}
	points, err := b.watch(ctx, label, duration, before)
	if err != nil {
		b.exchange.Stop()
		b.exchange.Collect()
		<-beside
		return row, err
	}
	after, err := b.read(ctx)
	if err != nil {
		return row, err
	}
	b.exchange.Stop()
	if err := wait(ctx, drainTime); err != nil {
		return row, err
	}
	tally := b.exchange.Collect()
	row.OfTally(tally)
	if b.settings.load.silence { // nothing is meant to come back
		row.Traffic.Lost, row.Traffic.LossRatio, row.Plots.Seconds = 0, 0, nil
	}
	row.Plots.CPU = points
	b.fill(&row, before, after)
	b.judge(&row)
	return row, <-beside
}

// prefer lets this process run before everything else until the function that it returns is called, if the phones do so.
func (b *bench) prefer() func() {
	thread := b.exchange.Thread()
	if thread == 0 || proc.RealtimeThreads(true, thread) != nil {
		return func() {}
	}
	return func() { _ = proc.RealtimeThreads(false, thread) } // what was allowed is allowed
}

// watch waits and takes a reading a second.
func (b *bench) watch(ctx context.Context, label string, duration time.Duration, before reading) ([]report.CPUPoint, error) {
	var points []report.CPUPoint
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	end := time.NewTimer(duration)
	defer end.Stop()
	last := before
	for {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-end.C:
			return points, nil
		case <-ticker.C:
		}
		now := reading{}
		if err := b.usage(&now); err != nil {
			return nil, err
		}
		passed := now.at.Sub(last.at)
		points = append(points, report.CPUPoint{
			At:        now.at.Sub(before.at).Seconds(),
			Target:    percent(now.target.CPU()-last.target.CPU(), passed),
			Generator: percent(now.own.CPU()-last.own.CPU(), passed),
			Resident:  now.target.Resident,
		})
		last = now
		p := b.exchange.Progress()
		at := points[len(points)-1]
		b.progress.say(fmt.Sprintf("%s %3.0f s: %d calls, sent %d, back %d, lost %d, broken %d, p99 %v; CPU relay %.0f %%, own %.0f %%",
			label, at.At, p.Phones, p.Sent, p.Received, p.Lost, p.Breaches, p.P99.Round(time.Microsecond), at.Target, at.Generator))
	}
}

// fill writes what relay and generator have used between two readings.
func (b *bench) fill(row *report.Row, before, after reading) {
	passed := after.at.Sub(before.at)
	n, o := after.node, before.node
	t, g := &row.Target, &row.Generator
	row.Limits = b.limits(n)
	t.Version, t.PID = n.GetVersion(), b.pid
	t.Relayed, t.Forwarded = n.GetPacketsReceived()-o.GetPacketsReceived(), n.GetPacketsSent()-o.GetPacketsSent()
	t.Violations = n.GetViolations() - o.GetViolations()
	t.Drops = report.Drops{}
	for reason, count := range n.GetDrops() {
		if more := count - o.GetDrops()[reason]; more > 0 {
			t.Drops[reason] = more
		}
	}
	if b.pid != 0 {
		b.used(t, row.Calls, before, after)
	}
	t.Runtime = ofRuntime(n.GetProcess(), o.GetProcess(), b.first.GetProcess(), row.Calls, t.Relayed)
	t.Sockets = ofSockets(n.GetMediaPlane(), o.GetMediaPlane(), t.Relayed)
	if t.Descriptors == 0 {
		t.Descriptors = int(n.GetProcess().GetDescriptors())
	}
	own := after.own.CPU() - before.own.CPU()
	g.CPUPercent, g.CPUPerPacket = percent(own, passed), each(own, row.Traffic.Sent+row.Traffic.Received+row.Traffic.Silence+2*row.Traffic.Mirrored)
	timings := b.fleet.Timings()
	row.SetUp = report.SetUp{
		Calls: timings.Keys.Count(), Failed: timings.Failed, Waited: timings.Waited,
		Create: report.SpreadOf(&timings.Create, time.Millisecond), Keys: report.SpreadOf(&timings.Keys, time.Millisecond),
		Whole: report.SpreadOf(&timings.Whole, time.Millisecond),
	}
}

// used writes what the kernel tells about the relay.
func (b *bench) used(t *report.Target, calls int, before, after reading) {
	passed := after.at.Sub(before.at)
	user, system := after.target.User-before.target.User, after.target.System-before.target.System
	t.CPU = report.CPU{
		CPUPercent: percent(user+system, passed), UserPercent: percent(user, passed), SystemPercent: percent(system, passed),
		CPUPerRelayed: each(user+system, t.Relayed), UserPerRelayed: each(user, t.Relayed), SystemPerRelayed: each(system, t.Relayed),
		CPUPerDatagram: each(user+system, t.Relayed+t.Forwarded),
	}
	t.Resident, t.Descriptors, t.Threads = after.target.Resident, after.target.Descriptors, after.target.Threads
	if calls > 0 {
		t.ResidentPerCall = (after.target.Resident - b.empty.Resident) / int64(calls)
	}
	if t.Relayed > 0 {
		t.WaitsPerPacket = float64(after.target.Waits-before.target.Waits) / float64(t.Relayed)
	}
}

// judge says what went wrong: with the relay, or with the measurement.
func (b *bench) judge(row *report.Row) {
	problem := func(bad bool, format string, args ...any) {
		if bad {
			row.Problems = append(row.Problems, fmt.Sprintf(format, args...))
		}
	}
	doubt := func(bad bool, format string, args ...any) {
		if bad {
			row.Doubts = append(row.Doubts, fmt.Sprintf(format, args...))
		}
	}
	t, c, g := row.Traffic, row.Continuity, row.Generator
	problem(t.Sent == 0, "no packet was sent")
	problem(t.Lost > 0, "%d packets lost", t.Lost)
	problem(t.Duplicates > 0, "%d packets came twice", t.Duplicates)
	problem(c.Breaches() > 0, "continuity broken %d times: SSRC %d, sequence %d, timestamp %d, form %d, unopened %d",
		c.Breaches(), c.SSRC, c.Sequence, c.Timestamp, c.Form, c.Unopened)
	problem(row.Target.Violations > 0, "the relay's own egress check found %d violations", row.Target.Violations)
	problem(row.SetUp.Failed > 0, "%d set-ups failed", row.SetUp.Failed)
	var reasons []string
	for reason, n := range b.fleet.Ended() {
		reasons = append(reasons, fmt.Sprintf("%d calls ended by themselves: %s", n, reason))
	}
	slices.Sort(reasons)
	row.Problems = append(row.Problems, reasons...)
	doubt(g.Dropped > 0, "%d datagrams were lost in the generator's own receive buffer", g.Dropped)
	doubt(g.Unsent > 0, "%d packets were refused by the kernel", g.Unsent)
	doubt(g.Stalls > 0, "the generator did not run for 200 ms or more, %d times", g.Stalls)
	doubt(g.Late.P99 > doubtfulLate, "1 %% of the packets were sent %.1f ms late or more", g.Late.P99/1e3)
	doubt(g.CPUPercent > doubtfulCPU, "the generator used %.0f %% of a CPU", g.CPUPercent)
	doubt(t.Sent > 0 && g.Unstamped > 0, "%d packets had no receive time of the kernel", g.Unstamped)
}

func percent(used, passed time.Duration) float64 {
	if passed <= 0 {
		return 0
	}
	return 100 * float64(used) / float64(passed)
}

// each is microseconds for each of n.
func each(used time.Duration, n uint64) float64 {
	if n == 0 {
		return 0
	}
	return float64(used) / 1e3 / float64(n)
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
