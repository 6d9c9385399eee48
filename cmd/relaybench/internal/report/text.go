//go:build linux

package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// Text writes the rows for people: one line a row, then what each row is about.
func (r *Report) Text(out io.Writer) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\tcalls\tsec\tsent\tlost\tp50 us\tp99\tp99.9\tmax\tpacing p99\tCPU %\tus/relayed\tRSS MB\tKB/call\town CPU %\town late p99\t")
	for _, row := range r.Rows {
		l, t := row.Latency, row.Target
		fmt.Fprintf(w, "%s\t%d\t%.0f\t%d\t%d\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\t%s\t%s\t%.0f\t%.1f\t%.0f\t%.0f\t\n",
			row.Label, row.Calls, row.Seconds, row.Traffic.Sent, row.Traffic.Lost, l.P50, l.P99, l.P999, l.Max, row.Pacing.P99,
			known(t.PID, "%.0f", t.CPUPercent), known(t.PID, "%.2f", t.CPUPerRelayed),
			float64(t.Resident)/1e6, float64(t.ResidentPerCall)/1024, row.Generator.CPUPercent, row.Generator.Late.P99)
	}
	w.Flush()
	for _, row := range r.Rows {
		fmt.Fprintln(out)
		row.details(out)
	}
	if len(r.Ratios) > 0 {
		fmt.Fprintln(out)
		w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprintln(w, "median of\tA\tB\tB/A\t")
		for _, x := range r.Ratios {
			fmt.Fprintf(w, "%s\t%.4g\t%.4g\t%.3f\t\n", x.Figure, x.A, x.B, x.Ratio)
		}
		w.Flush()
	}
	for _, n := range r.Notes {
		fmt.Fprintln(out, "note:", n)
	}
}

func known(pid int, format string, v float64) string {
	if pid == 0 {
		return "-"
	}
	return fmt.Sprintf(format, v)
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
	if t.PID != 0 {
		fmt.Fprintf(out, "; CPU %.1f %% (user %.1f), %.2f us a relayed packet, %.2f us a datagram; %.2f waits a packet; RSS %.1f MB, %d descriptors, %d threads",
			t.CPUPercent, t.UserPercent, t.CPUPerRelayed, t.CPUPerDatagram, t.WaitsPerPacket, float64(t.Resident)/1e6, t.Descriptors, t.Threads)
	}
	fmt.Fprintln(out)
	if t.Runtime.Known {
		fmt.Fprintf(out, "              %d collections, longest pause %.0f us; %.0f MB were alive after the last\n", t.Runtime.Cycles, t.Runtime.PauseMax, float64(t.Runtime.HeapLive)/(1<<20))
	}
	if len(t.Drops) > 0 || t.Violations > 0 {
		fmt.Fprintf(out, "              dropped: %s; egress violations %d\n", t.Drops, t.Violations)
	}
	fmt.Fprintf(out, "  generator   CPU %.1f %%, %.2f us a packet; late %s us; receive buffer drops %d, unsent %d, stalls %d\n",
		g.CPUPercent, g.CPUPerPacket, g.Late, g.Dropped, g.Unsent, g.Stalls)
	fmt.Fprintf(out, "  limits      ports %d-%d, calls %d by %s, %d shards, descriptors %d, generator: descriptors %d, receive buffer %d KiB; %d bytes, %d packets a second, %s, %s%s; %s\n",
		l.PortMin, l.PortMax, l.CallsLimit, l.LimitedBy, l.Shards, l.TargetDescriptors, l.GeneratorDescriptors, l.ReceiveBuffer>>10,
		l.Payload, l.PacketsPerSecond, l.Profile, l.Source, with(l.Attach), l.scheduling())
	for _, p := range r.Problems {
		fmt.Fprintln(out, "  FAILED     ", p)
	}
	for _, d := range r.Doubts {
		fmt.Fprintln(out, "  doubtful   ", d)
	}
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
