//go:build linux

package main

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/onelane/onelane/cmd/relaybench/internal/farend"
	"github.com/onelane/onelane/cmd/relaybench/internal/fleet"
	"github.com/onelane/onelane/cmd/relaybench/internal/proc"
	"github.com/onelane/onelane/ice/secure"
)

// settings are the flags that all modes have.
type settings struct {
	relay  relaySettings
	load   loadSettings
	output outputSettings
}

// relaySettings say which relay is measured.
type relaySettings struct {
	address string // of a running one
	pid     int
	start   string // the program of one to start
	config  string
	set     []string
	env     []string
	ports   string
	cpus    string
	nice    int
	keep    bool // its recordings
}

// loadSettings say what the calls are like.
type loadSettings struct {
	calls       int
	payload     int
	pps         int
	profile     string
	echo        bool
	rtp         bool
	mirror      string
	silence     bool
	attach      []string
	listen      string
	slot        time.Duration
	settle      time.Duration
	controllers int
	parallel    int
	cpus        string
	realtime    bool
}

// outputSettings say where the outcome goes.
type outputSettings struct {
	json bool
	html string
}

func (s *settings) flags(f *pflag.FlagSet) {
	f.StringVar(&s.relay.address, "relayd", "", "control API of a running relayd, `host:port`")
	f.IntVar(&s.relay.pid, "pid", 0, "process of the relayd, for its CPU and memory, when it was not started here")
	f.StringVar(&s.relay.start, "start", "", "`path` of a relayd to start on loopback for the measurement")
	f.StringVar(&s.relay.config, "config", "", "config `file` of the relayd that is started")
	f.StringArrayVar(&s.relay.set, "set", nil, "a setting of the relayd that is started, `key=value`; repeatable")
	f.StringArrayVar(&s.relay.env, "env", nil, "a variable for the relayd that is started, `NAME=value`; repeatable")
	f.StringVar(&s.relay.ports, "ports", "", "media ports of the relayd that is started, `first-last`, out of the kernel's ephemeral range; empty: the longest free range")
	f.StringVar(&s.relay.cpus, "relay-cpus", "", "CPUs that the relayd that is started may use, `0` or 0,1 or 0-3; empty: all")
	f.IntVar(&s.relay.nice, "relay-nice", 0, "priority of the relayd that is started, -20 (before all others on this host) to 19")
	f.BoolVar(&s.relay.keep, "keep", false, "keep the recordings of the relayd that was started")

	f.IntVarP(&s.load.calls, "calls", "n", 500, "simulated calls")
	f.IntVar(&s.load.payload, "payload", 80, "bytes of Opus in a packet")
	f.IntVar(&s.load.pps, "pps", 50, "packets of 20 ms that a phone sends a second: 50, 25 or 10 (fewer leave pauses)")
	f.StringVar(&s.load.profile, "profile", "gcm", "SRTP: gcm (AEAD_AES_128_GCM) or aescm (AES128_CM_HMAC_SHA1_80)")
	f.BoolVar(&s.load.echo, "echo", false, "the relay's echo sends the phones' packets back (default)")
	f.BoolVar(&s.load.rtp, "rtp", false, "a plain RTP leg of each call sends them to a mirror in this process, and back")
	f.StringVar(&s.load.mirror, "mirror", "", "where --rtp's mirror is, `host:port`, for a relay that must be told before; empty: a free port of the phones' address")
	f.BoolVar(&s.load.silence, "silence", false, "the phones hear the relay's own silence; loss and latency are not measured then")
	f.StringSliceVar(&s.load.attach, "attach", nil, "what else each call has: kinds separated by commas, `recording,discard`; kind:name=value for parameters")
	f.StringVar(&s.load.listen, "listen", "127.0.0.1", "IPv4 address of the phones")
	f.DurationVar(&s.load.slot, "slot", 100*time.Microsecond, "phones send spread over 20 ms in slots of this length; a slot's packets leave together")
	f.DurationVar(&s.load.settle, "settle", 2*time.Second, "time between the last set-up and the first counted packet")
	f.IntVar(&s.load.controllers, "controllers", 0, "gRPC clients that set calls up, each with a quota of its own at the relay; 0: as many as it takes on loopback, else 1")
	f.IntVar(&s.load.parallel, "parallel", 16, "set-ups at a time")
	f.StringVar(&s.load.cpus, "own-cpus", "", "CPUs that this program may use, `1`; empty: all")

	f.BoolVar(&s.load.realtime, "realtime", false, "the phones run before everything else on this host, where that is allowed: for a busy host; it disturbs a relay on the same CPUs")

	f.BoolVar(&s.output.json, "json", false, "print one JSON object instead of the table")
	f.StringVar(&s.output.html, "html", "", "also write a page with plots to `file`")
}

// check finds what cannot work.
func (s *settings) check() error {
	r, l := s.relay, s.load
	sources := 0
	for _, chosen := range []bool{l.echo, l.rtp, l.silence} {
		if chosen {
			sources++
		}
	}
	switch {
	case (r.address == "") == (r.start == ""):
		return usageError{fmt.Errorf("give either --relayd, for one that runs, or --start")}
	case r.start == "" && (r.config != "" || len(r.set) > 0 || len(r.env) > 0 || r.ports != "" || r.cpus != "" || r.nice != 0 || r.keep):
		return usageError{fmt.Errorf("--config, --set, --env, --ports, --relay-cpus, --relay-nice and --keep are for a relayd that is started: give --start")}
	case r.start != "" && r.pid != 0:
		return usageError{fmt.Errorf("--pid is for a relayd that runs; that of one that is started is known")}
	case l.calls < 1:
		return usageError{fmt.Errorf("--calls %d: at least 1", l.calls)}
	case l.payload < farend.MinPayload || l.payload > farend.MaxPayload:
		return usageError{fmt.Errorf("--payload %d: %d to %d bytes", l.payload, farend.MinPayload, farend.MaxPayload)}
	case l.pps != 50 && l.pps != 25 && l.pps != 10:
		return usageError{fmt.Errorf("--pps %d: 50, 25 or 10, since packets of 20 ms leave every 20 ms or a multiple", l.pps)}
	case sources > 1:
		return usageError{fmt.Errorf("--echo, --rtp and --silence exclude each other")}
	case l.slot < 10*time.Microsecond || l.slot > 20*time.Millisecond:
		return usageError{fmt.Errorf("--slot %v: 10us to 20ms", l.slot)}
	case l.controllers < 0 || l.parallel < 1:
		return usageError{fmt.Errorf("--controllers: not negative; --parallel: at least 1")}
	}
	if _, err := l.srtp(); err != nil {
		return err
	}
	if _, err := l.mirrorAt(netip.Addr{}); err != nil {
		return err
	}
	if _, _, err := r.portRange(); err != nil {
		return err
	}
	if _, err := l.attachments(); err != nil {
		return err
	}
	for _, cpus := range []string{r.cpus, l.cpus} {
		if _, err := cpuList(cpus); err != nil {
			return err
		}
	}
	return nil
}

// noCalls refuses --calls in modes that choose their own numbers: it would be ignored without a word.
func noCalls(cmd *cobra.Command) error {
	if cmd.Flags().Changed("calls") {
		return usageError{fmt.Errorf("--calls: %s goes from --from to --to", cmd.Name())}
	}
	return nil
}

func (l *loadSettings) srtp() (secure.Profile, error) {
	switch l.profile {
	case "gcm":
		return secure.AEAD_AES_128_GCM, nil
	case "aescm":
		return secure.AES128_CM_HMAC_SHA1_80, nil
	}
	return 0, usageError{fmt.Errorf("--profile %q: gcm or aescm", l.profile)}
}

// mirrorAt is where the mirror of phones at an address is; invalid when there is none.
func (l *loadSettings) mirrorAt(phones netip.Addr) (netip.AddrPort, error) {
	switch {
	case l.mirror == "" && l.rtp:
		return netip.AddrPortFrom(phones, 0), nil
	case l.mirror == "":
		return netip.AddrPort{}, nil
	case !l.rtp:
		return netip.AddrPort{}, usageError{fmt.Errorf("--mirror is for --rtp")}
	}
	at, err := netip.ParseAddrPort(l.mirror)
	if err != nil || !at.Addr().Is4() {
		return netip.AddrPort{}, usageError{fmt.Errorf("--mirror %q: an IPv4 address and a port, 192.0.2.1:4000", l.mirror)}
	}
	return at, nil
}

func (l *loadSettings) source() fleet.Source {
	switch {
	case l.rtp:
		return fleet.Mirror
	case l.silence:
		return fleet.Silence
	}
	return fleet.Echo
}

func (l *loadSettings) attachments() ([]fleet.Attachment, error) { return attachments(l.attach) }

// attachments reads "kind" and "kind:name=value:name=value".
func attachments(kinds []string) ([]fleet.Attachment, error) {
	var all []fleet.Attachment
	for _, k := range kinds {
		parts := strings.Split(strings.TrimSpace(k), ":")
		if parts[0] == "" || parts[0] == "none" {
			continue
		}
		a := fleet.Attachment{Kind: parts[0], Params: map[string]string{}}
		for _, p := range parts[1:] {
			name, value, ok := strings.Cut(p, "=")
			if !ok {
				return nil, usageError{fmt.Errorf("--attach %q: %q is not name=value", k, p)}
			}
			a.Params[name] = value
		}
		all = append(all, a)
	}
	return all, nil
}

func (r *relaySettings) portRange() (first, last int, err error) {
	if r.ports == "" {
		return proc.FreePorts()
	}
	a, b, ok := strings.Cut(r.ports, "-")
	first, errFirst := strconv.Atoi(a)
	last, errLast := strconv.Atoi(b)
	if !ok || errFirst != nil || errLast != nil || first < 1024 || last > 65535 || last < first {
		return 0, 0, usageError{fmt.Errorf("--ports %q: first-last, from 1024 to 65535", r.ports)}
	}
	return first, last, nil
}

// cpuList reads "0", "0,2" and "0-3".
func cpuList(s string) ([]int, error) {
	var cpus []int
	if s == "" {
		return nil, nil
	}
	for _, part := range strings.Split(s, ",") {
		from, to, ranged := strings.Cut(part, "-")
		if !ranged {
			to = from
		}
		first, errFirst := strconv.Atoi(from)
		last, errLast := strconv.Atoi(to)
		if errFirst != nil || errLast != nil || first < 0 || last < first || last > 1023 {
			return nil, usageError{fmt.Errorf("CPUs %q: numbers such as 0, 0,2 or 0-3", s)}
		}
		for c := first; c <= last; c++ {
			cpus = append(cpus, c)
		}
	}
	return cpus, nil
}
