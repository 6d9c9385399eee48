package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/onelane/onelane/bench/internal/child"
	"github.com/onelane/onelane/bench/internal/hosts"
)

// place is where a relay with an RTP leg is measured, and its load.
type place struct {
	relay, load     hosts.Host
	relayAt, loadAt string // their addresses
	network         string // of both
}

// oneHost is both on loopback.
var oneHost = place{relayAt: "127.0.0.1", loadAt: "127.0.0.1", network: "127.0.0.0/8"}

// twoHosts puts the relay on the edge and the phones with the far end of plain RTP on the peer.
func twoHosts(p hosts.Pair) place {
	return place{relay: p.Edge, load: p.Peer, relayAt: hosts.EdgeAddress, loadAt: hosts.PeerAddress, network: hosts.Network}
}

// relayCost is what a relay used in one turn.
type relayCost struct {
	calls int
	each  float64 // CPU us a packet that came to it, from phones and from the far end
	cpu   float64 // per cent
	lost  uint64
	p99   float64 // us, both ways together
}

// costOf counts for every relay alike, at the far end: what came to it is what the phones have sent and what they got back, which had come
// to it from the mirror.
func costOf(r row) relayCost {
	c := relayCost{calls: r.Calls, cpu: r.Target.CPU, lost: r.Traffic.Lost, p99: r.Latency.P99}
	if packets := r.Traffic.Sent + r.Traffic.Received; packets > 0 {
		c.each = r.Target.CPU / 100 * r.Seconds * 1e6 / float64(packets)
	}
	return c
}

// peerCost is a stand-in's relay. The stand-in is part of the load.
func (b *bench) peerCost(at place, name string, calls int, more ...string) (relayCost, error) {
	mirror, err := freeAddress(at.load, at.loadAt)
	if err != nil {
		return relayCost{}, err
	}
	p, err := child.Start(child.Options{CPUs: []int{loadCPU}, Host: at.load, Log: b.log()}, b.path(name), append([]string{
		"--address", at.relayAt, "--host", string(at.relay), "--mirror", mirror, "--cpu", strconv.Itoa(targetCPU), "--nice", strconv.Itoa(before),
	}, more...)...)
	if err != nil {
		return relayCost{}, err
	}
	defer p.Stop()
	word, err := p.Word("pid", readyTime)
	if err != nil {
		return relayCost{}, err
	}
	pid, err := strconv.Atoi(word)
	if err != nil {
		return relayCost{}, err
	}
	api, err := p.Word("api", readyTime)
	if err != nil {
		return relayCost{}, err
	}
	return b.legs(at, api, mirror, pid, calls)
}

// relaydCost is relayd with an RTP leg for each call.
func (b *bench) relaydCost(at place, calls int) (relayCost, error) {
	mirror, err := freeAddress(at.load, at.loadAt)
	if err != nil {
		return relayCost{}, err
	}
	api, err := freeAddress(at.relay, at.relayAt)
	if err != nil {
		return relayCost{}, err
	}
	folder, err := os.MkdirTemp("", "ratios-")
	if err != nil {
		return relayCost{}, err
	}
	defer os.RemoveAll(folder)
	p, err := child.Start(child.Options{CPUs: []int{targetCPU}, Nice: before, Host: at.relay, Log: b.log()}, b.path("relayd"),
		"--media-addresses="+at.relayAt, "--media-allow-networks="+at.network, "--rtp-allow-networks="+at.network, "--media-port-min=10000", "--media-port-max=19999",
		"--calls-max="+strconv.Itoa(calls+100), "--grpc-listen="+api, "--grpc-allow-plaintext=true", "--recording-folder="+folder, "--log-level=warn")
	if err != nil {
		return relayCost{}, err
	}
	defer p.Stop()
	if err := at.serves(b.ctx, api, p); err != nil {
		return relayCost{}, err
	}
	return b.legs(at, api, mirror, p.PID, calls)
}

// legs loads a relay with calls that go to the mirror and back.
func (b *bench) legs(at place, api, mirror string, pid, calls int) (relayCost, error) {
	r, err := b.relaybenchOn(at.load, "run", "--relayd", api, "--pid", strconv.Itoa(pid), "-n", strconv.Itoa(calls), "-t", b.seconds(), "--parallel", "250",
		"--listen", at.loadAt, "--rtp", "--mirror", mirror, "--profile", "aescm")
	if err != nil {
		return relayCost{}, err
	}
	return costOf(r.Rows[0]), nil
}

// serves waits until a relay listens.
func (at place) serves(ctx context.Context, api string, p *child.Process) error {
	ctx, cancel := context.WithTimeout(ctx, readyTime)
	defer cancel()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		c, err := at.load.Dial(ctx, "tcp", api)
		if err == nil {
			return c.Close()
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return err
		}
		if p.Ended() {
			return fmt.Errorf("the relay ended: %w", err)
		}
	}
}

// freeAddress is an address with a port that neither UDP nor TCP uses on a host.
func freeAddress(h hosts.Host, ip string) (free string, err error) {
	err = h.Inside(func() error {
		l, err := net.Listen("tcp", net.JoinHostPort(ip, "0"))
		if err != nil {
			return err
		}
		defer l.Close()
		free = l.Addr().String()
		c, err := net.ListenPacket("udp", free)
		if err != nil {
			return err
		}
		return c.Close()
	})
	return free, err
}
