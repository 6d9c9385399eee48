package secure_test

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/onelane/onelane/ice/secure"
)

const ssrc = 0x1234ABCD

func testKeys(p secure.Profile) (sender, receiver secure.Keys) {
	salt := 12
	if p == secure.AES128_CM_HMAC_SHA1_80 {
		salt = 14
	}
	a, b := bytes.Repeat([]byte{0xA1}, 16), bytes.Repeat([]byte{0xB2}, 16)
	as, bs := bytes.Repeat([]byte{0xA3}, salt), bytes.Repeat([]byte{0xB4}, salt)
	return secure.Keys{Profile: p, LocalKey: a, LocalSalt: as, RemoteKey: b, RemoteSalt: bs},
		secure.Keys{Profile: p, LocalKey: b, LocalSalt: bs, RemoteKey: a, RemoteSalt: as}
}

func rtpPacket(of uint32, seq uint16, size int) []byte {
	b := make([]byte, 12+size, 12+size+secure.Overhead)
	b[0], b[1] = 0x80, 111
	binary.BigEndian.PutUint16(b[2:], seq)
	binary.BigEndian.PutUint32(b[4:], uint32(seq)*960)
	binary.BigEndian.PutUint32(b[8:], of)
	for i := range b[12:] {
		b[12+i] = byte(i) ^ byte(seq)
	}
	return b
}

type direction struct {
	t      testing.TB
	sealer *secure.Sealer
	opener *secure.Opener
}

func newDirection(t testing.TB, p secure.Profile) *direction {
	t.Helper()
	sender, receiver := testKeys(p)
	s, err := secure.NewSealer(sender)
	if err != nil {
		t.Fatal(err)
	}
	o, err := secure.NewOpener(receiver)
	if err != nil {
		t.Fatal(err)
	}
	return &direction{t: t, sealer: s, opener: o}
}

// seal makes the packet at the extended sequence number n.
func (d *direction) seal(n int) []byte {
	d.t.Helper()
	plain := rtpPacket(ssrc, uint16(n), 80)
	b, err := d.sealer.Seal(plain, plain)
	if err != nil {
		d.t.Fatalf("seal %d: %v", n, err)
	}
	return b
}

// sealFar seals at any index, with a sealer of its own, as if all before had been sent.
func (d *direction) sealFar(of uint32, index uint64) []byte {
	d.t.Helper()
	sender, _ := testKeys(d.profile())
	s, err := secure.NewSealerFrom(sender, secure.SealerState{SSRC: of, Started: true, Highest: index - 1})
	if err != nil {
		d.t.Fatal(err)
	}
	plain := rtpPacket(of, uint16(index), 80)
	b, err := s.Seal(plain, plain)
	if err != nil {
		d.t.Fatal(err)
	}
	return b
}

func (d *direction) profile() secure.Profile {
	if d.opener == nil {
		return secure.AEAD_AES_128_GCM
	}
	return d.opener.Profile()
}

func (d *direction) open(b []byte, n int) {
	d.t.Helper()
	out, err := d.opener.Open(bytes.Clone(b))
	if err != nil {
		d.t.Fatalf("open %d: %v", n, err)
	}
	if !bytes.Equal(out, rtpPacket(ssrc, uint16(n), 80)) {
		d.t.Fatalf("packet %d came out different", n)
	}
}

func bothProfiles(t *testing.T, f func(t *testing.T, d *direction)) {
	for _, p := range []secure.Profile{secure.AEAD_AES_128_GCM, secure.AES128_CM_HMAC_SHA1_80} {
		t.Run(p.String(), func(t *testing.T) { f(t, newDirection(t, p)) })
	}
}

func TestReplaysAreRefused(t *testing.T) {
	bothProfiles(t, func(t *testing.T, d *direction) {
		var sent [][]byte
		for n := range 300 {
			sent = append(sent, d.seal(65400+n))
		}
		for n := range 300 {
			if n != 100 && n != 250 {
				d.open(sent[n], 65400+n)
			}
		}
		for n := range 300 {
			_, err := d.opener.Open(bytes.Clone(sent[n]))
			if n == 250 {
				if err != nil {
					t.Errorf("packet %d, late but within the window: %v", n, err)
				}
				continue
			}
			if err != secure.ErrReplay {
				t.Errorf("packet %d again: %v", n, err)
			}
		}
	})
}

func TestForgedSequenceNumbersMoveNothing(t *testing.T) {
	bothProfiles(t, func(t *testing.T, d *direction) {
		n := 60000
		for ; n < 60100; n++ {
			d.open(d.seal(n), n)
		}
		for seq := 0; seq < 1<<16; seq += 7 {
			b := d.sealFar(ssrc, 1<<40|uint64(seq))
			if _, err := d.opener.Open(b); err == nil {
				t.Fatal("opened a packet of another rollover counter")
			}
			if seq%700 == 0 && d.opener.ROC(ssrc) != uint32(n>>16) {
				t.Fatal("a forged packet moved the rollover counter")
			}
			if seq%7000 == 0 {
				d.open(d.seal(n), n)
				n++
			}
		}
		for ; n < 70000; n++ {
			d.open(d.seal(n), n)
		}
		if d.opener.ROC(ssrc) != 1 || d.sealer.ROC(ssrc) != 1 {
			t.Error("rollover counters are not 1")
		}
	})
}

func TestWrapLosesNothing(t *testing.T) {
	bothProfiles(t, func(t *testing.T, d *direction) {
		r := rand.New(rand.NewPCG(1, 2))
		// Reordered by up to 60 places and a fifth lost, over two wraps.
		var flying []struct {
			b []byte
			n int
		}
		opened := 0
		for n := 65000; n < 65536*3+500; n++ {
			if n > 66000 && n < 65536*2-500 || n > 65536*2+500 && n < 65536*3-500 {
				for _, f := range flying {
					d.open(f.b, f.n)
				}
				flying = nil
				if n%1000 == 0 {
					d.open(d.seal(n), n)
				}
				continue
			}
			b := d.seal(n)
			if r.IntN(5) > 0 {
				flying = append(flying, struct {
					b []byte
					n int
				}{b, n})
			}
			if len(flying) > 60 {
				i := r.IntN(len(flying))
				if flying[0].n < n-100 {
					i = 0
				}
				d.open(flying[i].b, flying[i].n)
				opened++
				flying = append(flying[:i], flying[i+1:]...)
			}
		}
		if opened < 1000 {
			t.Fatal(opened)
		}
	})
}

func TestOutageOverAWrapIsSurvived(t *testing.T) {
	for _, lost := range []int{20000, 32000, 33000, 40000, 60000, 65400, 65536, 70000, 90000} {
		bothProfiles(t, func(t *testing.T, d *direction) {
			for n := 30000; n < 30200; n++ {
				d.open(d.seal(n), n)
			}
			failed := 0
			for n := 30200 + lost; n < 30400+lost; n++ {
				b := d.sealFar(ssrc, uint64(n))
				if out, err := d.opener.Open(b); err != nil {
					failed++
				} else if !bytes.Equal(out, rtpPacket(ssrc, uint16(n), 80)) {
					t.Fatal("came out different")
				}
			}
			if failed > 2 {
				t.Errorf("after %d lost packets %d more were lost", lost, failed)
			}
			if d.opener.Desynced() {
				t.Error("desynced")
			}
		})
	}
}

func TestLateJoinFindsTheCounter(t *testing.T) {
	bothProfiles(t, func(t *testing.T, d *direction) {
		failed := 0
		for n := 1<<16 + 500; n < 1<<16+600; n++ {
			if _, err := d.opener.Open(d.sealFar(ssrc, uint64(n))); err != nil {
				failed++
			}
		}
		if failed > 2 || d.opener.ROC(ssrc) != 1 {
			t.Errorf("%d packets lost, rollover counter %d", failed, d.opener.ROC(ssrc))
		}
	})
}

func TestLostCounterIsTold(t *testing.T) {
	bothProfiles(t, func(t *testing.T, d *direction) {
		for n := range 100 {
			d.open(d.seal(n), n)
		}
		for n := range 49 {
			_, _ = d.opener.Open(d.sealFar(ssrc, uint64(5<<16+200+n)))
		}
		if d.opener.Desynced() {
			t.Error("desynced too early")
		}
		for n := range 20 {
			_, _ = d.opener.Open(d.sealFar(ssrc, uint64(5<<16+300+n)))
		}
		if !d.opener.Desynced() {
			t.Error("not desynced")
		}
		d.open(d.seal(100), 100)
		if d.opener.Desynced() {
			t.Error("desynced after a good packet")
		}
	})
}

func TestManySSRCsAreBounded(t *testing.T) {
	bothProfiles(t, func(t *testing.T, d *direction) {
		sender, _ := testKeys(d.profile())
		for of := range uint32(2000) {
			s, err := secure.NewSealer(sender)
			if err != nil {
				t.Fatal(err)
			}
			plain := rtpPacket(of, 7, 80)
			b, err := s.Seal(plain, plain)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := d.opener.Open(b); err != nil {
				t.Fatalf("SSRC %d: %v", of, err)
			}
			r, err := s.SealRTCP(make([]byte, 0, 64), rtcpPacket(of))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := d.opener.OpenRTCP(r); err != nil {
				t.Fatalf("SSRC %d: %v", of, err)
			}
		}
		if rtp, rtcp, made := d.opener.Held(); rtp > 32 || rtcp > 32 || made > 200 {
			t.Errorf("%d and %d streams held, %d in pion's maps", rtp, rtcp, made)
		}
	})
}

func TestForgedSSRCsLeaveNothing(t *testing.T) {
	bothProfiles(t, func(t *testing.T, d *direction) {
		d.open(d.seal(1), 1)
		for n := range uint32(5000) {
			if _, err := d.opener.Open(append(rtpPacket(n, uint16(n), 80), make([]byte, 16)...)); err != secure.ErrAuth {
				t.Fatal(err)
			}
		}
		if rtp, _, made := d.opener.Held(); rtp != 1 || made > 200 {
			t.Errorf("%d streams held, %d in pion's maps", rtp, made)
		}
		d.open(d.seal(2), 2)
	})
}

func TestNoIndexIsSealedTwice(t *testing.T) {
	bothProfiles(t, func(t *testing.T, d *direction) {
		try := func(of uint32, seq uint16) error {
			plain := rtpPacket(of, seq, 80)
			_, err := d.sealer.Seal(plain, plain)
			return err
		}
		for _, step := range []struct {
			ssrc uint32
			seq  uint16
			want error
		}{
			{ssrc, 65530, nil}, {ssrc, 65530, secure.ErrIndexUsed}, {ssrc, 65529, secure.ErrIndexUsed}, {ssrc, 65535, nil},
			{ssrc, 65534, secure.ErrIndexUsed}, {ssrc, 0, nil}, {ssrc, 65535, secure.ErrIndexUsed}, {ssrc, 0, secure.ErrIndexUsed},
			{ssrc + 1, 1, secure.ErrSSRC}, {ssrc, 32767, nil}, {ssrc, 0, secure.ErrIndexUsed},
		} {
			if err := try(step.ssrc, step.seq); err != step.want {
				t.Errorf("seq %d: %v, want %v", step.seq, err, step.want)
			}
		}
		sender, _ := testKeys(d.profile())
		again, err := secure.NewSealerFrom(sender, d.sealer.State())
		if err != nil {
			t.Fatal(err)
		}
		plain := rtpPacket(ssrc, 32767, 80)
		if _, err := again.Seal(plain, plain); err != secure.ErrIndexUsed {
			t.Errorf("restored sealer: %v", err)
		}
	})
}

func TestSnapshotGoesOnWhereItWas(t *testing.T) {
	bothProfiles(t, func(t *testing.T, d *direction) {
		var last []byte
		for n := 65400; n < 65700; n++ {
			last = d.seal(n)
			d.open(last, n)
		}
		_, receiver := testKeys(d.profile())
		o, err := secure.NewOpenerFrom(receiver, d.opener.State())
		if err != nil {
			t.Fatal(err)
		}
		d.opener = o
		if _, err := o.Open(bytes.Clone(last)); err != secure.ErrReplay {
			t.Errorf("replay after a restore: %v", err)
		}
		if o.ROC(ssrc) != 1 {
			t.Errorf("rollover counter %d", o.ROC(ssrc))
		}
		d.open(d.seal(65700), 65700)
	})
}
