package main

import (
	"fmt"
	"strconv"

	"github.com/onelane/onelane/bench/internal/rig"
)

// optionPorts is how many ports the options of a socket are tried with.
const optionPorts = 1000

// flagged is the floor with some flags.
type flagged struct {
	name  string
	flags []string
}

// options tries what a socket and an epoll set can be told.
func (s *studies) options() error {
	near := strconv.Itoa(rig.TargetCPU)
	var variants []variant
	for _, f := range []flagged{
		{"as it is: connected, 64 KiB, level-triggered", nil},
		{"the same again", nil}, // what two equal things differ by
		{"not connected", []string{"--connect=false"}},
		{"edge-triggered", []string{"--edge-triggered"}},
		{"SO_INCOMING_CPU, the target's CPU", []string{"--incoming-cpu", near}},
		{"SO_RCVBUF 16 KiB", []string{"--buffer", "16384"}},
		{"SO_RCVBUF 256 KiB", []string{"--buffer", "262144"}},
	} {
		variants = append(variants, variant{name: f.name, run: func() (reading, error) { return s.floor(optionPorts, f.flags...) }})
	}
	all, err := s.turns(variants)
	if err != nil {
		return err
	}
	s.parts = append(s.parts, fmt.Sprintf("### Options of a socket\n\nThe floor, %d ports.\n\n%s\nLess CPU than as it is: %s. More: %s. SO_INCOMING_CPU chooses among sockets that share one port, and here no two do.\n",
		optionPorts, table(all), named(all, costs(wins)), named(all, costs(loses))))
	return nil
}

// floor is one turn of the floor.
func (s *studies) floor(ports int, flags ...string) (reading, error) {
	o, err := s.Plain("floor", ports, flags...)
	return reading{o.Cost, o.P50, o.P99}, err
}
