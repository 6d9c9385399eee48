package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/onelane/onelane/bench/internal/child"
)

// costCalls is the load of the comparison with the floor.
const costCalls = 1000

// cost compares the CPU time of a relayed packet: floor, floor with AEAD, onelane, naive, in turn; and a goroutine a socket once.
func (b *bench) cost() error {
	var floor, aead, onelane, naive series
	for range b.options.rounds {
		for _, turn := range []struct {
			values *series
			run    func() (float64, error)
		}{
			{&floor, func() (float64, error) { return b.plainCost("floor", costCalls) }},
			{&onelane, func() (float64, error) { return b.onelaneCost(costCalls) }},
			{&aead, func() (float64, error) { return b.plainCost("floor", costCalls, "--aead") }},
			{&naive, func() (float64, error) { return b.standinCost("naive", costCalls) }},
		} {
			v, err := turn.run()
			if err != nil {
				return err
			}
			*turn.values = append(*turn.values, v)
			b.say("  floor [%v] with AEAD [%v] onelane [%v] naive [%v] us", floor, aead, onelane, naive)
		}
	}
	set(&b.figures.Floor, onelane.median()/floor.median())
	set(&b.figures.Naive, naive.median()/onelane.median())
	b.note("CPU us a relayed packet, %d calls, 50 packets/s each, echo: floor %.2f (%v); floor with bare AEAD %.2f (%v), onelane %.2f times that; onelane %.2f (%v); naive %.2f (%v)",
		costCalls, floor.median(), floor, aead.median(), aead, onelane.median()/aead.median(), onelane.median(), onelane, naive.median(), naive)
	if forward, err := b.plainCost("forward", costCalls); err == nil {
		b.note("a goroutine and a net.UDPConn for each port, no crypto: %.2f us, once", forward)
	}
	return nil
}

// onelaneCost is the real relayd with its echo.
func (b *bench) onelaneCost(calls int, more ...string) (float64, error) {
	r, err := b.relaybench("run", append(b.relayd("-n", strconv.Itoa(calls), "-t", b.seconds()), more...)...)
	if err != nil {
		return 0, err
	}
	return r.Rows[0].Target.CPUPerRelayed, nil
}

// standinCost is another relay behind relayd's API.
func (b *bench) standinCost(name string, calls int, more ...string) (float64, error) {
	p, err := b.start(name)
	if err != nil {
		return 0, err
	}
	defer p.Stop()
	return b.loaded(p, p.PID, calls, more...)
}

// loaded has relaybench load a program that says where its API is; pid is whose CPU is measured.
func (b *bench) loaded(p *child.Process, pid, calls int, more ...string) (float64, error) {
	api, err := p.Word("api", readyTime)
	if err != nil {
		return 0, err
	}
	args := []string{"--relayd", api, "--pid", strconv.Itoa(pid), "-n", strconv.Itoa(calls), "-t", b.seconds(), "--parallel", "250"}
	r, err := b.relaybench("run", append(args, more...)...)
	if err != nil {
		return 0, err
	}
	if row := r.Rows[0]; row.Traffic.Lost > row.Traffic.Sent/100 {
		b.note("%d calls lost %.1f %% of their packets at a stand-in", calls, 100*float64(row.Traffic.Lost)/float64(row.Traffic.Sent))
	}
	return r.Rows[0].Target.CPUPerRelayed, nil
}

// plain is what plainload prints.
type plain struct {
	Sent uint64  `json:"sent"`
	Lost uint64  `json:"lost"`
	P99  float64 `json:"latency_us_p99"`
	CPU  float64 `json:"target_cpu_percent"`
	Own  float64 `json:"own_cpu_percent"`
	Cost float64 `json:"cpu_us_per_packet"`
}

// firstPorts are tried in turn: others on this host may have some of them.
var firstPorts = []int{22000, 14000, 6000, 1100}

func (b *bench) plainCost(name string, ports int, flags ...string) (float64, error) {
	o, err := b.plain(name, ports, flags...)
	return o.Cost, err
}

// plain loads a plain forwarder with a number of ports.
func (b *bench) plain(name string, ports int, flags ...string) (plain, error) {
	var o plain
	p, first, err := b.startPlain(name, ports, flags...)
	if err != nil {
		return o, err
	}
	defer p.Stop()
	args := []string{"--first", first, "--ports", strconv.Itoa(ports), "--pid", strconv.Itoa(p.PID), "--cpu", strconv.Itoa(loadCPU), "--time", b.seconds()}
	for _, f := range flags {
		if f == "--aead" {
			args = append(args, f)
		}
	}
	out, err := b.output(b.path("plainload"), args...)
	if err != nil {
		return o, err
	}
	if err := json.Unmarshal(out, &o); err != nil {
		return o, fmt.Errorf("plainload: %w", err)
	}
	if o.Lost > o.Sent/100 {
		b.say("  %s: %d of %d packets lost", name, o.Lost, o.Sent)
	}
	return o, nil
}

func (b *bench) startPlain(name string, ports int, flags ...string) (p *child.Process, first string, err error) {
	for _, at := range firstPorts {
		p, err = b.start(name, append([]string{"--first", strconv.Itoa(at), "--count", strconv.Itoa(ports)}, flags...)...)
		if err != nil {
			return nil, "", err
		}
		var line string
		if line, err = p.Word("ports", readyTime); err == nil {
			first, _, _ = strings.Cut(line, " ")
			return p, first, nil
		}
		p.Stop()
	}
	return nil, "", errors.Join(fmt.Errorf("%s finds no free ports", name), err)
}
