// Package config is what an operator can set: one struct of plain values, their defaults, where they are read from, and what is
// wrong with them.
//
// A value comes from, each winning over the one before: [Default], the YAML file, the environment (ONELANE_MEDIA_PORT_MIN), the
// command line (--media-port-min). What nobody has needed two values for is a constant beside the code that it governs, not a setting.
package config

import (
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// Config is every setting of an edge. The zero value is not valid; begin with Default.
type Config struct {
	Media     Media
	Calls     Calls
	GRPC      GRPC
	Recording Recording
	Player    Player
	RTP       RTP
	Log       Log
}

// Media is where packets of the calling relay come and go.
type Media struct {
	Addresses           []Address // at most one a family
	PortMin, PortMax    uint16    // inclusive; split over the shards
	PortRest            time.Duration
	AllowNetworks       []netip.Prefix // remote candidates are accepted here besides public addresses
	Shards              int            // 0: one for two cores, at least one
	ConsentUseCandidate bool
}

// Calls bounds what calls may take.
type Calls struct {
	Max          int
	Lease        time.Duration
	MaxLease     time.Duration
	SetupTimeout time.Duration
	Keep         time.Duration // an ended call stays readable
}

// GRPC is the control API's door.
type GRPC struct {
	Listen         string
	AllowPlaintext bool
	TLSCert        string
	TLSKey         string
	ClientCA       string // with it, clients need a certificate of this CA
}

// Recording is where recordings go.
type Recording struct {
	Folder string
	Flush  time.Duration
}

// Player is where played files come from.
type Player struct {
	Folder     string
	MaxSeconds int
}

// RTP is for legs to media servers.
type RTP struct {
	AllowNetworks []netip.Prefix
	Address       netip.Addr // invalid: the local address of the first media address
}

// Log is how the log looks.
type Log struct {
	Level  string
	Format string
}

// Default is what holds when nothing is set. configs/relayd.yaml says the same, with reasons.
func Default() Config {
	return Config{
		Media: Media{
			Addresses:           []Address{{Local: netip.AddrFrom4([4]byte{127, 0, 0, 1}), Public: netip.AddrFrom4([4]byte{127, 0, 0, 1})}},
			PortMin:             20000,
			PortMax:             29999,
			PortRest:            30 * time.Second,
			AllowNetworks:       []netip.Prefix{},
			ConsentUseCandidate: true,
		},
		Calls: Calls{
			Max:          1000,
			Lease:        time.Minute,
			MaxLease:     10 * time.Minute,
			SetupTimeout: time.Minute,
			Keep:         5 * time.Minute,
		},
		GRPC:      GRPC{Listen: "127.0.0.1:7070"},
		Recording: Recording{Folder: "recordings", Flush: 800 * time.Millisecond},
		Player:    Player{Folder: "sounds", MaxSeconds: 300},
		RTP:       RTP{AllowNetworks: []netip.Prefix{}},
		Log:       Log{Level: "info", Format: "text"},
	}
}

// Address is an address that the host has and the one by which the world reaches it. They differ behind 1:1 NAT.
type Address struct {
	Local, Public netip.Addr
}

// ParseAddress reads "local" or "local=public".
func ParseAddress(s string) (Address, error) {
	local, public, mapped := strings.Cut(s, "=")
	if !mapped {
		public = local
	}
	var a Address
	var err error
	if a.Local, err = netip.ParseAddr(strings.TrimSpace(local)); err != nil {
		return Address{}, fmt.Errorf("the local address %q is not an IP address", local)
	}
	if a.Public, err = netip.ParseAddr(strings.TrimSpace(public)); err != nil {
		return Address{}, fmt.Errorf("the public address %q is not an IP address", public)
	}
	return a, nil
}

// String is the form that ParseAddress reads.
func (a Address) String() string {
	if a.Local == a.Public {
		return a.Local.String()
	}
	return a.Local.String() + "=" + a.Public.String()
}
