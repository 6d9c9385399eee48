package secure

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"hash"
	"unsafe"

	"github.com/onelane/onelane/ice/prefetch"
)

// SRTP packets are opened and sealed here, on the standard library's ciphers; SRTCP, which is rare, is left to pion/srtp. pion's context
// looks its state up by SSRC in a map and parses the header anew: with a thousand calls, whose state is never in the cache, that costs
// more than the cipher. A call has one SSRC, and index and header length are known by then.

// Labels of the key derivation (RFC 3711 section 4.3.2).
const (
	labelEncryption     = 0
	labelAuthentication = 1
	labelSalt           = 2
)

// hmacKey is the length of the authentication key (RFC 3711 section 5.2).
const hmacKey = 20

// rtpCipher has the session keys of one direction. It is a value in its owner and not for concurrent use.
type rtpCipher struct {
	aead  cipher.AEAD // AEAD_AES_128_GCM; else nil
	salt  [14]byte    // 12 bytes of it with GCM
	nonce [12]byte    // scratch; a local one would be allocated for each packet
	cm    *counterMode
	keys  unsafe.Pointer // where the block cipher keeps its own; never read through this
}

// Sizes of what crypto/aes and crypto/cipher keep for AES-128 and AES-GCM, as far as a packet meets it. Others would cost time and nothing
// else.
const (
	blockSize = 192
	aeadSize  = 768
)

// prefetch asks for the keys.
func (c *rtpCipher) prefetch() {
	if c.cm == nil {
		prefetch.Memory(c.keys, aeadSize)
		return
	}
	prefetch.Memory(c.keys, blockSize)
	prefetch.Value(c.cm)
}

// within is where the value of an interface is kept.
func within[T any](v *T) unsafe.Pointer { return (*[2]unsafe.Pointer)(unsafe.Pointer(v))[1] }

// counterMode is the keys of AES128_CM_HMAC_SHA1_80, and what would be allocated for each packet if it were local.
type counterMode struct {
	block   cipher.Block
	mac     hash.Hash
	counter [aes.BlockSize]byte
	stream  [aes.BlockSize]byte
	roc     [4]byte
	sum     [sha1.Size]byte
}

// set derives the session keys from the master key and salt.
func (c *rtpCipher) set(p Profile, key, salt []byte) error {
	keySize, saltSize, ok := p.lengths()
	if !ok || len(key) != keySize || len(salt) != saltSize {
		return fmt.Errorf("%s takes no key of %d and salt of %d bytes", p, len(key), len(salt))
	}
	master, err := aes.NewCipher(key)
	if err != nil {
		return err
	}
	var session [aes.BlockSize]byte
	prf(master, salt, labelEncryption, session[:])
	prf(master, salt, labelSalt, c.salt[:saltSize])
	block, err := aes.NewCipher(session[:])
	if err != nil {
		return err
	}
	if p == AEAD_AES_128_GCM {
		c.aead, err = cipher.NewGCM(block)
		c.keys = within(&c.aead)
		return err
	}
	var authentication [hmacKey]byte
	prf(master, salt, labelAuthentication, authentication[:])
	c.cm, c.keys = &counterMode{block: block, mac: hmac.New(sha1.New, authentication[:])}, within(&block)
	return nil
}

// prf is the pseudo-random function of RFC 3711 section 4.3.3, at a key derivation rate of zero.
func prf(master cipher.Block, salt []byte, label byte, out []byte) {
	var x [aes.BlockSize]byte
	copy(x[:], salt)
	x[7] ^= label
	clear(out)
	cipher.NewCTR(master, x[:]).XORKeyStream(out, out)
}

// seal encrypts the payload of an RTP packet, whose header is head bytes long, where it lies, and appends the tag. The capacity of b
// reaches gcmTag bytes past its end.
func (c *rtpCipher) seal(b []byte, head int, index uint64) []byte {
	if c.aead != nil {
		c.setNonce(b, index)
		return b[:head+len(c.aead.Seal(b[head:head], c.nonce[:], b[head:], b[:head]))]
	}
	c.cm.xor(b[head:], b[head:], c.salt, binary.BigEndian.Uint32(b[8:]), index)
	return append(b, c.cm.tag(b, index)...)
}

// open checks the tag of an SRTP packet, whose header is head bytes long, and decrypts it into dst, which has the same length or is b
// itself. When the tag is wrong, what lies behind the header in dst is lost.
func (c *rtpCipher) open(dst, b []byte, head int, index uint64) (out []byte, ok bool) {
	if c.aead != nil {
		c.setNonce(b, index)
		plain, err := c.aead.Open(dst[head:head], c.nonce[:], b[head:], b[:head])
		if err != nil {
			return nil, false
		}
		copy(dst[:head], b[:head])
		return dst[:head+len(plain)], true
	}
	end := len(b) - hmacTag
	if subtle.ConstantTimeCompare(c.cm.tag(b[:end], index), b[end:]) != 1 {
		return nil, false
	}
	copy(dst[:head], b[:head])
	c.cm.xor(dst[head:end], b[head:end], c.salt, binary.BigEndian.Uint32(b[8:]), index)
	return dst[:end], true
}

// setNonce is RFC 7714 section 8.1: two zero bytes, SSRC, rollover counter and sequence number, and the salt over it.
func (c *rtpCipher) setNonce(b []byte, index uint64) {
	n, salt := &c.nonce, &c.salt
	n[0], n[1] = salt[0], salt[1]
	binary.BigEndian.PutUint32(n[2:], binary.BigEndian.Uint32(b[8:])^binary.BigEndian.Uint32(salt[2:]))
	binary.BigEndian.PutUint32(n[6:], uint32(index>>16)^binary.BigEndian.Uint32(salt[6:]))
	binary.BigEndian.PutUint16(n[10:], uint16(index)^binary.BigEndian.Uint16(salt[10:]))
}

// xor puts the key stream over src (RFC 3711 section 4.1.1).
func (m *counterMode) xor(dst, src []byte, salt [14]byte, ssrc uint32, index uint64) {
	copy(m.counter[:], salt[:])
	binary.BigEndian.PutUint32(m.counter[4:], binary.BigEndian.Uint32(m.counter[4:])^ssrc)
	binary.BigEndian.PutUint64(m.counter[8:], binary.BigEndian.Uint64(m.counter[8:])^index<<16)
	for n := uint16(0); len(src) > 0; n++ {
		binary.BigEndian.PutUint16(m.counter[14:], n)
		m.block.Encrypt(m.stream[:], m.counter[:])
		done := subtle.XORBytes(dst, src, m.stream[:])
		dst, src = dst[done:], src[done:]
	}
}

// tag authenticates b and the rollover counter behind it (RFC 3711 section 4.2). It is overwritten by the next call.
func (m *counterMode) tag(b []byte, index uint64) []byte {
	binary.BigEndian.PutUint32(m.roc[:], uint32(index>>16))
	m.mac.Reset()
	m.mac.Write(b)
	m.mac.Write(m.roc[:])
	return m.mac.Sum(m.sum[:0])[:hmacTag]
}

// headerSize is how long the header of an RTP packet is, with CSRCs and extension (RFC 3550 section 5.1); ok is false where b is too short
// to have it or is not RTP.
func headerSize(b []byte) (n int, ok bool) {
	if len(b) < rtpHeader || b[0]>>6 != 2 {
		return 0, false
	}
	n = rtpHeader + 4*int(b[0]&0x0F)
	if b[0]&0x10 != 0 {
		n += 4
		if len(b) < n {
			return 0, false
		}
		n += 4 * int(binary.BigEndian.Uint16(b[n-2:]))
	}
	return n, len(b) >= n
}
