package udptest

import (
	"net/netip"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	edge  = netip.MustParseAddr("192.0.2.1")
	edge6 = netip.MustParseAddr("2001:db8::1")
	peer  = netip.MustParseAddr("198.51.100.1")
)

func TestContract(t *testing.T) {
	Contract(t, func(t *testing.T, test func(*testing.T, Rig)) {
		p := New(1).Ports()
		defer func() { _ = p.Shutdown() }()
		test(t, Rig{Ports: p, Locals: []netip.Addr{edge, edge6}})
	})
}

func TestContractOnFakeTime(t *testing.T) {
	Contract(t, func(t *testing.T, test func(*testing.T, Rig)) {
		synctest.Test(t, func(t *testing.T) {
			p := New(1).Ports()
			defer func() { _ = p.Shutdown() }()
			test(t, Rig{Ports: p, Locals: []netip.Addr{edge, edge6}})
		})
	})
}
