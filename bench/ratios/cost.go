package main

import (
	"strconv"

	"github.com/onelane/onelane/bench/internal/child"
	"github.com/onelane/onelane/bench/internal/results"
	"github.com/onelane/onelane/bench/internal/rig"
)

// costCalls is the load of the comparison with the floor.
const costCalls = 1000

// cost compares the CPU time of a relayed packet: floor, floor with AEAD, onelane, naive, in turn; and a goroutine a socket once.
func (b *bench) cost() error {
	var floor, aead, onelane, naive results.Series
	for range b.Options.Rounds {
		for _, turn := range []struct {
			values *results.Series
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
			b.Say("  floor [%v] with AEAD [%v] onelane [%v] naive [%v] us", floor, aead, onelane, naive)
		}
	}
	set(&b.figures.Floor, onelane.Median()/floor.Median())
	set(&b.figures.Naive, naive.Median()/onelane.Median())
	b.Note("CPU us a relayed packet, %d calls, 50 packets/s each, echo: floor %.2f (%v); floor with bare AEAD %.2f (%v), onelane %.2f times that; onelane %.2f (%v); naive %.2f (%v)",
		costCalls, floor.Median(), floor, aead.Median(), aead, onelane.Median()/aead.Median(), onelane.Median(), onelane, naive.Median(), naive)
	if forward, err := b.plainCost("forward", costCalls); err == nil {
		b.Note("a goroutine and a net.UDPConn for each port, no crypto: %.2f us, once", forward)
	}
	return nil
}

// onelaneCost is the real relayd with its echo.
func (b *bench) onelaneCost(calls int, more ...string) (float64, error) {
	r, err := b.Relaybench("run", append(b.Relayd("-n", strconv.Itoa(calls), "-t", b.Options.Duration.String()), more...)...)
	if err != nil {
		return 0, err
	}
	return r.Rows[0].Target.CPUPerRelayed, nil
}

// standinCost is another relay behind relayd's API.
func (b *bench) standinCost(name string, calls int, more ...string) (float64, error) {
	p, err := b.Start(name)
	if err != nil {
		return 0, err
	}
	defer p.Stop()
	return b.loaded(p, p.PID, calls, more...)
}

// loaded has relaybench load a program that says where its API is; pid is whose CPU is measured.
func (b *bench) loaded(p *child.Process, pid, calls int, more ...string) (float64, error) {
	api, err := p.Word("api", rig.ReadyTime)
	if err != nil {
		return 0, err
	}
	args := []string{"--relayd", api, "--pid", strconv.Itoa(pid), "-n", strconv.Itoa(calls), "-t", b.Options.Duration.String(), "--parallel", "250"}
	r, err := b.Relaybench("run", append(args, more...)...)
	if err != nil {
		return 0, err
	}
	if row := r.Rows[0]; row.Traffic.Lost > row.Traffic.Sent/100 {
		b.Note("%d calls lost %.1f %% of their packets at a stand-in", calls, 100*float64(row.Traffic.Lost)/float64(row.Traffic.Sent))
	}
	return r.Rows[0].Target.CPUPerRelayed, nil
}

func (b *bench) plainCost(name string, ports int, flags ...string) (float64, error) {
	o, err := b.Plain(name, ports, flags...)
	return o.Cost, err
}
