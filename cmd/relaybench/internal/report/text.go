//go:build linux

package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// Text writes the rows for people: a line a row in two tables, then what each row is about.
func (r *Report) Text(out io.Writer) {
	r.Traffic().write(out)
	fmt.Fprintln(out)
	r.Relay().write(out)
	for _, row := range r.Rows {
		fmt.Fprintln(out)
		row.details(out)
	}
	if len(r.Ratios) > 0 {
		fmt.Fprintln(out)
		w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprintln(w, "median of\tA\tB\tB/A\t")
		for _, x := range r.Ratios {
			fmt.Fprintf(w, "%s\t%.4g\t%.4g\t%s\t\n", x.Figure, x.A, x.B, x.Quotient())
		}
		w.Flush()
	}
	for _, n := range r.Notes {
		fmt.Fprintln(out, "note:", n)
	}
}

func (t Table) write(out io.Writer) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, cells := range t {
		fmt.Fprintln(w, strings.Join(cells, "\t")+"\t")
	}
	w.Flush()
}

func (r *Row) details(out io.Writer) {
	c, t, g, l, s := r.Continuity, r.Target, r.Generator, r.Limits, r.SetUp
	fmt.Fprintf(out, "%s\n", strings.TrimSpace(r.Label+": "+fmt.Sprint(r.Calls)+" calls"))
	fmt.Fprintf(out, "  traffic     sent %d, back %d, lost %d (%.5f %%), reordered %d, twice %d, relay's own silence %d, RTCP %d\n",
		r.Traffic.Sent, r.Traffic.Received, r.Traffic.Lost, r.Traffic.LossRatio*100, r.Traffic.Reordered, r.Traffic.Duplicates, r.Traffic.Silence, r.Traffic.Reports)
	fmt.Fprintf(out, "  added       %s us\n", r.Latency)
	fmt.Fprintf(out, "  pacing      %s us\n", r.Pacing)
	fmt.Fprintf(out, "  continuity  SSRC %d, sequence %d, timestamp %d, form %d, unopened %d broken; missing %d, timestamp holes %d\n",
		c.SSRC, c.Sequence, c.Timestamp, c.Form, c.Unopened, c.Missing, c.TimestampGaps)
	if s.Calls > 0 {
		fmt.Fprintf(out, "  set-up      %d calls, %d failed, %d waits for the relay's quota or ports; create %s ms; offer to keys %s ms\n", s.Calls, s.Failed, s.Waited, s.Create, s.Keys)
	}
	fmt.Fprintf(out, "  relay       %d datagrams in, %d out", t.Relayed, t.Forwarded)
	t.details(out)
	if len(t.Drops) > 0 || t.Violations > 0 {
		fmt.Fprintf(out, "              dropped: %s; egress violations %d\n", t.Drops, t.Violations)
	}
	fmt.Fprintf(out, "  generator   CPU %.1f %%, %.2f us a packet; late %s us; receive buffer drops %d, unsent %d, stalls %d\n",
		g.CPUPercent, g.CPUPerPacket, g.Late, g.Dropped, g.Unsent, g.Stalls)
	relay := "ports, calls and shards not told"
	if l.Shards > 0 {
		relay = fmt.Sprintf("ports %d-%d, calls %d by %s, %d shards", l.PortMin, l.PortMax, l.CallsLimit, l.LimitedBy, l.Shards)
	}
	fmt.Fprintf(out, "  limits      %s, descriptors %s, generator: descriptors %d, receive buffer %d KiB; %d bytes, %d packets a second, %s, %s%s; %s\n",
		relay, told(l.TargetDescriptors != 0, "%d", l.TargetDescriptors), l.GeneratorDescriptors, l.ReceiveBuffer>>10,
		l.Payload, l.PacketsPerSecond, l.Profile, l.Source, with(l.Attach), l.scheduling())
	for _, p := range r.Problems {
		fmt.Fprintln(out, "  FAILED     ", p)
	}
	for _, d := range r.Doubts {
		fmt.Fprintln(out, "  doubtful   ", d)
	}
}

// details are what the kernel tells about the relay's process, then what the relay tells itself.
func (t *Target) details(out io.Writer) {
	if t.PID != 0 {
		fmt.Fprintf(out, "; CPU %.1f %%: %.2f us a relayed packet, user %.2f and system %.2f; %.2f us a datagram\n", t.CPUPercent, t.CPUPerRelayed,
			t.UserPerRelayed, t.SystemPerRelayed, t.CPUPerDatagram)
		fmt.Fprintf(out, "  process     RSS %.1f MB, %d descriptors, %d threads, %.2f waits a packet\n", float64(t.Resident)/1e6, t.Descriptors, t.Threads, t.WaitsPerPacket)
	} else {
		fmt.Fprint(out, "; CPU and RSS not told: give --pid when it is on this host\n")
	}
	if m := t.Runtime; m.Known {
		fmt.Fprintf(out, "  runtime     %d goroutines; heap %.1f MB with garbage, %.1f MB alive after the last collection; stacks %.1f MB; %.4f allocations a packet; %s\n",
			m.Goroutines, float64(m.Heap)/1e6, float64(m.HeapLive)/1e6, float64(m.Stack)/1e6, m.Allocations, m.pauses())
	} else {
		fmt.Fprint(out, "  runtime     not told\n")
	}
	if s := t.Sockets; s.Known {
		fmt.Fprintf(out, "  sockets     %s system calls and %.3f wake-ups a relayed packet, receive errors %d\n",
			told(s.CallsKnown, "%.3f", s.CallsPerPacket), s.WakeupsPerPacket, s.ReceiveErrors)
	} else {
		fmt.Fprint(out, "  sockets     not told\n")
	}
}

func (m Runtime) pauses() string {
	if m.PauseMax == 0 {
		return fmt.Sprintf("%d collections, no pause", m.Cycles)
	}
	return fmt.Sprintf("%d collections, longest pause at most %.0f us", m.Cycles, m.PauseMax)
}

func (l Limits) scheduling() string {
	s := fmt.Sprintf("relay nice %d on CPUs %s, generator ", l.Nice, all(l.TargetCPUs))
	if l.Realtime {
		s += "real-time "
	}
	return s + "on CPUs " + all(l.GeneratorCPUs)
}

func all(cpus string) string {
	if cpus == "" {
		return "all"
	}
	return cpus
}

func with(attach string) string {
	if attach == "" {
		return ""
	}
	return " with " + attach
}

// String is the spread in one line.
func (s Spread) String() string {
	return fmt.Sprintf("p50 %.4g, p99 %.4g, p99.9 %.4g, max %.4g", s.P50, s.P99, s.P999, s.Max)
}

// String lists the reasons in order.
func (d Drops) String() string {
	var parts []string
	for reason, n := range d {
		parts = append(parts, fmt.Sprintf("%s %d", reason, n))
	}
	slices.Sort(parts)
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ")
}
