package secure_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/binary"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/onelane/onelane/ice/secure"
)

// The vectors of RFC 7714 give session keys, and our types take master keys. So an independent SRTP, written here from the RFCs on
// crypto/aes alone, is held to the vectors first, and our types to it.

func unhex(s string) []byte {
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		panic(err)
	}
	return b
}

// derive is RFC 3711 section 4.3.1 and 4.3.3.
func derive(key, salt []byte, label byte, n int) []byte {
	x := make([]byte, 16)
	copy(x, salt)
	x[7] ^= label
	block, _ := aes.NewCipher(key)
	out := make([]byte, n)
	cipher.NewCTR(block, x).XORKeyStream(out, out)
	return out
}

// gcm is RFC 7714 section 8.
func gcm(key, salt, iv, plain, aad []byte) []byte {
	for i := range iv {
		iv[i] ^= salt[i]
	}
	block, _ := aes.NewCipher(key)
	a, _ := cipher.NewGCM(block)
	return a.Seal(nil, iv, plain, aad)
}

func gcmRTP(key, salt, p []byte, roc uint32) []byte {
	iv := make([]byte, 12)
	copy(iv[2:], p[8:12])
	binary.BigEndian.PutUint32(iv[6:], roc)
	copy(iv[10:], p[2:4])
	return append(bytes.Clone(p[:12]), gcm(key, salt, iv, p[12:], p[:12])...)
}

func gcmRTCP(key, salt, p []byte, index uint32) []byte {
	iv := make([]byte, 12)
	copy(iv[2:], p[4:8])
	binary.BigEndian.PutUint32(iv[8:], index)
	word := binary.BigEndian.AppendUint32(nil, index|1<<31)
	sealed := gcm(key, salt, iv, p[8:], append(bytes.Clone(p[:8]), word...))
	return append(append(bytes.Clone(p[:8]), sealed...), word...)
}

// cm is RFC 3711 section 4.1.1, and its HMAC of section 4.2.1 over more.
func cm(key, salt []byte, of uint32, index uint64, p []byte, head int) []byte {
	iv := make([]byte, 16)
	copy(iv, salt)
	var x [16]byte
	binary.BigEndian.PutUint32(x[4:], of)
	binary.BigEndian.PutUint64(x[8:], index<<16)
	for i := range iv {
		iv[i] ^= x[i]
	}
	out := bytes.Clone(p)
	block, _ := aes.NewCipher(key)
	cipher.NewCTR(block, iv).XORKeyStream(out[head:], out[head:])
	return out
}

func tag(key []byte, b []byte) []byte {
	h := hmac.New(sha1.New, key)
	h.Write(b)
	return h.Sum(nil)[:10]
}

func rtcpPacket(of uint32) []byte {
	b := []byte{0x80, 200, 0, 6, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20}
	binary.BigEndian.PutUint32(b[4:], of)
	return b
}

func TestKeyDerivationVector(t *testing.T) { // RFC 3711 appendix B.3
	key, salt := unhex("E1F97A0D3E018BE0D64FA32C06DE4139"), unhex("0EC675AD498AFEEBB6960B3AABE6")
	for label, want := range map[byte]string{
		0: "C61E7A93744F39EE10734AFE3FF7A087",
		2: "30CBBC08863D8C85D49DB34A9AE1",
		1: "CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4",
	} {
		if got := derive(key, salt, label, len(want)/2); !bytes.Equal(got, unhex(want)) {
			t.Errorf("label %d: %x", label, got)
		}
	}
	// And what our Sealer makes of the same master key.
	s, err := secure.NewSealer(secure.Keys{Profile: secure.AES128_CM_HMAC_SHA1_80, LocalKey: key, LocalSalt: salt})
	if err != nil {
		t.Fatal(err)
	}
	plain := rtpPacket(ssrc, 4660, 80)
	got, err := s.Seal(make([]byte, 0, 200), plain)
	if err != nil {
		t.Fatal(err)
	}
	want := cm(unhex("C61E7A93744F39EE10734AFE3FF7A087"), unhex("30CBBC08863D8C85D49DB34A9AE1"), ssrc, 4660, plain, 12)
	want = append(want, tag(unhex("CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4"), append(bytes.Clone(want), 0, 0, 0, 0))...)
	if !bytes.Equal(got, want) {
		t.Errorf("sealed\n%x, want\n%x", got, want)
	}
}

func TestKeystreamVector(t *testing.T) { // RFC 3711 appendix B.2
	got := cm(unhex("2B7E151628AED2A6ABF7158809CF4F3C"), unhex("F0F1F2F3F4F5F6F7F8F9FAFBFCFD"), 0, 0, make([]byte, 48), 0)
	want := unhex("E03EAD0935C95E80E166B16DD92B4EB4 D23513162B02D0F72A43A2FE4A5F97AB 41E95B3BB0A2E8DD477901E4FCA894C0")
	if !bytes.Equal(got, want) {
		t.Errorf("%x", got)
	}
}

func TestAEADVectors(t *testing.T) { // RFC 7714 sections 16.1.1 and 17.1
	key, salt := unhex("000102030405060708090a0b0c0d0e0f"), unhex("517569642070726f2071756f")
	got := gcmRTP(key, salt, unhex(`8040f17b 8041f8d3 5501a0b2 47616c6c 69612065 7374206f 6d6e6973 20646976 69736120 696e2070 61727465
		73207472 6573`), 0)
	if want := unhex(`8040f17b 8041f8d3 5501a0b2 f24de3a3 fb34de6c acba861c 9d7e4bca be633bd5 0d294e6f 42a5f47a 51c7d19b 36de3adf
		8833899d 7f27beb1 6a9152cf 765ee439 0cce`); !bytes.Equal(got, want) {
		t.Errorf("RTP: %x", got)
	}
	got = gcmRTCP(key, salt, unhex(`81c8000d 4d617273 4e545031 4e545032 52545020 0000042a 0000e930 4c756e61 deadbeef deadbeef deadbeef
		deadbeef deadbeef`), 0x5d4)
	if want := unhex(`81c8000d 4d617273 63e94885 dcdab67c a727d766 2f6b7e99 7ff5c0f7 6c06f32d c676a5f1 730d6fda 4ce09b46 86303ded
		0bb9275b c84aa458 96cf4d2f c5abf872 45d9eade 800005d4`); !bytes.Equal(got, want) {
		t.Errorf("RTCP: %x", got)
	}
}

// TestSealedAsTheRFCsSay holds Sealer and Opener to the independent SRTP above, both profiles, RTP and RTCP, over a wrap.
func TestSealedAsTheRFCsSay(t *testing.T) {
	bothProfiles(t, func(t *testing.T, d *direction) {
		k, _ := testKeys(d.profile())
		key, salt := derive(k.LocalKey, k.LocalSalt, 0, 16), derive(k.LocalKey, k.LocalSalt, 2, len(k.LocalSalt))
		cKey, cSalt := derive(k.LocalKey, k.LocalSalt, 3, 16), derive(k.LocalKey, k.LocalSalt, 5, len(k.LocalSalt))
		auth, cAuth := derive(k.LocalKey, k.LocalSalt, 1, 20), derive(k.LocalKey, k.LocalSalt, 4, 20)
		for n := 65500; n < 65600; n++ {
			plain := rtpPacket(ssrc, uint16(n), 80)
			var want []byte
			if d.profile() == secure.AEAD_AES_128_GCM {
				want = gcmRTP(key, salt, plain, uint32(n>>16))
			} else {
				want = cm(key, salt, ssrc, uint64(n), plain, 12)
				want = append(want, tag(auth, binary.BigEndian.AppendUint32(bytes.Clone(want), uint32(n>>16)))...)
			}
			if got := d.seal(n); !bytes.Equal(got, want) {
				t.Fatalf("packet %d: %x", n, got)
			}
			d.open(want, n)
		}
		for index := uint32(1); index < 5; index++ {
			plain := rtcpPacket(ssrc)
			var want []byte
			if d.profile() == secure.AEAD_AES_128_GCM {
				want = gcmRTCP(cKey, cSalt, plain, index)
			} else {
				want = binary.BigEndian.AppendUint32(cm(cKey, cSalt, ssrc, uint64(index), plain, 8), index|1<<31)
				want = append(want, tag(cAuth, want)...)
			}
			b := append(make([]byte, 0, 100), plain...)
			got, err := d.sealer.SealRTCP(b[:0], b)
			if err != nil || !bytes.Equal(got, want) {
				t.Fatalf("report %d: %x, %v", index, got, err)
			}
			out, err := d.opener.OpenRTCP(bytes.Clone(want))
			if err != nil || !bytes.Equal(out, plain) {
				t.Fatalf("report %d: %x, %v", index, out, err)
			}
			if _, err := d.opener.OpenRTCP(want); err != secure.ErrReplay {
				t.Fatalf("report %d again: %v", index, err)
			}
		}
	})
}

func TestEveryShortPacketIsRefused(t *testing.T) {
	bothProfiles(t, func(t *testing.T, d *direction) {
		for first := range 256 {
			for n := range 61 {
				b := bytes.Repeat([]byte{byte(first)}, n)
				if _, err := d.opener.Open(b); err == nil {
					t.Fatal("opened")
				}
				b = bytes.Repeat([]byte{byte(first)}, n)
				if _, err := d.opener.OpenRTCP(b); err == nil {
					t.Fatal("opened")
				}
				b = append(make([]byte, 0, 100), b...)
				_, _ = d.sealer.SealRTCP(b[:0], b)
			}
		}
	})
}

func TestPacketPathDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("allocations are counted without the race detector")
	}
	bothProfiles(t, func(t *testing.T, d *direction) {
		n := 65000
		plain, sealed, report := rtpPacket(ssrc, 0, 80), make([]byte, 200), make([]byte, 100)
		copy(report, rtcpPacket(ssrc))
		if a := testing.AllocsPerRun(2000, func() {
			binary.BigEndian.PutUint16(plain[2:], uint16(n))
			n++
			b, err := d.sealer.Seal(sealed, plain)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := d.opener.Open(b); err != nil {
				t.Fatal(err)
			}
			if _, err := d.opener.Open(b); err == nil {
				t.Fatal("opened twice")
			}
		}); a != 0 {
			t.Errorf("%v allocations a packet", a)
		}
		if a := testing.AllocsPerRun(100, func() {
			b, err := d.sealer.SealRTCP(report[:0], report[:28])
			if err != nil {
				t.Fatal(err)
			}
			if _, err := d.opener.OpenRTCP(b); err != nil {
				t.Fatal(err)
			}
		}); a != 0 {
			t.Errorf("%v allocations a report", a)
		}
		forged := d.seal(n)
		forged[20]++
		if a := testing.AllocsPerRun(1000, func() {
			if _, err := d.opener.Open(plain[:copy(plain[:cap(plain)], forged)]); err != secure.ErrAuth {
				t.Fatalf("a forged packet: %v", err)
			}
		}); a != 0 {
			t.Errorf("%v allocations a forged packet", a)
		}
	})
}

func benchmarkBoth(b *testing.B, f func(b *testing.B, d *direction)) {
	for _, p := range []secure.Profile{secure.AEAD_AES_128_GCM, secure.AES128_CM_HMAC_SHA1_80} {
		b.Run(p.String(), func(b *testing.B) { f(b, newDirection(b, p)) })
	}
}

func BenchmarkSeal(b *testing.B) {
	benchmarkBoth(b, func(b *testing.B, d *direction) {
		plain, sealed := rtpPacket(ssrc, 0, 80), make([]byte, 200)
		b.ReportAllocs()
		for n := 0; b.Loop(); n++ {
			binary.BigEndian.PutUint16(plain[2:], uint16(n))
			_, _ = d.sealer.Seal(sealed, plain)
		}
	})
}

func BenchmarkOpen(b *testing.B) {
	benchmarkBoth(b, func(b *testing.B, d *direction) {
		const batch = 1000
		packets, work := make([][]byte, batch), make([]byte, 200)
		b.ReportAllocs()
		for n := 0; b.Loop(); n++ {
			if n%batch == 0 {
				b.StopTimer()
				for i := range packets {
					packets[i] = d.seal(n + i)
				}
				b.StartTimer()
			}
			if _, err := d.opener.Open(work[:copy(work, packets[n%batch])]); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkOpenForged(b *testing.B) {
	benchmarkBoth(b, func(b *testing.B, d *direction) {
		first, work := d.seal(100), make([]byte, 200)
		_, _ = d.opener.Open(bytes.Clone(first))
		first[3]++
		b.ReportAllocs()
		for b.Loop() {
			_, _ = d.opener.Open(work[:copy(work, first)])
		}
	})
}
