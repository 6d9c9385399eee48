package rig

import "github.com/onelane/onelane/bench/internal/hosts"

// Link is a network between a target and its load.
type Link struct {
	Target, Load               hosts.Host
	TargetAddress, LoadAddress string
	Network                    string // of both
}

// Loopback has both on this host.
var Loopback = Link{TargetAddress: "127.0.0.1", LoadAddress: "127.0.0.1", Network: "127.0.0.0/8"}

// Between puts the target on the edge of two hosts and the load on the peer.
func Between(p hosts.Pair) Link {
	return Link{p.Edge, p.Peer, hosts.EdgeAddress, hosts.PeerAddress, hosts.Network}
}
