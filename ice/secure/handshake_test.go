package secure_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/dtls/v2"

	"github.com/onelane/onelane/ice/secure"
)

// shake runs one handshake of ours against the peer and returns how long it took.
func shake(t *testing.T, w *pipe, h *secure.Handshake, p *peer, budget time.Duration) (*secure.Session, time.Duration, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), budget)
	defer cancel()
	started := time.Now()
	s, err := h.Run(ctx)
	return s, time.Since(started), err
}

func sameKeys(t *testing.T, s *secure.Session, p *peer, role secure.Role) {
	t.Helper()
	<-p.done
	m := p.keys(t)
	client, server := m[:16], m[16:32]
	local, remote := client, server
	if role == secure.Server {
		local, remote = server, client
	}
	if !bytes.Equal(s.Keys.LocalKey, local) || !bytes.Equal(s.Keys.RemoteKey, remote) {
		t.Fatal("the two ends have different keys")
	}
}

func bothRoles(t *testing.T, f func(t *testing.T, role secure.Role)) {
	for _, role := range []secure.Role{secure.Client, secure.Server} {
		t.Run(role.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { f(t, role) })
		})
	}
}

func TestBothEndsGetTheSameKeys(t *testing.T) {
	bothRoles(t, func(t *testing.T, role secure.Role) {
		for _, want := range []secure.Profile{secure.AEAD_AES_128_GCM, secure.AES128_CM_HMAC_SHA1_80} {
			w := newPipe(25*time.Millisecond, nil)
			p := newPeer(t, role == secure.Client)
			p.profiles = []dtls.SRTPProtectionProfile{dtls.SRTPProtectionProfile(want)}
			p.start(w.peers)
			s, took, err := shake(t, w, ourHandshake(role, w, p), p, 5*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			if s.Keys.Profile != want || s.Role() != role {
				t.Fatalf("got %v as %v, want %v as %v", s.Keys.Profile, s.Role(), want, role)
			}
			if took > 150*time.Millisecond {
				t.Errorf("two round trips of 50 ms took %v", took)
			}
			sameKeys(t, s, p, role)
			s.Release()
			p.close()
			w.close()
			<-time.After(time.Second)
		}
	})
}

func TestEveryLostFlightCompletes(t *testing.T) {
	const flights = 5 // datagrams of a handshake in one direction, with repeats
	bothRoles(t, func(t *testing.T, role secure.Role) {
		worst := time.Duration(0)
		for first := range 2 * flights {
			for second := first; second < 2*flights; second++ {
				w := newPipe(10*time.Millisecond, func(direction, n int, _ []byte) bool {
					at := direction*flights + n
					return n < flights && (at == first || at == second)
				})
				p := newPeer(t, role == secure.Client)
				p.interval = 100 * time.Millisecond
				p.start(w.peers)
				s, took, err := shake(t, w, ourHandshake(role, w, p), p, 10*time.Second)
				if err != nil {
					t.Fatalf("datagrams %d and %d lost: %v", first, second, err)
				}
				sameKeys(t, s, p, role)
				worst = max(worst, took)
				s.Release()
				p.close()
				w.close()
			}
		}
		t.Logf("worst of all pairs: %v", worst)
		if worst > 1500*time.Millisecond {
			t.Errorf("a pair of lost datagrams cost %v", worst)
		}
	})
}

func TestThirtyPercentLossCompletes(t *testing.T) {
	bothRoles(t, func(t *testing.T, role secure.Role) {
		for seed := range uint32(20) {
			x := seed*2654435761 + 1
			w := newPipe(25*time.Millisecond, func(int, int, []byte) bool {
				x = x*1664525 + 1013904223
				return x>>16%100 < 30
			})
			p := newPeer(t, role == secure.Client)
			p.start(w.peers)
			s, _, err := shake(t, w, ourHandshake(role, w, p), p, 20*time.Second)
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			sameKeys(t, s, p, role)
			s.Release()
			p.close()
			w.close()
		}
	})
}

func TestWrongFingerprintIsNoSession(t *testing.T) {
	bothRoles(t, func(t *testing.T, role secure.Role) {
		w := newPipe(10*time.Millisecond, nil)
		p := newPeer(t, role == secure.Client)
		p.start(w.peers)
		h := ourHandshake(role, w, p)
		h.RemoteFingerprint = ours().Fingerprint()
		s, took, err := shake(t, w, h, p, 10*time.Second)
		if s != nil || !errors.Is(err, secure.ErrFingerprint) {
			t.Fatalf("got %v, %v", s, err)
		}
		if took > time.Second {
			t.Errorf("it took %v to say so", took)
		}
		w.close()
		p.close()
	})
}

func TestFingerprintMustBeExactlyOneSHA256(t *testing.T) {
	good := ours().Fingerprint()
	for _, f := range []string{
		"", good[:59], good + " " + good, good + "\n", "sha-1 " + good[:59], "SHA-1 " + good, good[:len(good)-1] + "G", good[1:] + "A",
	} {
		if f == good+"\n" {
			continue // white space around is not part of it
		}
		h := &secure.Handshake{Certificate: ours(), RemoteFingerprint: f, Conn: newPipe(0, nil).ours}
		if _, err := h.Run(context.Background()); !errors.Is(err, secure.ErrFingerprintForm) {
			t.Errorf("%q: got %v", f, err)
		}
	}
}

func TestSilentPeerTimesOutAndLeavesNothing(t *testing.T) {
	bothRoles(t, func(t *testing.T, role secure.Role) {
		w := newPipe(0, func(int, int, []byte) bool { return true })
		p := newPeer(t, role == secure.Client)
		_, took, err := shake(t, w, ourHandshake(role, w, p), p, 3*time.Second)
		if !errors.Is(err, secure.ErrTimeout) || took != 3*time.Second {
			t.Fatalf("got %v after %v", err, took)
		}
		if n := w.count(fromUs); role == secure.Client && n < 25 {
			t.Errorf("%d ClientHellos in 3 s at an interval of 100 ms", n)
		}
		w.close()
	})
}

func TestCancelEndsRun(t *testing.T) {
	bothRoles(t, func(t *testing.T, role secure.Role) {
		w := newPipe(0, func(direction, n int, _ []byte) bool { return direction == fromUs && (n > 0 || role == secure.Server) }) // half-open
		p := newPeer(t, role == secure.Client)
		p.start(w.peers)
		ctx, cancel := context.WithCancel(context.Background())
		time.AfterFunc(700*time.Millisecond, cancel)
		if _, err := ourHandshake(role, w, p).Run(ctx); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		w.close()
		p.close()
	})
}

func TestKickSendsTheFlightAgainAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		open := false
		w := newPipe(10*time.Millisecond, func(direction, n int, _ []byte) bool { return direction == fromUs && !open })
		p := newPeer(t, true)
		p.start(w.peers)
		h := ourHandshake(secure.Client, w, p)
		h.FlightInterval = 250 * time.Millisecond
		time.AfterFunc(1010*time.Millisecond, func() {
			w.mu.Lock()
			open = true
			w.mu.Unlock()
			h.Kick()
		})
		s, took, err := shake(t, w, h, p, 5*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if took > 1060*time.Millisecond {
			t.Errorf("keys came %v after the kick", took-1010*time.Millisecond)
		}
		sameKeys(t, s, p, secure.Client)
		h.Kick() // does nothing any more
		p.close()
		w.close()
	})
}

func TestServerKeepsRepeatingItsLastFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newPipe(10*time.Millisecond, nil)
		p := newPeer(t, false)
		p.interval = 100 * time.Millisecond
		last := 0
		w.lose = func(direction, n int, b []byte) bool {
			if direction == fromUs && b[0] == 20 { // ChangeCipherSpec: our last flight
				last++
				return last <= 3
			}
			return false
		}
		p.start(w.peers)
		s, _, err := shake(t, w, ourHandshake(secure.Server, w, p), p, 5*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		sameKeys(t, s, p, secure.Server)
		if last < 4 {
			t.Fatalf("last flight sent %d times", last)
		}
		s.Release()
		p.close()
		w.close()
	})
}

func TestFarewellTellsThePeer(t *testing.T) {
	bothRoles(t, func(t *testing.T, role secure.Role) {
		w := newPipe(time.Millisecond, nil)
		p := newPeer(t, role == secure.Client)
		p.start(w.peers)
		s, _, err := shake(t, w, ourHandshake(role, w, p), p, 5*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		<-p.done
		before := w.count(fromUs)
		s.Release()
		<-time.After(time.Second)
		if n := w.count(fromUs); n != before {
			t.Errorf("Release sent %d datagrams", n-before)
		}
		n := 0
		s.Farewell(func(b []byte) { n++; w.peers.Deliver(b, ourAddr) })
		s.Farewell(func(b []byte) { n++ })
		if n != 1 {
			t.Errorf("%d records", n)
		}
		ended := make(chan error, 1)
		go func() {
			_, err := p.conn.Read(make([]byte, 100))
			ended <- err
		}()
		if err := <-ended; err == nil {
			t.Error("the peer was not told")
		}
		p.close()
		w.close()
	})
}

func TestSecretsPrintRedacted(t *testing.T) {
	k := secure.Keys{Profile: secure.AEAD_AES_128_GCM, LocalKey: []byte("CANARYCANARYCANA"), RemoteSalt: []byte("CANARYCANARY")}
	s := &secure.Session{Keys: k}
	for _, v := range []any{k, &k, s} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%q", "%d"} {
			out := fmt.Sprintf(verb, v)
			if bytes.Contains([]byte(out), []byte("CANARY")) || bytes.Contains([]byte(out), []byte("43414e41")) ||
				bytes.Contains([]byte(out), []byte("67 65 78")) {
				t.Errorf("%s of %T shows a key: %s", verb, v, out)
			}
		}
	}
}
