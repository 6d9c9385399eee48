package main

import (
	"strconv"
	"strings"
)

// subject is one benchmark with one number of calls.
type subject struct {
	folder string // of its package, from the root of the module
	name   string // as go test prints it, without Benchmark
	// only is the function in which events count. What it does before its loop falls out; what does not repeat, the collection at the start
	// of every benchmark first of all, stays outside of it.
	only string
	low  int // operations of the first run
	more int // by how many the second has more
}

const module = "github.com/onelane/onelane/"

// The functions in which events count.
const (
	core   = module + "relay/shard.(*Core)."
	turn   = core + "Turn"
	stages = module + "bench/stages.stage.measure"
	opened = module + "ice/secure.(*Opener).Open"
	report = module + "ice/secure.(*Opener).OpenRTCP"
	sealed = module + "ice/secure.(*Sealer).Seal"
)

// Numbers of operations, so that what little does not repeat is less than one in a hundred.
const (
	some = 10_000  // of some thousand instructions each
	lots = 50_000  // whose reports come at moments of chance
	many = 200_000 // of some ten
)

// family is a benchmark with the numbers of calls for which it is counted. Setting up 5,000 whole calls takes half a minute, so that only the
// most telling have them.
type family struct {
	folder, name, only string
	more               int
	calls              []int
}

var (
	warm     = []int{1, 1000}
	wide     = []int{1, 1000, 5000}
	families = []family{
		{"relay/shard", "Core/echo", turn, some, wide},
		{"relay/shard", "Core/to_leg", turn, some, warm},
		{"relay/shard", "Core/from_leg", turn, some, warm},
		{"relay/shard", "Tick/silence", turn, lots, wide},
		{"relay/shard", "Step/lane_place", module + "relay/shard.(*lane).place", many, warm},
		{"relay/shard", "Step/check", module + "relay/shard.(*egress).check", many, warm},
		{"relay/shard", "Step/transmit", core + "transmit", some, warm},
		{"relay/shard", "Step/report", core + "sendReport", some, warm},
		{"relay/shard", "Step/deadline", core + "rearm", many, warm},
		{"bench/stages", "Stage/classify", stages, many, warm},
		{"bench/stages", "Stage/open", opened, some, wide},
		{"bench/stages", "Stage/parse", stages, many, warm},
		{"bench/stages", "Stage/guard", stages, many, warm},
		{"bench/stages", "Stage/window", stages, many, warm},
		{"bench/stages", "Stage/reception", stages, many, warm},
		{"bench/stages", "Stage/timeline", stages, many, warm},
		{"bench/stages", "Stage/toc", stages, many, warm},
		{"bench/stages", "Stage/seal", stages, some, wide},
		{"bench/stages", "Stage/rtcp_in", report, some, warm},
		{"bench/stages", "Stage/rtcp_out", stages, some, warm},
		{"bench/stages", "Stage/consent_answer", stages, some, warm},
		{"ice/secure", "Seal/SRTP_AEAD_AES_128_GCM", sealed, some, nil},
		{"ice/secure", "Seal/SRTP_AES128_CM_HMAC_SHA1_80", sealed, some, nil},
		{"ice/secure", "Open/SRTP_AEAD_AES_128_GCM", opened, some, nil},
		{"ice/secure", "Open/SRTP_AES128_CM_HMAC_SHA1_80", opened, some, nil},
		{"ice/secure", "OpenForged/SRTP_AEAD_AES_128_GCM", opened, some, nil},
		{"ice/secure", "OpenForged/SRTP_AES128_CM_HMAC_SHA1_80", opened, some, nil},
	}
)

// choose gives the subjects whose names begin with only. Both numbers of operations are whole rounds of all calls.
func choose(only string) []subject {
	var chosen []subject
	add := func(s subject) {
		if strings.HasPrefix(s.name, only) {
			chosen = append(chosen, s)
		}
	}
	for _, f := range families {
		if f.calls == nil {
			add(subject{f.folder, f.name, f.only, 1000, f.more})
		}
		for _, calls := range f.calls {
			add(subject{f.folder, f.name + "/calls=" + strconv.Itoa(calls), f.only, max(1000, calls), f.more})
		}
	}
	return chosen
}

// pattern is the name as -test.bench wants it, part by part.
func (s subject) pattern() string {
	return "^Benchmark" + strings.ReplaceAll(s.name, "/", "$/^") + "$"
}
