package main

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"

	"github.com/onelane/onelane/relay/config"
)

// mediaPorts is how many ports relayd gets: a call takes one, and a few may be somebody else's by the time that it does.
const mediaPorts = 16

// choosePorts finds a range of UDP ports that nobody has and, where there is such a range, that the kernel does not hand out: the first
// of mediaPorts.
func choosePorts() (int, error) {
	ephemeral, _ := os.ReadFile(config.EphemeralRangeFile) // not there on other systems
	first := 16000 + rand.N(64)*mediaPorts                 // so that two demos at a time do not choose the same
	for _, avoid := range []string{string(ephemeral), ""} {
		for low := first; low+mediaPorts <= 65536; low += mediaPorts {
			if !overlaps(low, low+mediaPorts-1, avoid) && free(low) {
				return low, nil
			}
		}
	}
	return 0, fmt.Errorf("no %d UDP ports in a row are free on 127.0.0.1: stop what has them", mediaPorts)
}

func overlaps(low, high int, ephemeral string) bool {
	var from, to int
	n, _ := fmt.Sscan(ephemeral, &from, &to)
	return n == 2 && low <= to && from <= high
}

func free(low int) bool {
	for port := low; port < low+mediaPorts; port++ {
		c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
		if err != nil {
			return false
		}
		c.Close()
	}
	return true
}
