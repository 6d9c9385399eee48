package rig

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/onelane/onelane/bench/internal/child"
)

// Plain is what plainload prints.
type Plain struct {
	Sent uint64  `json:"sent"`
	Lost uint64  `json:"lost"`
	P50  float64 `json:"latency_us_p50"`
	P99  float64 `json:"latency_us_p99"`
	P999 float64 `json:"latency_us_p999"`
	Max  float64 `json:"latency_us_max"`
	CPU  float64 `json:"target_cpu_percent"`
	Own  float64 `json:"own_cpu_percent"`
	Cost float64 `json:"cpu_us_per_packet"`
	NAPI int     `json:"napi_id"`
}

// firstPorts are tried in turn: others on this host may have some of them.
var firstPorts = []int{22000, 14000, 6000, 1100}

// Plain loads a plain forwarder with a number of ports, for as long as the options say.
func (r *Rig) Plain(name string, ports int, flags ...string) (Plain, error) {
	p, first, err := r.StartPlain(name, ports, flags...)
	if err != nil {
		return Plain{}, err
	}
	defer p.Stop()
	load := []string{"--time", r.Options.Duration.String(), "--settle", r.Options.Settle.String()}
	if slices.Contains(flags, "--aead") {
		load = append(load, "--aead")
	}
	o, err := r.Plainload(p, first, ports, load...)
	if err == nil && o.Lost > o.Sent/100 {
		r.Say("  %s: %d of %d packets lost", name, o.Lost, o.Sent)
	}
	return o, err
}

// Plainload runs it on the load's host and CPU against the ports of a forwarder that runs.
func (r *Rig) Plainload(p *child.Process, first, ports int, flags ...string) (Plain, error) {
	var o Plain
	args := []string{"--first", strconv.Itoa(first), "--ports", strconv.Itoa(ports), "--pid", strconv.Itoa(p.PID), "--cpu", strconv.Itoa(LoadCPU),
		"--address", r.Link.TargetAddress, "--own-address", r.Link.LoadAddress}
	out, err := r.output(r.Link.Load, r.Path("plainload"), append(args, flags...)...)
	if err != nil {
		return o, err
	}
	if err := json.Unmarshal(out, &o); err != nil {
		return o, fmt.Errorf("plainload: %w", err)
	}
	return o, nil
}

// StartPlain starts a plain forwarder on the target's host and CPU and gives its first port.
func (r *Rig) StartPlain(name string, ports int, flags ...string) (p *child.Process, first int, err error) {
	for _, at := range firstPorts {
		args := []string{"--address", r.Link.TargetAddress, "--first", strconv.Itoa(at), "--count", strconv.Itoa(ports)}
		p, err = r.Start(name, append(args, flags...)...)
		if err != nil {
			return nil, 0, err
		}
		var line string
		if line, err = p.Word("ports", ReadyTime); err == nil {
			word, _, _ := strings.Cut(line, " ")
			if first, err = strconv.Atoi(word); err == nil {
				return p, first, nil
			}
		}
		p.Stop()
	}
	return nil, 0, errors.Join(fmt.Errorf("%s finds no free ports", name), err)
}
