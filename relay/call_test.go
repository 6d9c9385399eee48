package relay

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtp"

	"github.com/onelane/onelane/ice/icetest"
	"github.com/onelane/onelane/relay/config"
)

func TestUserInitiatedCallRunsFromOfferToEnd(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		events := w.watch(WatchOptions{})
		f := w.ring("wacid.1", icetest.CallOptions{})
		w.pass(time.Second)
		if v := w.get("wacid.1"); v.State != StateGated || v.DTLSRole != "client" || v.SRTPProfile == "" || v.RemoteAddr == "" {
			w.Fatalf("after a second: %+v", v)
		}
		if n := f.packets(); n != 0 {
			w.Fatalf("%d packets before the gate opened", n)
		}
		w.open("wacid.1")
		w.pass(time.Second)
		if n := f.packets(); n < 49 || n > 51 {
			w.Fatalf("%d packets in the first second", n)
		}
		if err := f.SendRTP(&rtp.Header{Version: 2, PayloadType: 111, SSRC: 9, SequenceNumber: 1, Timestamp: 1}, []byte{9 << 3, 1, 2}); err != nil {
			w.Fatal(err)
		}
		w.pass(time.Second)
		v, err := w.edge.End(w.Context(), "wacid.1", "done")
		if err != nil || v.State != StateEnded || v.EndReason != EndRequested {
			w.Fatalf("%v, %+v", err, v)
		}
		w.pass(20 * time.Millisecond) // what was on its way
		n := f.packets()
		w.pass(time.Second)
		if f.packets() != n {
			w.Fatal("packets after the end")
		}
		want := []EventKind{EventCallCreated, EventICEConnected, EventDTLSConnected, EventGateOpened, EventFirstPacketSent, EventFirstPacketReceived, EventCallEnded}
		if got := kinds(events()); !slices.Equal(got, want) {
			w.Fatalf("events %v, want %v", got, want)
		}
		w.noBreach(f)
		w.noSecret("wacid.1", f.Pwd(), f.Ufrag())
	})
}

func TestBusinessInitiatedCallOffersAndTakesTheAnswer(t *testing.T) {
	for _, setup := range []string{"active", "actpass", "passive"} {
		t.Run(setup, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				v, err := w.edge.Create(w.Context(), NewCall{ID: "b", Direction: BusinessInitiated})
				if err != nil {
					w.Fatal(err)
				}
				f := w.phone(icetest.CallOptions{})
				answer, err := f.Answer(v.LocalSDP, setup)
				if err != nil {
					w.Fatal(err)
				}
				_, err = w.edge.OpenMedia(w.Context(), "b")
				wantReason(w.T, err, FailedPrecondition, "ANSWER_MISSING")
				for range 2 { // the webhook comes twice
					if _, err := w.edge.ApplyAnswer(w.Context(), "b", answer); err != nil {
						w.Fatal(err)
					}
				}
				_, err = w.edge.ApplyAnswer(w.Context(), "b", answer+"a=x\r\n")
				wantReason(w.T, err, FailedPrecondition, "ANSWER_EXISTS")
				w.pass(time.Second)
				w.open("b")
				w.pass(time.Second)
				if f.packets() < 45 {
					w.Fatalf("%d packets; call %+v", f.packets(), w.get("b"))
				}
				role := map[string]string{"active": "server", "actpass": "client", "passive": "client"}[setup]
				if v := w.get("b"); v.DTLSRole != role || v.State != StateLive {
					w.Fatalf("role %q, want %q; state %v", v.DTLSRole, role, v.State)
				}
				w.noBreach(f)
			})
		})
	}
}

func TestGateBeforeKeysLetsMediaOutAsSoonAsThereAreKeys(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		f := w.ring("a", icetest.CallOptions{Faults: icetest.Faults{IgnoreHellosFor: 3 * time.Second}})
		w.pass(2900 * time.Millisecond)
		w.open("a")
		w.pass(600 * time.Millisecond)
		if n := f.packets(); n < 10 {
			w.Fatalf("%d packets half a second after the far end listens; call %+v", n, w.get("a").Timings)
		}
		w.noBreach(f)
	})
}

func TestFarEndThatIsNotReadyYetIsWaitedFor(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		f := w.ring("a", icetest.CallOptions{Faults: icetest.Faults{IgnoreChecksFor: 5 * time.Second, Answer487For: 7 * time.Second}})
		w.pass(8 * time.Second)
		if v := w.get("a"); v.State != StateGated {
			w.Fatalf("state %v %s", v.State, v.EndMessage)
		}
		w.noBreach(f)
	})
}

func TestDeadAddressFamilyCostsNoSecond(t *testing.T) {
	for name, faults := range map[string]icetest.Faults{"IPv6 dead": {DropIPv6: true}, "IPv4 dead": {DropIPv4: true}} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				f := w.ring("a", icetest.CallOptions{Faults: faults})
				w.pass(time.Second)
				if v := w.get("a"); v.State != StateGated {
					w.Fatalf("state %v after a second", v.State)
				}
				w.noBreach(f)
			})
		})
	}
}

func TestWrongFingerprintEndsTheCallWithoutMedia(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		f := w.ring("a", icetest.CallOptions{Faults: icetest.Faults{WrongFingerprint: true}})
		w.open("a")
		w.pass(5 * time.Second)
		if v := w.get("a"); v.State != StateEnded || v.EndReason != EndFingerprintMismatch {
			w.Fatalf("%v %v %s", v.State, v.EndReason, v.EndMessage)
		}
		if f.packets() != 0 {
			w.Fatal("media went to somebody else")
		}
	})
}

func TestFarEndThatNeverAnswersEndsTheCallWithinTheBudget(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.watch(WatchOptions{}) // keeps the lease
		w.ring("a", icetest.CallOptions{Faults: icetest.Faults{IgnoreChecksFor: time.Hour}})
		w.pass(61 * time.Second)
		if v := w.peek("a"); v.State != StateEnded || v.EndReason != EndICEFailed {
			w.Fatalf("%v %v %s", v.State, v.EndReason, v.EndMessage)
		}
	})
}

func TestConsentLostEndsTheCall(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		events := w.watch(WatchOptions{})
		f := w.ring("a", icetest.CallOptions{Faults: icetest.Faults{StopAnswersAt: 10 * time.Second}})
		w.pass(time.Second)
		w.open("a")
		w.pass(45 * time.Second)
		v := w.peek("a")
		if v.State != StateEnded || v.EndReason != EndConsentLost {
			w.Fatalf("%v %v", v.State, v.EndReason)
		}
		if after := v.Ended.Sub(v.Created); after > 41*time.Second {
			w.Fatalf("ended %v after the start; answers stopped after 10 s", after)
		}
		if !slices.Contains(kinds(events()), EventConsentLost) {
			w.Fatal("nobody was told")
		}
		w.noBreach(f)
	})
}

func TestLiveCallCostsNoGoroutine(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		f := w.ring("a", icetest.CallOptions{})
		w.pass(time.Second)
		w.open("a")
		w.pass(time.Second)
		before := relayGoroutines()
		var far []*farCall
		for i := range 10 {
			id := string(rune('b' + i))
			far = append(far, &farCall{id, w.ring(id, icetest.CallOptions{})})
		}
		w.pass(2 * time.Second)
		for _, c := range far {
			w.open(c.id)
		}
		w.pass(2 * time.Second)
		if after := relayGoroutines(); after != before {
			w.Fatalf("ten live calls more: %d goroutines of the edge, %d before", after, before)
		}
		w.noBreach(f)
	})
}

type farCall struct {
	id string
	f  *far
}

func TestLeaseEndsACallThatNobodyAsksFor(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		f := w.ring("a", icetest.CallOptions{})
		w.pass(time.Second)
		w.open("a")
		w.pass(50 * time.Second)
		if v := w.get("a"); v.State != StateLive { // renews
			w.Fatalf("state %v", v.State)
		}
		w.pass(50 * time.Second)
		if v := w.peek("a"); v.State != StateLive {
			w.Fatalf("state %v %v", v.State, v.EndReason)
		}
		w.pass(15 * time.Second)
		if v := w.peek("a"); v.State != StateEnded || v.EndReason != EndLeaseExpired {
			w.Fatalf("%v %v", v.State, v.EndReason)
		}
		w.noBreach(f)
	})
}

func TestWatchKeepsItsCallsAlive(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.watch(WatchOptions{CallIDs: []string{"a"}})
		w.ring("a", icetest.CallOptions{})
		w.ring("b", icetest.CallOptions{})
		w.pass(2 * time.Minute)
		if a, b := w.peek("a"), w.peek("b"); a.State == StateEnded || b.State != StateEnded {
			w.Fatalf("a is %v, b is %v", a.State, b.State)
		}
	})
}

func TestRepeatedCreateGivesTheSameBytes(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		f := w.phone(icetest.CallOptions{})
		n := NewCall{ID: "a", Direction: UserInitiated, Offer: f.Offer()}
		first, err := w.edge.Create(w.Context(), n)
		if err != nil {
			w.Fatal(err)
		}
		second, err := w.edge.Create(w.Context(), n)
		if err != nil || first.LocalSDP != second.LocalSDP {
			w.Fatalf("%v, same SDP: %v", err, first.LocalSDP == second.LocalSDP)
		}
		n.Tenant = "other"
		_, err = w.edge.Create(w.Context(), n)
		wantReason(w.T, err, AlreadyExists, "CALL_EXISTS")
		for range 2 {
			if v, err := w.edge.End(w.Context(), "a", ""); err != nil || v.State != StateEnded {
				w.Fatalf("%v %v", err, v.State)
			}
		}
		_, err = w.edge.Get(w.Context(), "unknown")
		wantReason(w.T, err, NotFound, "CALL_UNKNOWN")
	})
}

func TestBadSDPNamesTheLineAndLeavesNothing(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		f := w.phone(icetest.CallOptions{})
		for name, offer := range map[string]string{
			"huge":           strings.Repeat("a=x\r\n", 20_000),
			"no fingerprint": without(f.Offer(), "a=fingerprint"),
			"loopback":       strings.ReplaceAll(f.Offer(), meta4.Addr().String(), "127.0.0.1"),
			"no opus":        strings.ReplaceAll(f.Offer(), "opus/48000/2", "PCMU/8000"),
			"NUL":            "v=0\x00",
		} {
			_, err := w.edge.Create(w.Context(), NewCall{ID: name, Direction: UserInitiated, Offer: offer})
			var e *Error
			if !errors.As(err, &e) || e.Code != InvalidArgument || e.Field != "offer" {
				w.Errorf("%s: %v", name, err)
			} else if strings.Contains(e.Error(), f.Pwd()) {
				w.Errorf("%s: the error has the password in it", name)
			}
		}
		if n := w.edge.Node(); n.Calls != 0 || n.PortsResting != 0 {
			w.Fatalf("%d calls, %d ports", n.Calls, n.PortsResting)
		}
	})
}

func without(sdp, prefix string) string {
	var lines []string
	for _, l := range strings.Split(sdp, "\r\n") {
		if !strings.HasPrefix(l, prefix) {
			lines = append(lines, l)
		}
	}
	return strings.Join(lines, "\r\n")
}

func TestFullEdgeRefusesNewCallsAndKeepsTheOld(t *testing.T) {
	full := func(c *config.Config, _ map[string]Kind) {
		c.Media.PortMin, c.Media.PortMax, c.Media.Shards = 40000, 40002, 1
	}
	inWorld(t, full, func(w *world) {
		f := w.ring("1", icetest.CallOptions{})
		w.ring("2", icetest.CallOptions{})
		w.ring("3", icetest.CallOptions{})
		_, err := w.edge.Create(w.Context(), NewCall{ID: "4", Direction: UserInitiated, Offer: w.phone(icetest.CallOptions{}).Offer()})
		wantReason(w.T, err, Exhausted, "CALLS_EXHAUSTED")
		w.edge.End(w.Context(), "3", "")
		_, err = w.edge.Create(w.Context(), NewCall{ID: "4", Direction: UserInitiated, Offer: w.phone(icetest.CallOptions{}).Offer()})
		wantReason(w.T, err, Exhausted, "PORTS_EXHAUSTED") // its port rests
		w.pass(time.Second)
		w.open("1")
		w.pass(31 * time.Second)
		w.ring("5", icetest.CallOptions{})
		if f.packets() < 1000 {
			w.Fatalf("the live call got %d packets in 31 s", f.packets())
		}
	})
}

func TestPortsTakenByOthersAreSteppedOver(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		for _, p := range []uint16{40000, 40001, 40050} {
			if _, err := w.net.Conn(netAddr(edge4, p)); err != nil {
				w.Fatal(err)
			}
		}
		w.ring("a", icetest.CallOptions{})
		w.ring("b", icetest.CallOptions{})
	})
}

func TestDescriptorsThatRunOutRefuseOneCallAndHarmNone(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.ring("a", icetest.CallOptions{})
		w.pass(time.Second)
		w.net.LimitPorts(2)
		_, err := w.edge.Create(w.Context(), NewCall{ID: "b", Direction: UserInitiated, Offer: w.phone(icetest.CallOptions{}).Offer()})
		wantReason(w.T, err, Exhausted, "DESCRIPTORS_EXHAUSTED")
		if v := w.get("a"); v.State != StateGated {
			w.Fatalf("the other call is %v", v.State)
		}
	})
}
