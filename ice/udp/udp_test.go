package udp_test

import (
	"net/netip"
	"runtime"
	"testing"

	"go.uber.org/goleak"

	"github.com/onelane/onelane/ice/udp"
	"github.com/onelane/onelane/ice/udp/udptest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	loopback  = netip.MustParseAddr("127.0.0.1")
	loopback6 = netip.MustParseAddr("::1")
)

// locals are the loopback addresses that this machine has.
func locals(t testing.TB, p udp.Ports) []netip.Addr {
	t.Helper()
	port, err := p.Open(netip.AddrPortFrom(loopback6, 0))
	if err != nil {
		t.Logf("no IPv6 here: %v", err)
		return []netip.Addr{loopback}
	}
	p.Close(port)
	if _, err := p.Receive(make([]udp.Datagram, 1), 0); err != nil {
		t.Fatal(err)
	}
	return []netip.Addr{loopback, loopback6}
}

func contract(t *testing.T, unfair bool, open func() (udp.Ports, error)) {
	udptest.Contract(t, func(t *testing.T, test func(*testing.T, udptest.Rig)) {
		p, err := open()
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := p.Shutdown(); err != nil {
				t.Error(err)
			}
		}()
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		test(t, udptest.Rig{Ports: p, Locals: locals(t, p), Unfair: unfair})
	})
}

func TestContract(t *testing.T) {
	contract(t, false, func() (udp.Ports, error) { return udp.New(udp.Options{}) })
}

func TestPortableContract(t *testing.T) {
	contract(t, true, func() (udp.Ports, error) { return udp.NewPortable(udp.Options{}), nil })
}
