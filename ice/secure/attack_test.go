package secure_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onelane/onelane/ice/secure"
)

// record makes a plaintext DTLS record.
func record(content byte, epoch uint16, body []byte) []byte {
	b := []byte{content, 0xFE, 0xFD, byte(epoch >> 8), byte(epoch), 0, 0, 0, 0, 0, 77, 0, 0}
	binary.BigEndian.PutUint16(b[11:], uint16(len(body)))
	return append(b, body...)
}

// part makes a handshake record with one fragment.
func part(kind byte, number uint16, length, offset int, body []byte) []byte {
	h := []byte{kind, byte(length >> 16), byte(length >> 8), byte(length), byte(number >> 8), byte(number),
		byte(offset >> 16), byte(offset >> 8), byte(offset), byte(len(body) >> 16), byte(len(body) >> 8), byte(len(body))}
	return record(22, 0, append(h, body...))
}

func message(kind byte, number uint16, body []byte) []byte {
	return part(kind, number, len(body), 0, body)
}

// extensions that ours insists on: extended_master_secret, use_srtp with one profile.
var extensions = []byte{0, 13, 0, 23, 0, 0, 0, 14, 0, 5, 0, 2, 0, 7, 0}

func serverHello() []byte {
	b := append([]byte{0xFE, 0xFD}, bytes.Repeat([]byte{0x5A}, 32)...)
	b = append(b, 0, 0xC0, 0x2B, 0)
	return append(b, extensions...)
}

func clientHello(random byte) []byte {
	b := append([]byte{0xFE, 0xFD}, bytes.Repeat([]byte{random}, 32)...)
	b = append(b, 0, 0, 0, 2, 0xC0, 0x2B, 1, 0)
	return append(b, extensions...)
}

func helloVerify() []byte { return append([]byte{0xFE, 0xFD, 20}, bytes.Repeat([]byte{9}, 20)...) }

// bomb is more than a handshake may keep, in fragments that never become whole and overlap in every way.
func bomb() (out [][]byte) {
	for number := range uint16(13) {
		for _, kind := range []byte{1, 2, 11, 12, 13, 14, 15, 16, 20} {
			for at := 0; at < 4; at++ {
				out = append(out, part(kind, number, 16<<10, at, bytes.Repeat([]byte{1}, 900)))
				out = append(out, part(kind, number, 3000+at, 0, []byte{1}))
			}
		}
	}
	return out
}

var forgeries = map[string]func() [][]byte{
	"fatal alert":      func() [][]byte { return [][]byte{record(21, 0, []byte{2, 40})} },
	"close_notify":     func() [][]byte { return [][]byte{record(21, 0, []byte{1, 0})} },
	"bad alert":        func() [][]byte { return [][]byte{record(21, 0, []byte{9})} },
	"sealed garbage":   func() [][]byte { return [][]byte{record(21, 1, bytes.Repeat([]byte{3}, 30)), record(22, 1, []byte{1})} },
	"future epoch":     func() [][]byte { return [][]byte{record(22, 2, bytes.Repeat([]byte{3}, 30))} },
	"application data": func() [][]byte { return [][]byte{record(23, 0, []byte("hello"))} },
	"unknown content":  func() [][]byte { return [][]byte{record(99, 0, []byte("hello")), record(24, 1, []byte{0})} },
	"early cipher spec": func() [][]byte {
		return [][]byte{record(20, 0, []byte{1}), record(20, 0, []byte{1}), record(20, 0, []byte{2}), record(20, 0, nil)}
	},
	"cut records": func() [][]byte {
		whole := message(2, 0, serverHello())
		return [][]byte{whole[:5], whole[:13], whole[:20], append(append([]byte(nil), whole...), 22), {22}}
	},
	"garbage hello": func() [][]byte { return [][]byte{message(2, 0, []byte("garbage")), message(2, 0, nil)} },
	"garbage flight": func() [][]byte {
		return [][]byte{message(11, 1, []byte{0, 0, 9, 1}), message(12, 2, []byte{3}), message(13, 3, []byte{1})}
	},
	"plausible hello": func() [][]byte { return [][]byte{message(2, 0, serverHello()), message(14, 3, nil)} },
	"lying lengths": func() [][]byte {
		return [][]byte{part(2, 0, 10, 8, []byte{1, 2, 3}), part(2, 0, 1<<24-1, 0, []byte{1}), part(2, 0, 5, 0, nil)}
	},
	"unknown message": func() [][]byte {
		return [][]byte{message(0, 0, nil), message(4, 0, []byte{1}), message(20, 0, make([]byte, 12)), message(2, 999, serverHello())}
	},
	"spoilt fragment": func() [][]byte {
		return [][]byte{part(11, 1, 500, 0, bytes.Repeat([]byte{7}, 300)), part(2, 0, 100, 50, []byte{1})}
	},
	"garbage verify":    func() [][]byte { return [][]byte{message(3, 0, []byte{0xFE, 0xFD, 200, 1})} },
	"fragment bomb":     bomb,
	"hello of a client": func() [][]byte { return [][]byte{message(1, 0, []byte{1, 2, 3})} },
	"client's key parts": func() [][]byte {
		return [][]byte{message(11, 1, []byte{0, 0, 0}), message(16, 2, append([]byte{65, 4}, make([]byte, 64)...)), message(15, 3, []byte{4, 3, 0, 1, 0})}
	},
}

func TestForgedRecordsDoNotEndAHandshake(t *testing.T) {
	for name, forge := range forgeries {
		t.Run(name, func(t *testing.T) {
			bothRoles(t, func(t *testing.T, role secure.Role) {
				w := newPipe(10*time.Millisecond, nil)
				inject := func(int, []byte) {
					for _, b := range forge() {
						w.ours.Deliver(b, peerAddr)
					}
				}
				w.tap = inject
				p := newPeer(t, role == secure.Client)
				p.start(w.peers)
				for _, b := range forge() {
					w.ours.Deliver(b, peerAddr)
				}
				h := ourHandshake(role, w, p)
				s, took, err := shake(t, w, h, p, 10*time.Second)
				if err != nil {
					t.Fatal(err, h.Counts())
				}
				sameKeys(t, s, p, role)
				if took > time.Second || h.Counts().Tries != 1 {
					t.Errorf("it took %v and %d tries", took, h.Counts().Tries)
				}
				s.Release()
				p.close()
				w.close()
			})
		})
	}
}

// What looks right to the letter gets through to pion, costs a try, and not the call.
func TestForgedCookieCostsATryOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newPipe(10*time.Millisecond, nil)
		p := newPeer(t, true)
		p.start(w.peers)
		left := 3
		w.tap = func(direction int, b []byte) {
			if direction == fromUs && b[0] == 22 && left > 0 {
				left--
				w.ours.Deliver(message(3, 0, helloVerify()), peerAddr)
			}
		}
		h := ourHandshake(secure.Client, w, p)
		s, took, err := shake(t, w, h, p, 10*time.Second)
		if err != nil {
			t.Fatal(err, h.Counts())
		}
		sameKeys(t, s, p, secure.Client)
		if took > 2*time.Second {
			t.Errorf("it took %v", took)
		}
		t.Logf("%v, %+v", took, h.Counts())
		p.close()
		w.close()
	})
}

func TestForgedClientHelloGivesWayToTheGenuineOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newPipe(10*time.Millisecond, nil)
		p := newPeer(t, false)
		w.ours.Deliver(message(1, 0, clientHello(0x77)), peerAddr)
		time.AfterFunc(50*time.Millisecond, func() { p.start(w.peers) })
		h := ourHandshake(secure.Server, w, p)
		s, took, err := shake(t, w, h, p, 10*time.Second)
		if err != nil {
			t.Fatal(err, h.Counts())
		}
		sameKeys(t, s, p, secure.Server)
		if took > 2*time.Second {
			t.Errorf("it took %v", took)
		}
		s.Release()
		p.close()
		w.close()
	})
}

// The peer has answered a ClientHello and we have given it up without its hearing so. The next one has to work all the same.
func TestFreshClientHelloMeetsAHalfOpenServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newPipe(10*time.Millisecond, nil)
		started := time.Now()
		w.lose = func(direction, n int, b []byte) bool {
			// Everything but the first ClientHello is lost for longer than a try may be stuck, the alert at its end included.
			return direction == fromUs && n > 0 && time.Since(started) < secure.StuckAfter+200*time.Millisecond
		}
		p := newPeer(t, true)
		p.start(w.peers)
		h := ourHandshake(secure.Client, w, p)
		s, took, err := shake(t, w, h, p, 20*time.Second)
		if err != nil {
			t.Fatal(err, h.Counts())
		}
		sameKeys(t, s, p, secure.Client)
		if took > secure.StuckAfter+2*time.Second || h.Counts().Tries < 2 {
			t.Errorf("it took %v and %d tries", took, h.Counts().Tries)
		}
		p.close()
		w.close()
	})
}

func TestPeerWithoutCertificateIsNoSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newPipe(time.Millisecond, nil)
		p := newPeer(t, false)
		p.noCert = true
		p.start(w.peers)
		h := ourHandshake(secure.Server, w, p)
		if _, _, err := shake(t, w, h, p, 2*time.Second); !errors.Is(err, secure.ErrTimeout) {
			t.Fatal(err)
		}
		if h.Counts().Refused == 0 {
			t.Error("nothing says why")
		}
		w.close()
		p.close()
	})
}

func TestThousandHalfOpenHandshakesLeaveNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		done := make(chan error, 1000)
		for range cap(done) {
			go func() {
				w := newPipe(0, func(int, int, []byte) bool { return true })
				h := &secure.Handshake{Role: secure.Server, Certificate: ours(), RemoteFingerprint: ours().Fingerprint(), Conn: w.ours}
				w.ours.Deliver(message(1, 0, clientHello(1)), peerAddr)
				_, _, err := shake(t, w, h, nil, time.Second)
				w.close()
				done <- err
			}()
		}
		for range cap(done) {
			if err := <-done; !errors.Is(err, secure.ErrTimeout) {
				t.Fatal(err)
			}
		}
	})
}
