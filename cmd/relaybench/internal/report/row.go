//go:build linux

// Package report is the outcome of measurements: rows of figures, as text, JSON and a page that needs nothing else.
package report

import (
	"fmt"
	"slices"
	"time"

	"github.com/onelane/onelane/cmd/relaybench/internal/farend"
	"github.com/onelane/onelane/cmd/relaybench/internal/histogram"
)

// Row is one measurement.
type Row struct {
	Label      string            `json:"label"`
	Calls      int               `json:"calls"`
	Seconds    float64           `json:"seconds"`
	Traffic    Traffic           `json:"traffic"`
	Latency    Spread            `json:"added_latency_us"`
	Pacing     Spread            `json:"pacing_error_us"`
	Continuity farend.Continuity `json:"continuity"`
	SetUp      SetUp             `json:"set_up"`
	Target     Target            `json:"target"`
	Generator  Generator         `json:"generator"`
	Limits     Limits            `json:"limits"`
	Problems   []string          `json:"problems"` // why the relay failed; empty: it did not
	Doubts     []string          `json:"doubts"`   // why the measurement itself may be wrong
	Plots      Plots             `json:"plots"`
}

// Traffic is packets, counted at the phones.
type Traffic struct {
	Sent       uint64  `json:"sent"`
	Received   uint64  `json:"received"`
	Lost       uint64  `json:"lost"`
	LossRatio  float64 `json:"loss_ratio"`
	Reordered  uint64  `json:"reordered"`
	Duplicates uint64  `json:"duplicates"`
	Silence    uint64  `json:"silence"`  // audio that no phone has sent
	Mirrored   uint64  `json:"mirrored"` // packets of plain RTP legs that this process sent back
	Reports    uint64  `json:"rtcp"`
}

// Spread is a distribution of times, in the unit that its field names.
type Spread struct {
	P50  float64 `json:"p50"`
	P95  float64 `json:"p95"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p999"`
	Max  float64 `json:"max"`
	Mean float64 `json:"mean"`
}

// SpreadOf is the distribution of a histogram in a unit.
func SpreadOf(h *histogram.Histogram, unit time.Duration) Spread {
	in := func(d time.Duration) float64 { return float64(d) / float64(unit) }
	return Spread{in(h.Quantile(0.5)), in(h.Quantile(0.95)), in(h.Quantile(0.99)), in(h.Quantile(0.999)), in(h.Max()), in(h.Mean())}
}

// SetUp is how calls were set up since the row before.
type SetUp struct {
	Calls     uint64  `json:"calls"`
	Failed    int     `json:"failed"`
	Waited    int     `json:"waits"` // for the relay's quota, or because ports were taken
	PerSecond float64 `json:"per_second,omitempty"`
	Ended     float64 `json:"ended_per_second,omitempty"`
	Create    Spread  `json:"create_ms"` // CreateCall alone
	Keys      Spread  `json:"offer_to_keys_ms"`
	Whole     Spread  `json:"offer_to_attached_ms"`
}

// Target is what the relay used. Fields about the process are 0 when it is not known.
type Target struct {
	PID     int    `json:"pid"`
	Version string `json:"version"`
	CPU
	Relayed         uint64  `json:"datagrams_received"`
	Forwarded       uint64  `json:"datagrams_sent"`
	Resident        int64   `json:"rss_bytes"`
	ResidentPerCall int64   `json:"rss_bytes_per_call"` // against the process before its first call
	Descriptors     int     `json:"descriptors"`
	Threads         int     `json:"threads"`
	WaitsPerPacket  float64 `json:"waits_per_relayed_packet"` // voluntary context switches
	Runtime         Runtime `json:"runtime"`
	Sockets         Sockets `json:"sockets"`
	Drops           Drops   `json:"drops"`
	Violations      uint64  `json:"egress_violations"`
}

// CPU is the relay's time by /proc. What is a packet's is microseconds over datagrams received.
type CPU struct {
	CPUPercent       float64 `json:"cpu_percent"` // of one CPU
	UserPercent      float64 `json:"cpu_user_percent"`
	SystemPercent    float64 `json:"cpu_system_percent"`
	CPUPerRelayed    float64 `json:"cpu_us_per_relayed_packet"`
	UserPerRelayed   float64 `json:"cpu_user_us_per_relayed_packet"`
	SystemPerRelayed float64 `json:"cpu_system_us_per_relayed_packet"`
	CPUPerDatagram   float64 `json:"cpu_us_per_datagram"` // over received and sent
}

// Drops is packets by the relay's own reason.
type Drops map[string]uint64

// Runtime is what the relay tells about its process; what is a call's is against the process before the first call.
type Runtime struct {
	Known        bool    `json:"known"` // not every relay tells
	Goroutines   int64   `json:"goroutines"`
	Heap         int64   `json:"heap_bytes"`          // with garbage that is not yet collected
	HeapPerCall  int64   `json:"heap_bytes_per_call"` // the same
	HeapLive     int64   `json:"heap_live_bytes"`     // after the last collection
	Stack        int64   `json:"stack_bytes"`
	StackPerCall int64   `json:"stack_bytes_per_call"`
	Allocations  float64 `json:"allocations_per_relayed_packet"`
	Cycles       int64   `json:"gc_cycles"`
	PauseMax     float64 `json:"gc_pause_max_us"` // an upper bound, up to a quarter above; 0: there was none
}

// Sockets is what the relay tells about its media sockets.
type Sockets struct {
	Known            bool    `json:"known"`       // not every relay tells
	CallsKnown       bool    `json:"calls_known"` // not every system tells
	CallsPerPacket   float64 `json:"system_calls_per_relayed_packet"`
	WakeupsPerPacket float64 `json:"wakeups_per_relayed_packet"`
	ReceiveErrors    uint64  `json:"receive_errors"`
}

// Generator is what this process did and used.
type Generator struct {
	CPUPercent   float64 `json:"cpu_percent"`
	CPUPerPacket float64 `json:"cpu_us_per_packet"` // sent or received
	Late         Spread  `json:"send_late_us"`
	Unsent       uint64  `json:"unsent"`
	Dropped      uint64  `json:"receive_buffer_drops"`
	Stalls       uint64  `json:"stalls"`
	Strays       uint64  `json:"strays"`
	Unstamped    uint64  `json:"without_kernel_stamp"`
}

// Limits are what a figure holds within.
type Limits struct {
	PortMin              int    `json:"port_min"`
	PortMax              int    `json:"port_max"`
	CallsLimit           int    `json:"calls_limit"`
	LimitedBy            string `json:"limited_by"`
	Shards               int    `json:"shards"`
	TargetDescriptors    int    `json:"target_descriptor_limit"`
	GeneratorDescriptors int    `json:"generator_descriptor_limit"`
	ReceiveBuffer        int    `json:"generator_receive_buffer_bytes"`
	Payload              int    `json:"payload_bytes"`
	PacketsPerSecond     int    `json:"packets_per_second"`
	Profile              string `json:"profile"`
	Source               string `json:"source"`
	Attach               string `json:"attach"`
	Realtime             bool   `json:"generator_realtime"`
	Nice                 int    `json:"target_nice"`
	TargetCPUs           string `json:"target_cpus"`
	GeneratorCPUs        string `json:"generator_cpus"`
}

// Plots is what is drawn.
type Plots struct {
	Latency []histogram.Point `json:"latency_distribution"`
	Seconds []farend.Second   `json:"seconds"`
	CPU     []CPUPoint        `json:"cpu"`
}

// CPUPoint is the CPU use of one second, in per cent of one CPU, and the relay's memory at its end.
type CPUPoint struct {
	At        float64 `json:"at_seconds"`
	Target    float64 `json:"target_percent"`
	Generator float64 `json:"generator_percent"`
	Resident  int64   `json:"target_rss_bytes"`
}

// Host is where it was measured.
type Host struct {
	CPU     string `json:"cpu"`
	CPUs    int    `json:"cpus"`
	Kernel  string `json:"kernel"`
	Go      string `json:"go"`
	Command string `json:"command"`
	Time    string `json:"time"`
}

// Report is a whole run of the tool.
type Report struct {
	Mode    string         `json:"mode"`
	Host    Host           `json:"host"`
	Rows    []Row          `json:"rows"`
	Summary map[string]any `json:"summary,omitempty"`
	Notes   []string       `json:"notes"`
	Ratios  []Ratio        `json:"ratios,omitempty"`
}

// Ratio compares the medians of two variants.
type Ratio struct {
	Figure string  `json:"figure"`
	A      float64 `json:"a"`
	B      float64 `json:"b"`
	Ratio  float64 `json:"b_over_a"` // 0: there is none, A is 0
}

// Quotient is the ratio as it is printed.
func (x Ratio) Quotient() string {
	if x.A == 0 {
		return "-"
	}
	return fmt.Sprintf("%.3f", x.Ratio)
}

// OK says that no row has a problem.
func (r *Report) OK() bool {
	for _, row := range r.Rows {
		if len(row.Problems) > 0 {
			return false
		}
	}
	return true
}

// Doubtful is how many rows may be wrong.
func (r *Report) Doubtful() (n int) {
	for _, row := range r.Rows {
		if len(row.Doubts) > 0 {
			n++
		}
	}
	return n
}

// OfTally fills in what the phones have counted.
func (r *Row) OfTally(t *farend.Tally) {
	r.Calls, r.Seconds = t.Phones, t.Duration.Seconds()
	r.Traffic = Traffic{
		Sent: t.Sent, Received: t.Received, Lost: t.Lost, Reordered: t.Reordered, Duplicates: t.Duplicates, Silence: t.Foreign, Mirrored: t.Mirrored, Reports: t.Reports,
	}
	if t.Sent > 0 {
		r.Traffic.LossRatio = float64(t.Lost) / float64(t.Sent)
	}
	r.Latency = SpreadOf(&t.Latency, time.Microsecond)
	r.Pacing = SpreadOf(&t.Pacing, time.Microsecond)
	r.Continuity = t.Continuity
	r.Generator.Late = SpreadOf(&t.Own.Late, time.Microsecond)
	r.Generator.Unsent, r.Generator.Dropped, r.Generator.Stalls = t.Own.Unsent, t.Own.Dropped, t.Own.Stalls
	r.Generator.Strays, r.Generator.Unstamped = t.Own.Strays, t.Own.Unstamped
	r.Plots.Latency, r.Plots.Seconds = t.Latency.Distribution(), t.Seconds
}

// sorted gives the rows by their calls.
func (r *Report) sorted() []Row {
	rows := slices.Clone(r.Rows)
	slices.SortStableFunc(rows, func(a, b Row) int { return a.Calls - b.Calls })
	return rows
}
