package rig

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"time"

	"github.com/onelane/onelane/bench/internal/child"
)

// Spread is a distribution in relaybench's report.
type Spread struct {
	P50, P99, P999, Max float64
}

// Row is what is used of a row of relaybench's report.
type Row struct {
	Label   string  `json:"label"`
	Calls   int     `json:"calls"`
	Seconds float64 `json:"seconds"`
	Traffic struct {
		Sent     uint64 `json:"sent"`
		Received uint64 `json:"received"`
		Lost     uint64 `json:"lost"`
	} `json:"traffic"`
	Latency Spread `json:"added_latency_us"`
	SetUp   struct {
		Failed    int     `json:"failed"`
		PerSecond float64 `json:"per_second"`
		Keys      Spread  `json:"offer_to_keys_ms"`
	} `json:"set_up"`
	Target struct {
		CPU           float64 `json:"cpu_percent"`
		CPUPerRelayed float64 `json:"cpu_us_per_relayed_packet"`
		Relayed       uint64  `json:"datagrams_received"`
		Resident      int64   `json:"rss_bytes_per_call"`
		Runtime       struct {
			Cycles   int     `json:"gc_cycles"`
			PauseMax float64 `json:"gc_pause_max_us"`
		} `json:"runtime"`
	} `json:"target"`
	Generator struct {
		CPU float64 `json:"cpu_percent"`
	} `json:"generator"`
	Problems []string `json:"problems"`
	Doubts   []string `json:"doubts"`
}

// Report is what is used of it.
type Report struct {
	Rows    []Row `json:"rows"`
	Summary struct {
		Held   int `json:"calls_held"`
		Failed int `json:"calls_failed"`
	} `json:"summary"`
	Ratios []struct {
		Figure string  `json:"figure"`
		Ratio  float64 `json:"b_over_a"`
		A      float64 `json:"a"`
		B      float64 `json:"b"`
	} `json:"ratios"`
}

// Relaybench runs it in one mode, on the load's host and CPU.
func (r *Rig) Relaybench(mode string, args ...string) (Report, error) {
	args = append([]string{mode, "--json", "--own-cpus", strconv.Itoa(LoadCPU), "--settle", "1s"}, args...)
	var report Report
	out, err := r.output(r.Link.Load, r.Path("relaybench"), args...)
	var status *exec.ExitError
	if err != nil && (!errors.As(err, &status) || len(out) == 0) { // with an outcome, the error is the verdict that stands in it
		return report, fmt.Errorf("relaybench %s: %w", mode, err)
	}
	if err := json.Unmarshal(out, &report); err != nil {
		return report, fmt.Errorf("relaybench %s: %w", mode, err)
	}
	for _, row := range report.Rows {
		for _, p := range row.Problems {
			r.Say("  %s: %s", row.Label, p)
		}
	}
	if len(report.Rows) == 0 {
		return report, fmt.Errorf("relaybench %s: no row", mode)
	}
	return report, nil
}

// Relayd is the flags that have relaybench start the edge on the target's CPU, and on its own host.
func (r *Rig) Relayd(more ...string) []string {
	return append([]string{"--start", r.Path("relayd"), "--relay-cpus", strconv.Itoa(TargetCPU), "--relay-nice", strconv.Itoa(Before)}, more...)
}

// firstMediaPort of an edge that relaybench does not start.
const firstMediaPort = 10000

// StartRelayd starts an edge that relaybench does not start, for a number of calls: its process, where its API is, and how to end it.
func (r *Rig) StartRelayd(cpus []int, calls int, more ...string) (p *child.Process, api string, stop func(), err error) {
	if api, err = r.Link.Target.FreeAddress(r.Link.TargetAddress); err != nil {
		return nil, "", nil, err
	}
	folder, err := os.MkdirTemp("", r.name+"-")
	if err != nil {
		return nil, "", nil, err
	}
	args := []string{"--media-addresses=" + r.Link.TargetAddress, "--media-allow-networks=" + r.Link.Network,
		"--rtp-allow-networks=" + r.Link.Network, "--media-port-min=" + strconv.Itoa(firstMediaPort),
		"--media-port-max=" + strconv.Itoa(firstMediaPort+2*max(calls, 1000)), "--calls-max=" + strconv.Itoa(calls), "--grpc-listen=" + api,
		"--grpc-allow-plaintext=true", "--recording-folder=" + folder, "--log-level=warn"}
	p, err = r.StartOn(cpus, "relayd", append(args, more...)...)
	if err != nil {
		os.RemoveAll(folder)
		return nil, "", nil, err
	}
	stop = func() { p.Stop(); os.RemoveAll(folder) }
	if err := r.await(p, api); err != nil {
		stop()
		return nil, "", nil, err
	}
	return p, api, stop, nil
}

// await waits until a program takes connections from the load's host.
func (r *Rig) await(p *child.Process, address string) error {
	for limit := time.Now().Add(ReadyTime); time.Now().Before(limit) && !p.Ended() && r.Context.Err() == nil; r.Pause(20 * time.Millisecond) {
		if c, err := r.Link.Load.Dial(r.Context, "tcp", address); err == nil {
			return c.Close()
		}
	}
	return fmt.Errorf("relayd serves nothing at %s", address)
}
