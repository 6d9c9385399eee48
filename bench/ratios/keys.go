package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/onelane/onelane/bench/internal/results"
	"github.com/onelane/onelane/bench/internal/rig"
	"github.com/onelane/onelane/ice/icetest"
	"github.com/onelane/onelane/relay/control/controlpb"
)

const (
	roundTrip = 50 * time.Millisecond
	keysCalls = 21
	// spareCalls is how many the edge takes: those that ended count for a while.
	spareCalls = 100
)

// keys measures the time from an offer to SRTP keys when the far end is 50 ms away.
func (b *bench) keys() error {
	_, api, stop, err := b.StartRelayd([]int{rig.TargetCPU}, spareCalls)
	if err != nil {
		return err
	}
	defer stop()
	conn, err := grpc.NewClient("passthrough:///"+api, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer conn.Close()
	relay := controlpb.NewRelayServiceClient(conn)
	socket, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		return err
	}
	far, err := icetest.NewServer([]net.PacketConn{delay(socket, roundTrip/2)}, icetest.Options{})
	if err != nil {
		return err
	}
	defer far.Close()
	var ours, theirs results.Series
	for i := range keysCalls {
		a, t, err := b.oneCall(relay, far, fmt.Sprint("keys-", i))
		if err != nil {
			return err
		}
		ours, theirs = append(ours, milliseconds(a)), append(theirs, milliseconds(t))
	}
	set(&b.figures.Keys, ours.Median())
	b.Note("offer to keys, %v round trip put in by the far end, %d calls one after the other: at the edge (CreateCall to keys) median %.0f ms; at the far end (offer sent to keys) median %.0f ms", roundTrip, keysCalls, ours.Median(), theirs.Median())
	return nil
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// oneCall sets a call up and ends it: how long it took to keys, as the edge and as the far end see it.
func (b *bench) oneCall(relay controlpb.RelayServiceClient, far *icetest.Server, id string) (ours, theirs time.Duration, err error) {
	ctx, cancel := context.WithTimeout(b.Context, rig.ReadyTime)
	defer cancel()
	secured := make(chan time.Duration, 1)
	call, err := far.NewCall(icetest.CallOptions{OnSecure: func(time.Duration, icetest.Profile) { secured <- far.Now() }})
	if err != nil {
		return 0, 0, err
	}
	defer call.Close()
	sent := far.Now()
	created, err := relay.CreateCall(ctx, &controlpb.CreateCallRequest{CallId: id, SdpOffer: call.Offer()}, grpc.WaitForReady(true))
	if err != nil {
		return 0, 0, err
	}
	if err := call.Accept(created.GetCall().GetLocalSdp()); err != nil {
		return 0, 0, err
	}
	select {
	case at := <-secured:
		theirs = at - sent
	case <-ctx.Done():
		return 0, 0, errors.New("no keys in time")
	}
	b.Pause(roundTrip) // the edge has its keys by then, whoever ended the handshake
	got, err := relay.GetCall(ctx, &controlpb.GetCallRequest{CallId: id})
	if err != nil {
		return 0, 0, err
	}
	_, err = relay.EndCall(ctx, &controlpb.EndCallRequest{CallId: id})
	return got.GetCall().GetTimings().GetDtlsConnected().AsDuration(), theirs, err
}

// delayed is a socket that is far away: what is read and written takes a time each way, in order.
type delayed struct {
	net.PacketConn
	way     time.Duration
	in, out chan letter
	closed  chan struct{}
}

type letter struct {
	data []byte
	peer net.Addr
	due  time.Time
}

// delay puts a time between a socket and its owner. Close ends its goroutines.
func delay(c net.PacketConn, way time.Duration) *delayed {
	d := &delayed{PacketConn: c, way: way, in: make(chan letter, 1024), out: make(chan letter, 1024), closed: make(chan struct{})}
	go d.runIn()
	go d.runOut()
	return d
}

func (d *delayed) runIn() {
	defer close(d.in)
	for {
		b := make([]byte, 1500)
		n, peer, err := d.PacketConn.ReadFrom(b)
		if err != nil {
			return
		}
		select {
		case d.in <- letter{b[:n], peer, time.Now().Add(d.way)}:
		default: // lost, as on a network
		}
	}
}

func (d *delayed) runOut() {
	for {
		select {
		case l := <-d.out:
			time.Sleep(time.Until(l.due))
			_, _ = d.PacketConn.WriteTo(l.data, l.peer)
		case <-d.closed:
			return
		}
	}
}

func (d *delayed) ReadFrom(b []byte) (int, net.Addr, error) {
	l, ok := <-d.in
	if !ok {
		return 0, nil, net.ErrClosed
	}
	time.Sleep(time.Until(l.due))
	return copy(b, l.data), l.peer, nil
}

func (d *delayed) WriteTo(b []byte, peer net.Addr) (int, error) {
	select {
	case d.out <- letter{append([]byte(nil), b...), peer, time.Now().Add(d.way)}:
	default: // lost, as on a network
	}
	return len(b), nil
}

func (d *delayed) Close() error {
	close(d.closed)
	return d.PacketConn.Close()
}
