// Command plainload loads a plain UDP forwarder as relaybench's phones load a relay: packets of the size of SRTP, 50 a second to each port,
// spread evenly, from one socket and one thread, in batches. It counts what comes back and how long it took by the kernel's stamp, and how
// much CPU the forwarder used, and prints one JSON object.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/onelane/onelane/bench/internal/cpu"
	"github.com/onelane/onelane/bench/internal/wire"
)

type options struct {
	address  string
	own      string
	first    int
	ports    int
	payload  int
	pps      int
	slot     time.Duration
	settle   time.Duration
	duration time.Duration
	aead     bool
	pid      int
	cpu      int
	realtime bool
}

// Outcome is what is printed.
type Outcome struct {
	Ports        int     `json:"ports"`
	Seconds      float64 `json:"seconds"`
	Sent         uint64  `json:"sent"`
	Received     uint64  `json:"received"`
	Lost         uint64  `json:"lost"`
	Unsent       uint64  `json:"unsent"` // that the kernel did not take
	Dropped      uint64  `json:"dropped_here"`
	P50          float64 `json:"latency_us_p50"`
	P99          float64 `json:"latency_us_p99"`
	P999         float64 `json:"latency_us_p999"`
	Max          float64 `json:"latency_us_max"`
	LateP99      float64 `json:"send_late_us_p99"`
	TargetCPU    float64 `json:"target_cpu_percent"`
	CPUPerPacket float64 `json:"cpu_us_per_packet"`
	OwnCPU       float64 `json:"own_cpu_percent"`
	NAPI         int     `json:"napi_id"` // of what came last; 0: no queue that could be polled
}

func main() {
	var o options
	flag.StringVar(&o.address, "address", "127.0.0.1", "IPv4 address of the forwarder")
	flag.StringVar(&o.own, "own-address", "", "IPv4 address to send from; empty: the same, on loopback")
	flag.IntVar(&o.first, "first", 10000, "its first port")
	flag.IntVar(&o.ports, "ports", 1000, "how many ports are loaded")
	flag.IntVar(&o.payload, "payload", 80, "bytes between RTP header and tag")
	flag.IntVar(&o.pps, "pps", 50, "packets a second to each port")
	flag.DurationVar(&o.slot, "slot", 100*time.Microsecond, "packets leave in slots of this length, spread over the period")
	flag.DurationVar(&o.settle, "settle", time.Second, "how long packets flow before they are counted")
	flag.DurationVar(&o.duration, "time", 10*time.Second, "how long they are counted")
	flag.BoolVar(&o.aead, "aead", false, "seal the packets, for a floor with --aead")
	flag.IntVar(&o.pid, "pid", 0, "process of the forwarder")
	flag.IntVar(&o.cpu, "cpu", -1, "run on this CPU only")
	flag.BoolVar(&o.realtime, "realtime", true, "run before everything else on this host, where that is allowed")
	flag.Parse()
	out, err := measure(o)
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(out)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "plainload:", err)
		os.Exit(1)
	}
}

func measure(o options) (Outcome, error) {
	if err := wire.Pin(o.cpu); err != nil {
		return Outcome{}, err
	}
	l, err := newLoad(o)
	if err != nil {
		return Outcome{}, err
	}
	wire.Punctual(o.realtime)
	l.spend(o.settle)
	before, own, began := cpu.Of(o.pid), cpu.Of(os.Getpid()), time.Now()
	l.counting = true
	l.spend(o.duration)
	l.counting = false
	took := time.Since(began)
	used, ownUsed := cpu.Of(o.pid)-before, cpu.Of(os.Getpid())-own
	l.drain(500 * time.Millisecond)
	out := Outcome{
		Ports: o.ports, Seconds: took.Seconds(), Sent: l.sent, Received: l.received, Lost: l.sent - l.received, Unsent: l.unsent, Dropped: l.socket.Dropped(),
		P50: l.quantile(0.5), P99: l.quantile(0.99), P999: l.quantile(0.999), Max: l.quantile(1), LateP99: quantile(l.late, 0.99),
		TargetCPU: 100 * used.Seconds() / took.Seconds(), OwnCPU: 100 * ownUsed.Seconds() / took.Seconds(),
		NAPI: l.socket.NAPI(),
	}
	if l.sent > 0 {
		out.CPUPerPacket = used.Seconds() * 1e6 / float64(l.sent)
	}
	return out, nil
}
