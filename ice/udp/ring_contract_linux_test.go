//go:build linux && (amd64 || arm64)

package udp_test

import (
	"testing"

	"github.com/onelane/onelane/ice/udp"
)

func TestRingContract(t *testing.T) {
	contract(t, false, func() (udp.Ports, error) { return udp.NewRing(udp.Options{}) })
}
