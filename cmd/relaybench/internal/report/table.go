//go:build linux

package report

import "fmt"

// Table is cells as they are printed, the names of the columns first. The first column is the row's label.
type Table [][]string

// notTold is what stands in the place of a figure that the relay, or the kernel about it, does not tell.
const notTold = "not told"

// Traffic is what the phones saw.
func (r *Report) Traffic() Table {
	t := Table{{"far end", "calls", "seconds", "sent", "lost", "p50 us", "p99", "p99.9", "max", "pacing p99 us", "max", "own CPU %", "own late p99 us"}}
	for _, row := range r.Rows {
		l, g := row.Latency, row.Generator
		t = append(t, []string{
			row.Label, fmt.Sprint(row.Calls), whole(row.Seconds), fmt.Sprint(row.Traffic.Sent), fmt.Sprint(row.Traffic.Lost),
			whole(l.P50), whole(l.P99), whole(l.P999), whole(l.Max), whole(row.Pacing.P99), whole(row.Pacing.Max), whole(g.CPUPercent), whole(g.Late.P99),
		})
	}
	return t
}

// Relay is what the relay used.
func (r *Report) Relay() Table {
	t := Table{{"relay", "CPU %", "us a packet", "user", "system", "system calls a packet", "wake-ups", "goroutines", "descriptors", "heap KB a call", "stack",
		"collections", "longest us", "RSS MB", "KB a call"}}
	for _, row := range r.Rows {
		x, m, s := row.Target, row.Target.Runtime, row.Target.Sockets
		process := x.PID != 0
		t = append(t, []string{
			row.Label, told(process, "%.0f", x.CPUPercent), told(process, "%.2f", x.CPUPerRelayed), told(process, "%.2f", x.UserPerRelayed),
			told(process, "%.2f", x.SystemPerRelayed), told(s.CallsKnown, "%.2f", s.CallsPerPacket), told(s.Known, "%.3f", s.WakeupsPerPacket),
			told(m.Known, "%d", m.Goroutines), told(x.Descriptors > 0, "%d", x.Descriptors), told(m.Known, "%.1f", kilobytes(m.HeapPerCall)),
			told(m.Known, "%.1f", kilobytes(m.StackPerCall)), told(m.Known, "%d", m.Cycles), told(m.Known, "%.0f", m.PauseMax),
			told(process, "%.0f", float64(x.Resident)/1e6), told(process, "%.1f", kilobytes(x.ResidentPerCall)),
		})
	}
	return t
}

func whole(v float64) string { return fmt.Sprintf("%.0f", v) }

func kilobytes(n int64) float64 { return float64(n) / 1024 }

func told(known bool, format string, v any) string {
	if !known {
		return notTold
	}
	return fmt.Sprintf(format, v)
}
