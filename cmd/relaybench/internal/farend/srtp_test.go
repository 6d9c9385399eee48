//go:build linux

package farend

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"testing"

	"github.com/onelane/onelane/ice/secure"
)

var profiles = []secure.Profile{secure.AEAD_AES_128_GCM, secure.AES128_CM_HMAC_SHA1_80}

func testKeys(profile secure.Profile) secure.Keys {
	n := 14
	if profile == secure.AEAD_AES_128_GCM {
		n = 12
	}
	k := secure.Keys{Profile: profile, LocalKey: make([]byte, 16), LocalSalt: make([]byte, n), RemoteKey: make([]byte, 16), RemoteSalt: make([]byte, n)}
	for _, b := range [][]byte{k.LocalKey, k.LocalSalt, k.RemoteKey, k.RemoteSalt} {
		rand.Read(b)
	}
	return k
}

func testPacket(seq uint16, ssrc uint32, payload int) []byte {
	b := make([]byte, headerSize+payload, headerSize+payload+64)
	rand.Read(b[headerSize:])
	b[0], b[1] = 0x80, 111
	binary.BigEndian.PutUint16(b[2:], seq)
	binary.BigEndian.PutUint32(b[8:], ssrc)
	return b
}

// The other side is the relay's own SRTP, which is proven against the vectors of RFC 3711 and 7714.
func TestRelayOpensWhatWeSealAndWeOpenWhatItSeals(t *testing.T) {
	for _, profile := range profiles {
		t.Run(profile.String(), func(t *testing.T) {
			keys := testKeys(profile)
			sealer, err := secure.NewSealer(keys)
			if err != nil {
				t.Fatal(err)
			}
			receive, err := newCrypt(profile, keys.LocalKey, keys.LocalSalt)
			if err != nil {
				t.Fatal(err)
			}
			opener, err := secure.NewOpener(keys)
			if err != nil {
				t.Fatal(err)
			}
			send, err := newCrypt(profile, keys.RemoteKey, keys.RemoteSalt)
			if err != nil {
				t.Fatal(err)
			}
			for i := range uint64(40000) { // over a wrap of the sequence number, with losses
				index := 30000 + i
				plain := testPacket(uint16(index), 0x1234567, 80)
				want := bytes.Clone(plain)
				sealed, err := sealer.Seal(plain, plain)
				if err != nil {
					t.Fatal(err)
				}
				if i%7 == 3 {
					continue
				}
				got, err := receive.open(sealed)
				if err != nil || !bytes.Equal(got, want) {
					t.Fatalf("packet %d of the relay: %v", i, err)
				}
			}
			for i := range uint64(40000) {
				index := 30000 + i
				plain := testPacket(uint16(index), 0x7654321, 33)
				want := bytes.Clone(plain)
				got, err := opener.Open(send.seal(plain, index))
				if err != nil || !bytes.Equal(got, want) {
					t.Fatalf("our packet %d: %v", i, err)
				}
			}
		})
	}
}

func TestForgedPacketsAreRefused(t *testing.T) {
	for _, profile := range profiles {
		keys := testKeys(profile)
		send, _ := newCrypt(profile, keys.LocalKey, keys.LocalSalt)
		receive, _ := newCrypt(profile, keys.LocalKey, keys.LocalSalt)
		sealed := send.seal(testPacket(7, 9, 80), 7)
		for i := range sealed {
			forged := bytes.Clone(sealed)
			forged[i] ^= 1
			if _, err := receive.open(forged); err == nil {
				t.Fatalf("%v: a packet with byte %d changed was opened", profile, i)
			}
		}
		for n := headerSize; n < len(sealed); n++ {
			if _, err := receive.open(bytes.Clone(sealed[:n])); err == nil {
				t.Fatalf("%v: a packet cut to %d bytes was opened", profile, n)
			}
		}
		if _, err := receive.open(bytes.Clone(sealed)); err != nil {
			t.Fatalf("%v: the packet itself: %v", profile, err)
		}
	}
}

// RFC 3711 appendix B.3.
func TestKeyDerivationVector(t *testing.T) {
	key, _ := hex.DecodeString("E1F97A0D3E018BE0D64FA32C06DE4139")
	salt, _ := hex.DecodeString("0EC675AD498AFEEBB6960B3AABE6")
	c, err := newCrypt(secure.AES128_CM_HMAC_SHA1_80, key, salt)
	if err != nil {
		t.Fatal(err)
	}
	want, _ := hex.DecodeString("30CBBC08863D8C85D49DB34A9AE1")
	if !bytes.Equal(c.salt[:14], want) {
		t.Errorf("salt %X, want %X", c.salt[:14], want)
	}
}

func TestSealAndOpenDoNotAllocate(t *testing.T) {
	for _, profile := range profiles {
		keys := testKeys(profile)
		send, _ := newCrypt(profile, keys.LocalKey, keys.LocalSalt)
		receive, _ := newCrypt(profile, keys.LocalKey, keys.LocalSalt)
		packet := testPacket(0, 9, 80)
		index := uint64(1000)
		n := testing.AllocsPerRun(100, func() {
			binary.BigEndian.PutUint16(packet[2:], uint16(index))
			sealed := send.seal(packet, index)
			if _, err := receive.open(sealed); err != nil {
				t.Fatal(err)
			}
			index++
		})
		if n != 0 {
			t.Errorf("%v: %v allocations", profile, n)
		}
	}
}

func TestMarkComesBack(t *testing.T) {
	payload := make([]byte, MinPayload)
	putMark(payload, 70000, 4000000000)
	phone, number, ok := mark(payload)
	if !ok || phone != 70000 || number != 4000000000 {
		t.Errorf("got %d, %d, %v", phone, number, ok)
	}
	for _, foreign := range [][]byte{nil, {0xf8, 0xff, 0xfe}, payload[:12], make([]byte, 80)} {
		if _, _, ok := mark(foreign); ok {
			t.Errorf("%x has a mark", foreign)
		}
	}
}

func BenchmarkSeal(b *testing.B) {
	for _, profile := range profiles {
		b.Run(profile.String(), func(b *testing.B) {
			keys := testKeys(profile)
			c, _ := newCrypt(profile, keys.LocalKey, keys.LocalSalt)
			packet := testPacket(0, 9, 80)
			index := uint64(0)
			for b.Loop() {
				c.seal(packet, index)
				index++
			}
		})
	}
}
