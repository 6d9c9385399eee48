package icetest

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/rtp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// stage is a server and one call with its full peer, on a network in memory and fake time.
type stage struct {
	network memory
	server  *Server
	call    *Call
	peer    *fullPeer
	failure error
	closed  bool
}

func newStage(t *testing.T, o CallOptions) *stage {
	t.Helper()
	g := &stage{}
	g.server = must(NewServer([]net.PacketConn{g.network.listen("192.0.2.49:3480"), g.network.listen("[2001:db8::1]:3480")},
		Options{Elsewhere: g.network.listen("192.0.2.50:3480")}))
	o.OnFailure = func(_ time.Duration, err error) { g.failure = err }
	o.OnClosed = func(time.Duration) { g.closed = true }
	g.call = must(g.server.NewCall(o))
	g.peer = newFullPeer(t, g.network.listen("192.0.2.7:40000"))
	return g
}

func (g *stage) end(t *testing.T) {
	t.Helper()
	g.peer.close()
	if err := g.server.Close(); err != nil {
		t.Error(err)
	}
}

func (g *stage) connect(budget time.Duration) error {
	check(g.call.Accept(g.peer.sdp("active")))
	ctx, cancel := context.WithTimeout(context.Background(), budget)
	defer cancel()
	err := g.peer.connect(ctx, g.call.Offer(), true)
	synctest.Wait() // the client has its keys first: the server's goroutine still works
	return err
}

func TestCallCarriesMediaBothWays(t *testing.T) {
	for _, profile := range []Profile{AEADAES128GCM, AES128CMHMACSHA1_80} {
		t.Run(profile.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newStage(t, CallOptions{Profiles: []Profile{profile}})
				defer g.end(t)
				if err := g.connect(5 * time.Second); err != nil {
					t.Fatal(err)
				}
				var heard []uint16
				g.call.OnRTP(func(_ time.Duration, h *rtp.Header, payload []byte) {
					if string(payload) != "speech" || h.PayloadType != OpusPT {
						t.Errorf("heard %+v %q", h, payload)
					}
					heard = append(heard, h.SequenceNumber)
				})
				for i := range uint16(10) {
					g.peer.sendRTP(rtp.Header{PayloadType: OpusPT, SequenceNumber: 65530 + i, SSRC: 77}, []byte("speech"))
				}
				synctest.Wait()
				if len(heard) != 10 || g.call.Profile() != profile || g.peer.profile != profile {
					t.Fatalf("heard %v under %v", heard, g.call.Profile())
				}
				for i := range uint16(10) {
					check(g.call.SendRTP(&rtp.Header{Version: 2, PayloadType: OpusPT, SequenceNumber: i, SSRC: g.call.SSRC()}, []byte("hello")))
				}
				synctest.Wait()
				if len(g.peer.heard) != 10 {
					t.Fatalf("the peer heard %d packets", len(g.peer.heard))
				}
				if b := g.call.Breaches(); len(b) != 0 {
					t.Fatalf("a correct peer broke %v", b)
				}
				tm := g.call.Timings()
				if tm.Nominated < tm.FirstCheck || tm.FirstDTLS < tm.Nominated || tm.Secure < tm.FirstDTLS {
					t.Fatalf("order of events: %+v", tm)
				}
			})
		})
	}
}

func TestAnswerRoles(t *testing.T) {
	for setup, client := range map[string]bool{"active": false, "actpass": true, "passive": true} {
		t.Run(setup, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newStage(t, CallOptions{})
				defer g.end(t)
				answer, err := g.call.Answer(g.peer.sdp("actpass"), setup)
				check(err)
				ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
				defer cancel()
				if err := g.peer.connect(ctx, answer, client); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				if g.call.Timings().Secure == 0 || len(g.call.Breaches()) != 0 {
					t.Fatalf("timings %+v, breaches %v", g.call.Timings(), g.call.Breaches())
				}
			})
		})
	}
}

func TestSetupSurvivesAConfusedServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newStage(t, CallOptions{Faults: Faults{
			IgnoreChecksFor: time.Second, Answer487For: 2 * time.Second, IgnoreHellosFor: 3 * time.Second,
		}})
		defer g.end(t)
		if err := g.connect(10 * time.Second); err != nil {
			t.Fatal(err)
		}
		tm := g.call.Timings()
		if age := tm.Nominated - tm.Opened; age < 2*time.Second || age > 3*time.Second {
			t.Errorf("nominated at the age of %v", age)
		}
		if age := tm.Secure - tm.Opened; age < 3*time.Second || age > 4*time.Second {
			t.Errorf("secure at the age of %v", age)
		}
	})
}

func TestChecksAreIgnoredUntilTheAnswerIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newStage(t, CallOptions{})
		defer g.end(t)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		err := g.peer.connect(ctx, g.call.Offer(), true)
		if !errors.Is(err, context.DeadlineExceeded) && err == nil {
			t.Fatalf("connected before the answer was known: %v", err)
		}
		if n := g.server.Counters(); n.IgnoredChecks == 0 || g.call.Timings().FirstCheck != 0 {
			t.Fatalf("counters %+v", n)
		}
	})
}

func TestWrongFingerprintIsRefusedByThePeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newStage(t, CallOptions{Faults: Faults{WrongFingerprint: true}})
		defer g.end(t)
		if err := g.connect(3 * time.Second); err == nil {
			t.Fatal("connected")
		}
	})
}

func TestPeerWithAnotherCertificateIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newStage(t, CallOptions{})
		defer g.end(t)
		honest := g.peer.certificate
		g.peer.certificate = g.server.certificate
		text := g.peer.sdp("active")
		g.peer.certificate = honest
		check(g.call.Accept(text))
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		if err := g.peer.connect(ctx, g.call.Offer(), true); err == nil {
			t.Fatal("connected")
		}
		synctest.Wait()
		if !errors.Is(g.failure, ErrFingerprint) {
			t.Fatalf("failed with %v", g.failure)
		}
	})
}

func TestFarewellIsHeard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newStage(t, CallOptions{})
		defer g.end(t)
		if err := g.connect(5 * time.Second); err != nil {
			t.Fatal(err)
		}
		g.peer.link.linger()
		check(g.peer.dtls.Close())
		synctest.Wait()
		if !g.closed {
			t.Fatal("close_notify was not heard")
		}
	})
}

func TestClosedCallAnswersNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newStage(t, CallOptions{})
		defer g.end(t)
		if err := g.connect(5 * time.Second); err != nil {
			t.Fatal(err)
		}
		g.call.Close()
		synctest.Wait()
		sent := 0
		g.network.mu.Lock()
		g.network.drop = func(from, _ netip.AddrPort, _ []byte) bool {
			if from.Port() == 3480 {
				sent++
			}
			return false
		}
		g.network.mu.Unlock()
		<-time.After(10 * time.Second) // fake time: the agent's keepalives go on
		g.network.mu.Lock()
		defer g.network.mu.Unlock()
		if sent != 0 {
			t.Fatalf("a closed call sent %d datagrams", sent)
		}
		if err := g.call.SendRTP(&rtp.Header{Version: 2}, nil); !errors.Is(err, ErrNotReady) {
			t.Fatalf("SendRTP: %v", err)
		}
	})
}

func TestAnswersStopAndConsentChecksGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newStage(t, CallOptions{Faults: Faults{StopAnswersAt: 2 * time.Second}})
		defer g.end(t)
		if err := g.connect(time.Second); err != nil {
			t.Fatal(err)
		}
		<-time.After(8 * time.Second) // fake time
		if n := g.server.Counters(); n.IgnoredChecks == 0 {
			t.Fatalf("counters %+v", n)
		}
	})
}

func TestAnswerFromElsewhereIsNotBelieved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newStage(t, CallOptions{Faults: Faults{AnswerFromElsewhere: true}})
		defer g.end(t)
		if err := g.connect(2 * time.Second); err == nil {
			t.Fatal("connected over an answer from a wrong address")
		}
	})
}

func TestEveryLostFlightIsMadeUp(t *testing.T) {
	for lost := range 6 {
		synctest.Test(t, func(t *testing.T) {
			g := newStage(t, CallOptions{})
			defer g.end(t)
			seen := 0
			g.network.drop = func(_, _ netip.AddrPort, b []byte) bool {
				if b[0] < 20 || b[0] > 63 {
					return false
				}
				seen++
				return seen-1 == lost
			}
			if err := g.connect(5 * time.Second); err != nil {
				t.Fatalf("datagram %d lost: %v", lost, err)
			}
		})
	}
}

func TestFarewellIsNeverLost(t *testing.T) {
	for range 30 {
		synctest.Test(t, func(t *testing.T) {
			g := newStage(t, CallOptions{})
			defer g.end(t)
			if err := g.connect(5 * time.Second); err != nil {
				t.Fatal(err)
			}
			g.call.Close()
			check(g.peer.dtls.SetReadDeadline(time.Now().Add(time.Second)))
			if _, err := g.peer.dtls.Read(make([]byte, 100)); !errors.Is(err, io.EOF) {
				t.Errorf("the peer heard %v", err)
			}
			check(g.peer.dtls.SetReadDeadline(time.Time{})) // a pending one is a goroutine
		})
	}
}
