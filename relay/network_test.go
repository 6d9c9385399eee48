package relay

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/onelane/onelane/ice/icetest"
	"github.com/onelane/onelane/ice/udp/udptest"
	"github.com/onelane/onelane/relay/config"
)

func TestKeysAreThereThreeRoundTripsAfterTheOffer(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.net.SetLink(udptest.Link{Delay: 25 * time.Millisecond})
		f := w.ring("a", icetest.CallOptions{})
		w.pass(time.Second)
		if got := w.get("a").Timings.DTLS; got > 160*time.Millisecond {
			w.Fatalf("offer to keys took %v at a round trip of 50 ms", got)
		} else {
			w.Logf("offer to keys: %v at a round trip of 50 ms", got)
		}
		w.noBreach(f)
	})
}

// 22 s: an outage may begin just before a check is due, 6 s after the last answer, and the last check that still counts leaves at 28.5 s.
func TestNetworkDownForAWhileIsSurvivedAndForLongEndsTheCall(t *testing.T) {
	for _, c := range []struct {
		down  time.Duration
		lives bool
	}{{time.Second, true}, {5 * time.Second, true}, {22 * time.Second, true}, {40 * time.Second, false}} {
		t.Run(c.down.String(), func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				w.watch(WatchOptions{})
				f := w.connected("a")
				w.pass(10 * time.Second)
				w.net.Down(edge4)
				w.net.Down(edge6)
				w.pass(c.down)
				w.net.Up(edge4)
				w.net.Up(edge6)
				w.pass(7 * time.Second)
				v := w.peek("a")
				if c.lives != (v.State == StateLive) || !c.lives && v.EndReason != EndConsentLost {
					w.Fatalf("%v %v after the network was down for %v", v.State, v.EndReason, c.down)
				}
				n := f.packets()
				w.pass(time.Second)
				if got := f.packets() - n; c.lives && got < 49 {
					w.Fatalf("%d packets in a second after the network came back", got)
				}
			})
		})
	}
}

func TestDescriptionNamesThePublicAddress(t *testing.T) {
	public := netip.MustParseAddr("192.0.2.99")
	nat := func(c *config.Config, _ map[string]Kind) {
		c.Media.Addresses = []config.Address{{Local: edge4, Public: public}}
	}
	inWorld(t, nat, func(w *world) {
		f := w.ring("a", icetest.CallOptions{})
		w.pass(time.Second)
		v := w.get("a")
		if v.State != StateGated || !strings.HasPrefix(v.LocalAddr, edge4.String()) {
			w.Fatalf("%v on %s", v.State, v.LocalAddr)
		}
		if !strings.Contains(v.LocalSDP, public.String()) || strings.Contains(v.LocalSDP, edge4.String()) {
			w.Fatal("the SDP has to name the public address and not the local one")
		}
		w.noBreach(f)
	})
}
