//go:build linux

package farend

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"

	"github.com/onelane/onelane/ice/secure"
)

// SRTP for a stream without CSRCs and extensions, in place and without allocation. It is written on crypto/cipher alone: it costs half of a
// general one, and it does not share the code of the relay that it measures.

const (
	headerSize = 12 // RFC 3550 section 5.1, without CSRCs and extensions
	gcmTag     = 16 // RFC 7714 section 14.1
	hmacTag    = 10 // RFC 3711 section 5.2
)

// errTag: the packet does not authenticate.
var errTag = errors.New("farend: wrong SRTP tag")

// crypt is one direction of one SRTP stream. Not for concurrent use.
type crypt struct {
	aead  cipher.AEAD // AEAD_AES_128_GCM
	block cipher.Block
	mac   hash.Hash // AES128_CM_HMAC_SHA1_80
	salt  [16]byte  // 12 bytes with GCM, 14 with counter mode

	// Scratch: on the stack they would escape through the interfaces above.
	nonce, pad [16]byte
	sum        [sha1.Size]byte

	started bool
	highest uint64 // index of the newest packet: rollover counter and sequence number
}

// Labels of the key derivation (RFC 3711 section 4.3.1).
const (
	labelKey  = 0
	labelAuth = 1
	labelSalt = 2
)

func newCrypt(profile secure.Profile, key, salt []byte) (*crypt, error) {
	master, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("SRTP master key: %w", err)
	}
	derive := func(label byte, n int) []byte {
		var iv [16]byte
		copy(iv[:14], salt) // a GCM salt is two bytes shorter; zeros stand for them (RFC 7714 section 11)
		iv[7] ^= label
		out := make([]byte, n)
		cipher.NewCTR(master, iv[:]).XORKeyStream(out, out)
		return out
	}
	block, err := aes.NewCipher(derive(labelKey, 16))
	if err != nil {
		return nil, fmt.Errorf("SRTP session key: %w", err)
	}
	c := &crypt{block: block}
	switch profile {
	case secure.AEAD_AES_128_GCM:
		copy(c.salt[:], derive(labelSalt, 12))
		if c.aead, err = cipher.NewGCM(block); err != nil {
			return nil, fmt.Errorf("SRTP session key: %w", err)
		}
	case secure.AES128_CM_HMAC_SHA1_80:
		copy(c.salt[:], derive(labelSalt, 14))
		c.mac = hmac.New(sha1.New, derive(labelAuth, 20))
	default:
		return nil, fmt.Errorf("SRTP profile %v is not known", profile)
	}
	return c, nil
}

// seal seals a packet with an index that only goes up. b has room for a tag behind its length.
func (c *crypt) seal(b []byte, index uint64) []byte {
	if c.aead != nil {
		c.gcmNonce(b, index)
		return c.aead.Seal(b[:headerSize], c.nonce[:12], b[headerSize:], b[:headerSize])
	}
	c.counter(b, index)
	n := len(b)
	b = b[:n+hmacTag]
	copy(b[n:], c.tag(b[:n], index))
	return b
}

// open opens a packet in place and returns it without its tag.
func (c *crypt) open(b []byte) ([]byte, error) {
	index := c.index(binary.BigEndian.Uint16(b[2:]))
	if c.aead != nil {
		if len(b) < headerSize+gcmTag {
			return nil, errTag
		}
		c.gcmNonce(b, index)
		plain, err := c.aead.Open(b[headerSize:headerSize], c.nonce[:12], b[headerSize:], b[:headerSize])
		if err != nil {
			return nil, errTag
		}
		b = b[:headerSize+len(plain)]
	} else {
		n := len(b) - hmacTag
		if n < headerSize || subtle.ConstantTimeCompare(c.tag(b[:n], index), b[n:]) != 1 {
			return nil, errTag
		}
		b = b[:n]
		c.counter(b, index)
	}
	if !c.started || index > c.highest {
		c.started, c.highest = true, index
	}
	return b, nil
}

// index is the 48-bit index nearest to the newest (RFC 3711 section 3.3.1).
func (c *crypt) index(seq uint16) uint64 {
	if !c.started {
		return uint64(seq)
	}
	index := c.highest + uint64(int64(int16(seq-uint16(c.highest))))
	if int64(index) < 0 {
		index += 1 << 16
	}
	return index
}

// gcmNonce is the nonce of RFC 7714 section 8.1.
func (c *crypt) gcmNonce(header []byte, index uint64) {
	clear(c.nonce[:2])
	copy(c.nonce[2:6], header[8:12])
	binary.BigEndian.PutUint32(c.nonce[6:], uint32(index>>16))
	binary.BigEndian.PutUint16(c.nonce[10:], uint16(index))
	for i := range 12 {
		c.nonce[i] ^= c.salt[i]
	}
}

// counter XORs the payload with the key stream of RFC 3711 section 4.1.1.
func (c *crypt) counter(b []byte, index uint64) {
	c.nonce = c.salt
	for i := range 4 {
		c.nonce[4+i] ^= b[8+i]
	}
	for i := range 6 {
		c.nonce[8+i] ^= byte(index >> (40 - 8*i))
	}
	for payload, n := b[headerSize:], uint16(0); len(payload) > 0; n++ {
		binary.BigEndian.PutUint16(c.nonce[14:], n)
		c.block.Encrypt(c.pad[:], c.nonce[:])
		k := subtle.XORBytes(payload, payload, c.pad[:])
		payload = payload[k:]
	}
}

func (c *crypt) tag(b []byte, index uint64) []byte {
	c.mac.Reset()
	c.mac.Write(b)
	binary.BigEndian.PutUint32(c.pad[:], uint32(index>>16))
	c.mac.Write(c.pad[:4])
	return c.mac.Sum(c.sum[:0])[:hmacTag]
}
